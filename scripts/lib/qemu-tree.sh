# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# QEMU's source: where it comes from, and a pristine copy of it under
# $KR_BUILD/src. Sourced after common.sh.

# The version of Debian 13, and the one whose other edges are tried too.
QEMU_DEFAULT=10.0

# qemu_pristine VERSION SOURCE: the path of a pristine tree. VERSION (10.0)
# or SOURCE (a tree, a tarball, a .dsc) may be empty. SOURCE is only read.
qemu_pristine() {
    local version=$1 source=$2 tree
    if [ -z "$source" ]; then
        version=${version:-$QEMU_DEFAULT}
        source=$(qemu_debian_source "$version") || exit 1
    fi
    [ -e "$source" ] || die "--source $source: there is no such file"
    source=$(readlink -f "$source")
    mkdir -p "$KR_BUILD/src"
    if [ -d "$source" ]; then
        tree=$(qemu_copy_tree "$source" "$version") || exit 1
    else
        tree=$(qemu_unpack "$source" "$version") || exit 1
    fi
    qemu_check_tree "$tree"
    printf '%s\n' "$tree"
}

# qemu_version TREE: 10.0 of 10.0.13.
qemu_version() {
    local version
    version=$("${KR_PYTHON[@]}" qemu.series "$1" 2>&1) || die "$version"
    printf '%s\n' "$version"
}

# qemu_check_version TREE WANTED
qemu_check_version() {
    local found supported
    found=$(qemu_version "$1") || exit 1
    supported=$(grep -v '^#' "$KR_TOP/patches/versions" | xargs)
    [[ " $supported " == *" $found "* ]] ||
        die "$1 is QEMU $found, which is not supported: take ${supported// / or }"
    [ -z "$2" ] || [ "$2" = "$found" ] ||
        die "$1 is QEMU $found, and --qemu asks for $2: leave one of them out"
}

# Debian's .dsc of VERSION.
qemu_debian_source() {
    local version=$1 dsc
    case $version in
    10.0)
        fetch_source trixie 'qemu=10.0*' "$KR_CACHE/qemu"
        ;;
    10.2)
        # Debian's archive keeps a version of its unstable suite for a while
        # only, so a copy kept by somebody comes first.
        for dsc in "${KVM_RESET_SOURCES:-/nonexistent}"/qemu-10.2/*.dsc \
            "$KR_CACHE"/qemu/qemu_10.2*.dsc; do
            if [ -e "$dsc" ]; then
                printf '%s\n' "$dsc"
                return 0
            fi
        done
        fetch_source sid 'qemu=10.2*' "$KR_CACHE/qemu" || {
            say "if you have QEMU 10.2, say --source TREE, TARBALL or DSC"
            exit 1
        }
        ;;
    *)
        die "QEMU $version is not supported: --qemu takes 10.0 or 10.2"
        ;;
    esac
}

# A tree of the user's may change at any time, so it is looked through anew
# each time; what stays as it was costs little.
qemu_copy_tree() {
    local source=$1 version=$2 tree
    qemu_check_version "$source" "$version"
    tree=$KR_BUILD/src/qemu-$(qemu_version "$source").orig
    case $source/ in
    "$KR_BUILD"/src/qemu-*.orig/) printf '%s\n' "$source"; return ;;
    "$KR_BUILD"/src/*) die "--source $source: give the original, not a tree" \
        "under $KR_BUILD" ;;
    esac
    say "copying $source"
    rm -f "$tree.from"
    "${KR_PYTHON[@]}" qemu.tree_sync "$source" "$tree" || die "cannot copy $source to $tree"
    printf '%s\n' "$tree"
}

qemu_unpack() {
    local source=$1 version=$2 identity work tree stamp
    identity="$source $(stat -c '%s %Y' "$source")"
    for stamp in "$KR_BUILD"/src/qemu-*.orig.from; do
        if [ -d "${stamp%.from}" ] && [ "$(cat "$stamp")" = "$identity" ]; then
            qemu_check_version "${stamp%.from}" "$version"
            printf '%s\n' "${stamp%.from}"
            return 0
        fi
    done
    say "unpacking $(basename "$source")"
    work=$(mktemp -d "$KR_BUILD/src/.unpack.XXXXXX")
    # So that a failure half-way leaves nothing behind.
    # shellcheck disable=SC2064  # this very directory is meant
    trap "rm -rf '$work'" EXIT
    case $source in
    *.dsc)
        install_packages dpkg-dev xz-utils patch
        dpkg-source --no-check -x "$source" "$work/tree" \
            >"$work/log" 2>&1 ||
            die "dpkg-source cannot unpack $source: $(tail -n 1 "$work/log")"
        ;;
    *.tar | *.tar.*)
        install_packages xz-utils bzip2
        mkdir "$work/tree"
        tar -C "$work/tree" --strip-components=1 -xf "$source" 2>"$work/log" ||
            die "tar cannot unpack $source: $(tail -n 1 "$work/log")"
        ;;
    *)
        die "--source $source: it is no directory, .dsc or .tar.*"
        ;;
    esac
    qemu_check_version "$work/tree" "$version"
    tree=$KR_BUILD/src/qemu-$(qemu_version "$work/tree").orig
    # What is unpacked has old times, so that ninja would see no change.
    rm -rf "$tree" "$tree.from" "$KR_BUILD/$(basename "$tree" .orig)-pristine"
    mv "$work/tree" "$tree"
    printf '%s\n' "$identity" >"$tree.from"
    rm -rf "$work"
    trap - EXIT
    printf '%s\n' "$tree"
}

# What a tree may lack so that it cannot be built.
qemu_check_tree() {
    local tree=$1
    [ -e "$tree/subprojects/keycodemapdb/meson.build" ] ||
        die "$tree has no subprojects/keycodemapdb: run 'meson subprojects" \
            "download keycodemapdb' in your tree"
    # Debian's upstream part has the firmware taken out; its patches make
    # the build do without.
    [ -d "$tree/debian" ] || compgen -G "$tree/pc-bios/edk2-*.bz2" >/dev/null ||
        die "this is the upstream part of Debian's source, which does not" \
            "build by itself: give the .dsc beside it"
}
