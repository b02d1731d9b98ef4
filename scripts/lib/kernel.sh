# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Debian's Linux (6.12, or 7.3 when asked for) and its busybox, for the appliance
# and for the small guest, and headers, for the catalogue's test: downloaded and
# unpacked, never installed. Sourced after common.sh.

# What KVM must be built with; 6.1 of Debian 12, for one, lacks most of it.
KR_KERNEL_NEEDS="KVM_AMD KVM_XEN KVM_HYPERV KVM_SMM KVM_PRIVATE_MEM"

# get_kernel [6.12|7.3]: sets KR_KERNEL (a directory like / with boot/ and
# lib/modules/) and KR_RELEASE (what uname -r says in it).
get_kernel() {
    local version=${1:-6.12} link=$KR_CACHE/kernel/current
    [ "$version" = 6.12 ] || link=$link-$version
    if [ ! -e "$link" ]; then
        require_space "$KR_CACHE" 400
        mkdir -p "$KR_CACHE/kernel"
        # Two scripts may want it at once.
        (
            flock 9
            [ -e "$link" ] || kr_unpack_kernel "$version" "$link"
        ) 9>"$KR_CACHE/kernel/lock" || exit 1
    fi
    KR_KERNEL=$(readlink -f "$link")
    KR_RELEASE=$(basename "$KR_KERNEL")
}

# get_busybox: sets KR_BUSYBOX, the path of a static one.
get_busybox() {
    local deb dir=$KR_CACHE/busybox
    KR_BUSYBOX=$dir/bin/busybox
    if [ ! -x "$KR_BUSYBOX" ]; then
        deb=$(fetch_deb "$(debian_codename)" busybox-static "$KR_CACHE/deb")
        unpack_deb "$deb" "$dir.$$"
        # Debian 13 has it in /usr/bin alone.
        [ -e "$dir.$$/bin" ] || ln -s usr/bin "$dir.$$/bin"
        mv -T "$dir.$$" "$dir" 2>/dev/null || rm -rf "$dir.$$"
    fi
}

