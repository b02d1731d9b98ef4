# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Is this machine's own /dev/kvm good enough? Its answers to ioctls do not
# tell (it may be emulated, or interpret only part of what a CPU does), so it
# has to boot the small guest once. Sourced after common.sh.

# The first boot on real hardware takes about a second.
KR_HOST_KVM_PATIENCE=20

# host_kvm_boots_linux: if not, host_kvm_why says why not.
host_kvm_boots_linux() {
    local boot answer
    boot=$(cat /proc/sys/kernel/random/boot_id)
    answer=$KR_CACHE/host-kvm-$boot
    if [ ! -e "$answer" ]; then
        mkdir -p "$KR_CACHE"
        rm -f "$KR_CACHE"/host-kvm-*
        kr_try_host_kvm >"$answer.$$"
        mv "$answer.$$" "$answer"
    fi
    host_kvm_why=$(cat "$answer")
    [ "$host_kvm_why" = "boots Linux" ]
}

# Prints what this machine's /dev/kvm does, to follow its name in a sentence.
kr_try_host_kvm() {
    local KERNEL INITRD said log=$KR_CACHE/host-kvm.log status=0
    if [ ! -e /dev/kvm ]; then
        echo "is missing"
        return
    elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
        echo "is not open to this user"
        return
    fi
    : >"$log"
    said=$("$KR_TOP/scripts/guest") || exit 1
    KERNEL=$(sed -n 's/^KERNEL=//p' <<<"$said")
    INITRD=$(sed -n 's/^INITRD=//p' <<<"$said")
    say "trying whether /dev/kvm boots Linux"
    # The braces take in what the shell says of a QEMU that died.
    {
        timeout --signal=KILL $KR_HOST_KVM_PATIENCE \
            qemu-system-x86_64 -accel kvm -cpu host -machine q35 -smp 2 \
            -m 256 -nodefaults -no-user-config -display none -no-reboot \
            -serial "file:$log" -kernel "$KERNEL" -initrd "$INITRD" \
            -append "console=ttyS0 quiet kr.do=poweroff"
    } </dev/null >/dev/null 2>"$log.qemu" || status=$?
    if grep -q 'kvm-reset-guest: ready' "$log"; then
        echo "boots Linux"
    elif [ $status -eq 137 ]; then
        echo "does not boot Linux in $KR_HOST_KVM_PATIENCE s"
    else
        said=$(grep -m 1 '^qemu-system' "$log.qemu") || true
        echo "does not boot Linux (${said:-QEMU ended with status $status})"
    fi
}
