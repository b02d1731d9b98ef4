# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The library, its tools and its tests, without QEMU. Sourced after common.sh.

# Debian's packages for all of it. Programs whose libraries are missing are left
# out by meson, and are told by name where somebody wants them.
LIBRARY_PACKAGES=(gcc g++ libc6-dev linux-libc-dev meson/backports ninja-build
    ccache pkgconf libglib2.0-dev libgtest-dev libbenchmark-dev nettle-dev
    openssl)

# What all share that want neither sanitizers nor other optimization.
KR_LIBRARY=$KR_BUILD/library

# library_build DIR PATTERN... [-- OPTION...]: builds the programs and libraries
# whose names match each PATTERN, a regular expression; a new DIR is set up with
# meson's OPTIONs.
library_build() {
    local dir=$1 pattern
    local -a patterns=() targets=() matching
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        patterns+=("$1")
        shift
    done
    # Directories of the same options have each other's objects.
    export CCACHE_BASEDIR=$KR_TOP CCACHE_NOHASHDIR=1
    if [ ! -e "$dir/build.ninja" ]; then
        CC="ccache gcc" CXX="ccache g++" \
            meson setup "$dir" "$KR_TOP" "${@:2}" ||
            { rm -rf "$dir"; return 1; }
    fi
    # In case a meson.build has changed.
    ninja -C "$dir" build.ninja || return 1
    for pattern in "${patterns[@]}"; do
        mapfile -t matching < <(library_targets "$dir" "$pattern")
        if [ ${#matching[@]} -eq 0 ]; then
            # It was set up before what this one needs was installed.
            meson setup --reconfigure "$dir" "$KR_TOP" || return 1
            mapfile -t matching < <(library_targets "$dir" "$pattern")
        fi
        [ ${#matching[@]} -gt 0 ] || die "$dir has no program $pattern"
        targets+=("${matching[@]}")
    done
    ninja -C "$dir" "${targets[@]}"
}

# library_targets DIR PATTERN
library_targets() {
    ninja -C "$1" -t targets all | sed -nE "s#^($2): .*_LINKER\$#\1#p"
}

# library_program DIR LOG NAME [-- OPTION...]: library_build of one, which says
# in a line what failed.
library_program() {
    local dir=$1 log=$2 name=$3
    (library_build "$dir" "${name//./\\.}" "${@:4}") >"$log" 2>&1 ||
        die "cannot build $name: $(grep -m 1 -E \
            'ERROR|error: |has no program' "$log"); see $log"
}

# library_tool NAME: a program for people, built if need be; $KR_TOOL is its path
# then. It needs less than all of LIBRARY_PACKAGES.
library_tool() {
    local dir=$KR_BUILD/tools log=$KR_BUILD/tools.log
    # libgtest-dev: the same meson project has the tests.
    install_packages g++ pkgconf libglib2.0-dev meson/backports ninja-build \
        ccache libgtest-dev
    require_space "$KR_BUILD" 100
    mkdir -p "$KR_BUILD"
    # Two at once would write the same directory.
    exec 8>"$KR_BUILD/tools.lock"
    flock 8
    [ -x "$dir/$1" ] || say "building $1"
    library_program "$dir" "$log" "$1"
    exec 8>&-
    # shellcheck disable=SC2034  # the caller's
    KR_TOOL=$dir/$1
}
