# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Firmware for confidential guests: which of Debian's packages has it.
# Sourced after common.sh.

# firmware NAME: the path of one of these, fetched and unpacked, not installed.
# A package that is in $KVM_RESET_SOURCES/firmware comes first, because
# Debian's archive keeps a version of its unstable suite only for a while.
firmware() {
    local name=$1 suite package file deb dir
    case $name in
    # Kept as it is for as long as Debian 12 is, so its digests can be known.
    ovmf) suite=bookworm package=ovmf=2022.11-6+deb12u2
        file=share/ovmf/OVMF.fd ;;
    # These have what a kernel's hashes need, and TDX.
    amdsev) suite=sid package=ovmf-amdsev file=share/ovmf/OVMF.amdsev.fd ;;
    inteltdx) suite=sid package=ovmf-inteltdx
        file=share/ovmf/OVMF.inteltdx.ms.fd ;;
    *) die "there is no firmware '$name': take ovmf, amdsev or inteltdx" ;;
    esac
    deb=$(find "${KVM_RESET_SOURCES:-/nonexistent}/firmware" -maxdepth 1 \
        -name "${package%%=*}_*.deb" 2>/dev/null | sort -V | tail -n 1) || true
    [ -n "$deb" ] ||
        deb=$(fetch_deb "$suite" "$package" "$KR_CACHE/firmware") || exit 1
    dir=$KR_CACHE/firmware/$(basename "$deb" .deb)
    unpack_deb_once "$deb" "$dir"
    [ -r "$dir/usr/$file" ] || die "$deb has no usr/$file"
    printf '%s\n' "$dir/usr/$file"
}
