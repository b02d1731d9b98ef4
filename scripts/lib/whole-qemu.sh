# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What running whole QEMU with tests/functional's Python needs: the QEMU, the
# small guest, the catalogue. Sourced after common.sh, kernel.sh and, for the lab,
# firmware.sh.

# shellcheck source-path=SCRIPTDIR
. "$KR_TOP/scripts/lib/library.sh"

# prepare_coco_platform LIBRARY OUT: where the platform is not built, for lack of
# what it needs, the tests of confidential guests are skipped by name.
prepare_coco_platform() {
    local target=tests/coco-platform/libcoco-platform.so
    # Where nettle-dev is missing there is no platform.
    pkgconf --exists nettle || return 0
    (library_build "$1" "$target" kvm-reset-measure kvm-reset-igvm \
        vm-launch-update) \
        >"$2/library.log" 2>&1 ||
        die "the coco platform or its tools do not compile:" \
            "see $2/library.log"
    "$KR_TOP/tests/coco-platform/firmware/make-firmware" "$2/coco.bin"
    # For guests of as much memory as tests/functional gives them, in MiB.
    "$KR_TOP/tests/coco-platform/firmware/make-kernel" \
        "$KVM_RESET_GUEST_KERNEL" "$KVM_RESET_GUEST_INITRD" 256 "$2/coco.kernel"
    export KVM_RESET_MEASURE=$1/kvm-reset-measure
    export KVM_RESET_IGVM=$1/kvm-reset-igvm
    export KVM_RESET_LAUNCH_CLIENT=$1/vm-launch-update
    export KVM_RESET_COCO_LIBRARY=$1/$target
    export KVM_RESET_COCO_FIRMWARE=$2/coco.bin
    export KVM_RESET_COCO_KERNEL=$2/coco.kernel
    if [ "${KVM_RESET_JUDGE:-}" = lab ]; then
        prepare_lab_guests
    elif [ "${KVM_RESET_COCO:-}" = all ]; then
        prepare_tiny_linux "$2"
    fi
}

# prepare_lab_guests: firmware that measures the kernel it starts, and what
# the owner of such a guest has.
prepare_lab_guests() {
    export KVM_RESET_COCO_FIRMWARE KVM_RESET_LAB_CERTIFICATES=$KR_BUILD/lab-certificates
    KVM_RESET_COCO_FIRMWARE=$(firmware amdsev)
    export KVM_RESET_COCO_KERNEL=$KVM_RESET_GUEST_KERNEL
    [ -e "$KVM_RESET_LAB_CERTIFICATES/vcek.pem" ] ||
        "$KR_TOP/scripts/lab-attest" certificates "$KVM_RESET_LAB_CERTIFICATES"
}

# prepare_tiny_linux OUT: what is rebooted more than a thousand times.
prepare_tiny_linux() {
    local tiny kernel initrd
    tiny=$("$KR_TOP/tests/coco-platform/linux/make-linux")
    kernel=$(sed -n 's/^KERNEL=//p' <<<"$tiny")
    initrd=$(sed -n 's/^INITRD=//p' <<<"$tiny")
    "$KR_TOP/tests/coco-platform/firmware/make-kernel" "$kernel" "$initrd" 256 \
        "$1/tiny.kernel"
    export KVM_RESET_TINY_KERNEL=$1/tiny.kernel KVM_RESET_TINY_INITRD=$initrd
}

# get_memtest: prints the path of Debian's Memtest86+, which is unpacked and not
# installed; nothing where it is not to be had, and its test is skipped by name.
get_memtest() {
    local deb dir=$KR_CACHE/memtest86+
    if [ ! -d "$dir" ]; then
        deb=$(fetch_deb "$(debian_codename)" memtest86+ "$KR_CACHE/deb") ||
            return 0
        unpack_deb_once "$deb" "$dir"
    fi
    printf '%s\n' "$dir/boot/memtest86+x64.bin"
}

# prepare_example QEMU: a QEMU with the device of docs/adding-a-hook.md, too.
# Of a QEMU that is not in its build directory there is none.
prepare_example() {
    local build example=$KR_BUILD/example
    local device=$KR_TOP/tests/functional/example_device/mailbox.c
    build=$(dirname "$1")
    [ -e "$build/build.ninja" ] || return 0
    "$KR_TOP/tests/hooks/with_device.py" "$build" "$device" \
        "$example/qemu-system-x86_64" || die "there is no QEMU with $device"
    ln -sfn "$build/qemu-bundle" "$example/qemu-bundle"
    export KVM_RESET_EXAMPLE_QEMU=$example/qemu-system-x86_64
}

# prepare_whole_qemu BINARY OUT: an empty BINARY is the one that is built if
# need be; OUT gets the catalogue. Sets $qemu and exports what
# tests/functional/run.py reads.
prepare_whole_qemu() {
    local out=$2 version source guest library=$KR_LIBRARY
    qemu=$1
    install_packages python3 python3-pycotap/backports strace gdb qemu-utils \
        binutils iproute2 zstd kmod "${LIBRARY_PACKAGES[@]}"
    if [ -z "$qemu" ]; then
        qemu=$("$KR_TOP/scripts/build-qemu")
    fi
    [ -x "$qemu" ] || die "--qemu $qemu: there is no such program"
    qemu=$(readlink -f "$qemu")
    version=$("$qemu" --version |
        sed -n 's/^QEMU.* version \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$version" ] || die "$qemu does not say which QEMU it is"
    source=$KR_BUILD/src/qemu-$version
    [ -d "$source/tests/functional/qemu_test" ] ||
        die "$source has no tests/functional/qemu_test:" \
            "run scripts/build-qemu --qemu $version"
    guest=$("$KR_TOP/scripts/guest")
    get_kernel

    mkdir -p "$out"
    # The watcher asks the catalogue which ioctls have to be recorded.
    (library_build "$library" kvm-reset-catalogue 'tests/audit/lib.*\.so') \
        >"$out/library.log" 2>&1 ||
        die "kvm-reset-catalogue or tests/audit does not compile:" \
            "see $out/library.log"
    "$library/kvm-reset-catalogue" >"$out/catalogue.json"

    prepare_example "$qemu"
    export KVM_RESET_QEMU=$qemu
    export KVM_RESET_GUEST_KERNEL KVM_RESET_GUEST_INITRD
    KVM_RESET_GUEST_KERNEL=$(sed -n 's/^KERNEL=//p' <<<"$guest")
    KVM_RESET_GUEST_INITRD=$(sed -n 's/^INITRD=//p' <<<"$guest")
    # The same kernel unpacked: a guest that starts it is up sooner.
    export KVM_RESET_GUEST_ELF
    KVM_RESET_GUEST_ELF=$(kernel_elf)
    prepare_coco_platform "$library" "$out"
    export KVM_RESET_MEMTEST
    KVM_RESET_MEMTEST=$(get_memtest)
    export KVM_RESET_CATALOGUE=$out/catalogue.json
    export KVM_RESET_AUDIT=$library/tests/audit
    export PYTHONPATH=$KR_TOP/scripts:$source/python:$source/tests/functional
    export PYTHONDONTWRITEBYTECODE=1
}
