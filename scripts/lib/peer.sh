# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A QEMU 11 to compare with: Debian unstable's, with the libraries that it
# wants. Downloaded and unpacked, never installed, so that it runs on a Debian
# whose own libraries are older. Sourced after common.sh.

KR_PEER_SUITE=sid

# get_peer: sets KR_PEER, a program that runs that QEMU.
get_peer() {
    local dir=$KR_CACHE/peer
    KR_PEER=$dir/qemu-system-x86_64
    [ ! -x "$KR_PEER" ] || return 0
    require_space "$KR_CACHE" 400
    mkdir -p "$dir"
    # Two scripts may want it at once.
    (
        flock 9
        [ -x "$KR_PEER" ] || kr_unpack_peer "$dir"
    ) 9>"$dir/lock" || exit 1
}

kr_unpack_peer() {
    local dir=$1 deb
    suite_apt deb "$KR_PEER_SUITE" true
    mkdir -p "$dir/archives/partial" "$dir/root"
    # Nothing counts as installed: all that it needs is fetched.
    : >"$dir/status"
    say "downloading QEMU of $KR_PEER_SUITE with its libraries"
    kr_apt_logged "cannot download QEMU of $KR_PEER_SUITE" \
        suite_apt deb "$KR_PEER_SUITE" apt-get \
        -o "Dir::State::status=$dir/status" \
        -o "Dir::Cache::archives=$dir/archives" \
        install -y --no-install-recommends --download-only qemu-system-x86
    # Libraries are in /lib or in /usr/lib, as each package has it.
    mkdir -p "$dir/root/usr/lib" "$dir/root/usr/lib64"
    ln -sfn usr/lib "$dir/root/lib"
    ln -sfn usr/lib64 "$dir/root/lib64"
    for deb in "$dir"/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -C "$dir/root" -x --keep-directory-symlink ||
            die "cannot unpack $deb: delete $dir and try again"
    done
    rm -rf "$dir/archives"
    kr_peer_program "$dir/root" >"$dir/program.new"
    chmod +x "$dir/program.new"
    "$dir/program.new" --version >"$dir/version" 2>&1 ||
        die "QEMU of $KR_PEER_SUITE does not start: $(tail -n 1 "$dir/version")"
    mv "$dir/program.new" "$dir/qemu-system-x86_64"
}

# kr_peer_program ROOT: a script that runs the QEMU unpacked there. The loader
# is its own too: a library and a loader of different versions do not fit.
kr_peer_program() {
    local lib=$1/usr/lib/x86_64-linux-gnu
    cat <<END
#!/bin/sh
QEMU_MODULE_DIR='$lib/qemu' exec '$lib/ld-linux-x86-64.so.2' \\
    --argv0 "\$0" --library-path '$lib:$lib/pulseaudio' \\
    '$1/usr/bin/qemu-system-x86_64' \\
    -L '$1/usr/share/qemu' -L '$1/usr/share/seabios' "\$@"
END
}