# kernel_headers VERSION: the headers of that Linux for userspace, of every
# architecture, in a directory like QEMU's linux-headers/.
kernel_headers() {
    local deb dir asm arch
    deb=$(fetch_deb trixie-backports "linux-libc-dev=$1*" \
        "$KR_CACHE/headers") || exit 1
    dir=$KR_CACHE/headers/$(basename "$deb" .deb)
    unpack_deb_once "$deb" "$dir"
    [ -r "$dir/usr/include/linux/kvm.h" ] ||
        die "$deb has no usr/include/linux/kvm.h: not supported"
    ln -sfn usr/include/linux "$dir/linux"
    for asm in "$dir"/usr/lib/linux/uapi/*/asm; do
        arch=$(basename "$(dirname "$asm")")
        ln -sfn "usr/lib/linux/uapi/$arch/asm" "$dir/asm-$arch"
    done
    printf '%s\n' "$dir"
}

kernel_image() {
    printf '%s\n' "$KR_KERNEL/boot/vmlinuz-$KR_RELEASE"
}

# The same unpacked, an ELF file, so that an emulated CPU need not do it. Its
# place is in the header of the Linux boot protocol; behind it is its length.
kernel_elf() {
    local image elf=$KR_KERNEL/boot/vmlinux setup offset length
    if [ ! -e "$elf" ]; then
        image=$(kernel_image)
        setup=$(kr_number "$image" 0x1f1 1)
        offset=$(kr_number "$image" 0x248 4)
        length=$(kr_number "$image" 0x24c 4)
        head -c $(((setup + 1) * 512 + offset + length - 4)) "$image" |
            tail -c $((length - 4)) | zstd -dcq >"$elf.$$" ||
            die "cannot unpack $image: delete $KR_KERNEL and try again"
        mv "$elf.$$" "$elf"
    fi
    printf '%s\n' "$elf"
}

kr_number() {
    od -An -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# kernel_modules NAME...: the files of these modules and of all that they need,
# each after what it needs. What the kernel has built in needs no file.
kernel_modules() {
    local name
    for name in "$@"; do
        modprobe -d "$KR_KERNEL" -S "$KR_RELEASE" -C /dev/null \
            --show-depends "$name" ||
            die "Linux $KR_RELEASE in $KR_KERNEL has no module $name:" \
                "delete that directory and try again"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# pack_modules ROOT NAME...: puts them into ROOT/modules, unpacked because that
# is quicker here than on an emulated CPU, and their order into ROOT/modules/order.
pack_modules() {
    local root=$1 file name
    shift
    mkdir -p "$root/modules"
    : >"$root/modules/order"
    kernel_modules "$@" | while read -r file; do
        name=$(basename "${file%.xz}")
        xz -dc "$file" >"$root/modules/$name"
        echo "$name" >>"$root/modules/order"
    done
}

# pack_drivers ROOT NAME...: the same where modprobe looks for them, so that a
# guest can load those that its devices ask for.
pack_drivers() {
    local root=$1 dir=$1/lib/modules/$KR_RELEASE file
    shift
    mkdir -p "$dir"
    kernel_modules "$@" | while read -r file; do
        xz -dc "$file" >"$dir/$(basename "${file%.xz}")"
    done
    cp "$KR_KERNEL/lib/modules/$KR_RELEASE"/modules.builtin* "$dir/"
    touch "$dir/modules.order"
    depmod -b "$root" "$KR_RELEASE" || die "depmod failed in $root"
    rm -f "$dir"/modules.*.bin "$dir"/modules.builtin*
}

# pack_initrd ROOT FILE: ROOT's files, owned by root, as an initramfs.
# Not compressed: QEMU copies it into memory at once, and the guest's CPU is
# the slow one.
pack_initrd() {
    (cd "$1" && find . -print0 | LC_ALL=C sort -z |
        cpio --null --create --format=newc --owner=+0:+0 --reproducible \
            --quiet) >"$2.$$" || die "cannot write $2"
    mv "$2.$$" "$2"
}

# The metapackage names the kernel of the day.
kr_unpack_kernel() {
    local version=$1 link=$2 codename suite meta package deb work release
    local option config
    local -a packages debs=()
    codename=$(debian_codename)
    suite=$codename
    [ "$codename" != bookworm ] || suite=bookworm-backports
    [ "$version" = 6.12 ] || suite=trixie-backports
    meta=$(fetch_deb "$suite" linux-image-amd64 "$KR_CACHE/deb/$version")
    package=$(dpkg-deb -f "$meta" Depends |
        grep -oE "linux-image-${version/./\\.}[^ ,]*" | head -n 1) || true
    if [ -z "$package" ]; then
        die "linux-image-amd64 of $suite is $(dpkg-deb -f "$meta" Version)," \
            "not $version: not supported"
    fi
    packages=("$package")
    # Later ones come in parts, and this one is empty.
    [ "$version" = 6.12 ] ||
        packages=("${package/image/base}" "${package/image/binary}"
            "${package/image/modules}")
    work=$KR_CACHE/kernel/unpack.$$
    for package in "${packages[@]}"; do
        # A metapackage kept from long ago may name what the archive has
        # dropped.
        deb=$(fetch_deb "$suite" "$package" "$KR_CACHE/deb") ||
            { rm -f "$meta"; exit 1; }
        say "unpacking $package"
        unpack_deb "$deb" "$work"
        debs+=("$deb")
    done
    [ -d "$work/lib" ] || ln -s usr/lib "$work/lib"
    release=$(basename "$work"/lib/modules/*)
    if [ ! -e "$work/boot/vmlinuz-$release" ]; then
        mkdir -p "$work/boot"
        ln -s "../lib/modules/$release/vmlinuz" "$work/boot/vmlinuz-$release"
    fi
    config=$(find "$work/boot/config-$release" \
        "$work/lib/modules/$release/config" 2>/dev/null | head -n 1) || true
    for option in $KR_KERNEL_NEEDS; do
        # Later ones have no option for what is always there.
        [ "$version" = 6.12 ] || [ "$option" != KVM_PRIVATE_MEM ] || continue
        grep -qE "^CONFIG_$option=[ym]$" "$config" ||
            die "$package has no CONFIG_$option: not supported"
    done
    depmod -b "$work" "$release" ||
        die "depmod failed in $work: delete that directory and try again"
    rm -rf "$KR_CACHE/kernel/$release"
    mv "$work" "$KR_CACHE/kernel/$release"
    ln -sfn "$release" "$link"
    # 100 MiB that are not needed again.
    rm -f "${debs[@]}" "$meta"
}
