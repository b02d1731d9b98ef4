# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What every script here needs: where things are, words to the user, and
# packages of Debian. Sourced, never run. Each function that can fail ends the
# script itself with one line, so callers need not check. (Mind that bash hides
# a failure in `local x=$(f)`: write `local x; x=$(f)`; and that it turns
# errexit off inside `$(...)`: there, write `x=$(f) || exit 1`.)

KR_TOP=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
KR_BUILD=${KVM_RESET_BUILD:-$KR_TOP/build}
KR_CACHE=$KR_BUILD/cache
KR_NAME=$(basename "$0")
# Runs a command of scripts/kvm_reset: "${KR_PYTHON[@]}" COMMAND ARG...
KR_PYTHON=(/usr/bin/python3 -B "$KR_TOP/scripts/kvm_reset")
# Where apt's own entries are read from; tests point it elsewhere.
KR_APT_ETC=${KR_APT_ETC:-/etc/apt}

# say MSG...: progress. To stderr, since stdout is for what a script answers.
say() {
    printf '%s: %s\n' "$KR_NAME" "$*" >&2
}

# die MSG...: what failed, on what, and what to do.
die() {
    printf '%s: error: %s\n' "$KR_NAME" "$*" >&2
    exit 1
}

# require_root WHY
require_root() {
    [ "$(id -u)" -eq 0 ] || die "${*:-this} needs root: run it with sudo"
}

# require_space DIR MIB: DIR need not exist yet.
require_space() {
    local dir=$1 need=$2 have
    while [ ! -d "$dir" ]; do
        dir=$(dirname "$dir")
    done
    have=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
    [ "$have" -ge "$need" ] ||
        die "$dir has $have MiB free and $need MiB are needed:" \
            "free some, or set KVM_RESET_BUILD to a directory on another disk"
}

# debian_codename: bookworm or trixie; nothing else is supported.
debian_codename() {
    local id codename
    # os-release is a shell fragment by its own specification.
    id=$(. /etc/os-release 2>/dev/null && echo "${ID:-}") || true
    codename=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") ||
        true
    case "$id/$codename" in
    debian/bookworm | debian/trixie) echo "$codename" ;;
    *) die "this is '$id $codename': use Debian 12 (bookworm) or 13 (trixie)" ;;
    esac
}

# kr_apt_entry TYPE SUITE...: the machine's own apt entry, the first one whose
# suite is this release, with its type and suites replaced. So mirrors, proxies
# and keys are those the machine trusts, and /etc/apt stays as it is.
# Prints deb822 whichever form the machine uses.
kr_apt_entry() {
    local type=$1 codename file entry
    shift
    codename=$(debian_codename) || exit 1
    for file in "$KR_APT_ETC"/sources.list "$KR_APT_ETC"/sources.list.d/*; do
        [ -r "$file" ] || continue
        case $file in
        *.sources) entry=$(kr_entry_of_deb822 "$file" "$codename") ;;
        *.list) entry=$(kr_entry_of_list "$file" "$codename") ;;
        *) continue ;;
        esac
        if [ -n "$entry" ]; then
            printf 'Types: %s\nSuites: %s\n%s\n' "$type" "$*" "$entry"
            return 0
        fi
    done
    die "no apt entry for $codename in $KR_APT_ETC/sources.list or" \
        "$KR_APT_ETC/sources.list.d: add the one of a fresh Debian"
}

# Everything but Types and Suites of FILE's first stanza for CODENAME.
kr_entry_of_deb822() {
    awk -v codename="$2" '
        function flush(    i, found) {
            split(suites, word, /[ \t]+/)
            for (i in word) {
                found = found || word[i] == codename
            }
            if (found && types ~ /(^|[ \t])deb([ \t]|$)/ && !disabled) {
                printf "%s", kept
                done = 1
                exit
            }
            kept = suites = types = field = ""
            disabled = 0
        }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        !/^[ \t]/ { field = tolower($0); sub(/:.*/, "", field) }
        {
            value = $0
            if (value !~ /^[ \t]/) {
                sub(/^[^:]*:/, "", value)
            }
            if (field == "suites") {
                suites = suites " " value
            } else if (field == "types") {
                types = types " " value
            } else {
                if (field == "enabled" && tolower(value) ~ /no|false|0/) {
                    disabled = 1
                }
                kept = kept $0 "\n"
            }
        }
        END { if (!done) { flush() } }' "$1"
}

# The same of FILE's first one-line entry for CODENAME.
kr_entry_of_list() {
    awk -v codename="$2" '
        /^[ \t]*deb[ \t]/ {
            sub(/#.*/, "")
            options = ""
            if (match($0, /\[[^]]*\]/)) {
                options = substr($0, RSTART + 1, RLENGTH - 2)
                $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
            }
            if ($3 != codename) {
                next
            }
            printf "URIs: %s\nComponents:", $2
            for (i = 4; i <= NF; i++) {
                printf " %s", $i
            }
            printf "\n"
            n = split(options, option, /[ \t]+/)
            for (i = 1; i <= n; i++) {
                if (split(option[i], pair, "=") < 2) {
                    continue
                }
                name = pair[1]
                value = substr(option[i], length(name) + 2)
                gsub(/,/, " ", value)
                if (name == "arch") {
                    name = "Architectures"
                } else if (name == "lang") {
                    name = "Languages"
                } else if (name == "target") {
                    name = "Targets"
                }
                printf "%s: %s\n", name, value
            }
            exit
        }' "$1"
}

# suite_apt TYPE SUITES TOOL ARG...: runs apt-get or apt-cache on lists of its
# own for SUITES (blank separated), TYPE deb or deb-src. For instance
#   suite_apt deb bookworm-backports apt-cache depends linux-image-amd64
# With the tool `true` it only sees to it that the lists are there.
suite_apt() {
    local type=$1 suites=$2 tool=$3 dir
    shift 3
    dir=$KR_CACHE/apt/$type-${suites// /+}
    local -a words
    read -ra words <<<"$suites"
    local -a options=(
        -o "Dir::Etc::sourcelist=$dir/machine.sources"
        -o "Dir::Etc::sourceparts=/dev/null"
        -o "Dir::State::Lists=$dir/lists"
        # The machine's own cache is of the machine's own lists.
        -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
        # A cache under /root is nothing that the user _apt can read.
        -o "APT::Sandbox::User=root"
        -o "Acquire::Retries=2" -o "DPkg::Lock::Timeout=600")
    mkdir -p "$dir/lists/partial"
    (
        flock 9
        kr_apt_entry "$type" "${words[@]}" >"$dir/machine.sources.new" || exit 1
        if ! cmp -s "$dir/machine.sources.new" "$dir/machine.sources" ||
            [ -z "$(find "$dir/updated" -mtime -1 2>/dev/null)" ]; then
            say "reading the package lists of $suites ($type)"
            mv "$dir/machine.sources.new" "$dir/machine.sources"
            rm -f "$dir/updated"
            kr_apt_logged "cannot get the package lists of $suites" \
                apt-get "${options[@]}" -o APT::Update::Error-Mode=any update
            touch "$dir/updated"
        fi
        rm -f "$dir/machine.sources.new"
    ) 9>"$dir/lock" || exit 1
    "$tool" "${options[@]}" "$@"
}

# kr_apt_logged WHAT COMMAND...: runs it quietly; its last complaint ends the
# script in one line.
kr_apt_logged() {
    local what=$1 log=$KR_CACHE/apt/log.$BASHPID why
    shift
    mkdir -p "$KR_CACHE/apt"
    if DEBIAN_FRONTEND=noninteractive "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    why=$(sed -n 's/^E: //p' "$log" | head -n 1)
    why=${why:-$(tail -n 1 "$log")}
    if grep -qiE 'resolv|connect|timeout|timed out|unreachable' "$log"; then
        why="$why (is there a network?)"
    fi
    die "$what: $why; all of apt's output is in $log"
}

# kr_installed PKG[/backports]
kr_installed() {
    local pkg=${1%/backports} state
    # Each of a package's architectures has a line of its own.
    state=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$pkg" \
        2>/dev/null | grep '^ii ') || return 1
    if [ "$pkg" != "$1" ] && [ "$(debian_codename)" = bookworm ]; then
        [[ $state == *~bpo* ]]
    fi
}

# install_packages PKG...: what is missing of them. PKG/backports is this
# release's backport on Debian 12, whose own is too old, and plain on 13.
install_packages() {
    local pkg codename
    local -a plain=() backports=()
    codename=$(debian_codename) || exit 1
    for pkg in "$@"; do
        if kr_installed "$pkg"; then
            continue
        elif [[ $pkg == */backports && $codename == bookworm ]]; then
            backports+=("${pkg%/backports}")
        else
            plain+=("${pkg%/backports}")
        fi
    done
    [ $((${#plain[@]} + ${#backports[@]})) -gt 0 ] || return 0
    require_root "installing ${plain[*]} ${backports[*]}"

    local -a install=(install -y --no-install-recommends)
    if [ ${#plain[@]} -gt 0 ]; then
        say "installing ${plain[*]}"
        # The machine's lists may be missing (a fresh container) or old.
        if [ -z "$(find /var/lib/apt/lists -name '*Packages*' -mtime -7 \
            -print -quit 2>/dev/null)" ]; then
            kr_apt_update
        fi
        if ! DEBIAN_FRONTEND=noninteractive apt-get \
            -o DPkg::Lock::Timeout=600 "${install[@]}" "${plain[@]}" \
            </dev/null >/dev/null 2>&1; then
            kr_apt_update
            kr_apt_logged "cannot install ${plain[*]}" apt-get \
                -o DPkg::Lock::Timeout=600 "${install[@]}" "${plain[@]}"
        fi
    fi
    if [ ${#backports[@]} -gt 0 ]; then
        say "installing ${backports[*]} of $codename-backports"
        # With -t and not PKG/SUITE, so that what they need may come from there
        # too: the release's own, if installed, is not always new enough.
        suite_apt deb "$codename $codename-backports" true
        kr_apt_logged "cannot install ${backports[*]}" \
            suite_apt deb "$codename $codename-backports" apt-get \
            -t "$codename-backports" "${install[@]}" "${backports[@]}"
    fi
}

kr_apt_update() {
    kr_apt_logged "cannot get this machine's package lists" apt-get \
        -o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any update
}

# fetch_deb SUITE PKG[=VERSION] DIR: the path of PKG's .deb, now in DIR.
fetch_deb() {
    local suite=$1 pkg=${2%%=*} version="" dir=$3 work deb
    [[ $2 != *=* ]] || version=${2#*=}
    mkdir -p "$dir"
    # A colon (of an epoch) is %3a in a .deb's name.
    deb=$(find "$dir" -maxdepth 1 -name "${pkg}_${version/:/%3a}*.deb" |
        sort -V | tail -n 1)
    if [ -z "$deb" ]; then
        suite_apt deb "$suite" true
        work=$(mktemp -d "$dir/.fetch.XXXXXX")
        say "downloading $2 of $suite"
        (cd "$work" && kr_apt_logged "cannot download $2 of $suite" \
            suite_apt deb "$suite" apt-get download "$2") ||
            { rm -rf "$work"; exit 1; }
        deb=$(find "$work" -name '*.deb')
        mv "$deb" "$dir/"
        rmdir "$work"
        deb=$dir/$(basename "$deb")
    fi
    printf '%s\n' "$deb"
}

# fetch_source SUITE PKG[=VERSION] DIR: the path of PKG's .dsc, now in DIR with
# the files that it names. VERSION is without epoch and may be a glob (10.2*).
fetch_source() {
    local suite=$1 pkg=${2%%=*} version='*' dir=$3 dsc found work
    [[ $2 != *=* ]] || version=${2#*=}
    mkdir -p "$dir"
    # A .dsc is moved here last, so where one is, the rest is too.
    dsc=$(find "$dir" -maxdepth 1 -name "${pkg}_$version.dsc" |
        sort -V | tail -n 1)
    if [ -z "$dsc" ]; then
        found=$(suite_apt deb-src "$suite" apt-cache showsrc --only-source \
            "$pkg" | awk '$1 == "Version:" { print $2 }' | sort -V) || exit 1
        found=$(while read -r v; do
            # shellcheck disable=SC2053  # a glob is meant
            [[ ${v#*:} != $version ]] || echo "$v"
        done <<<"$found" | tail -n 1)
        [ -n "$found" ] || die "$suite has no source package $2"
        work=$(mktemp -d "$dir/.fetch.XXXXXX")
        say "downloading the source of $pkg $found of $suite"
        (cd "$work" && kr_apt_logged "cannot download $2 of $suite" \
            suite_apt deb-src "$suite" apt-get source --download-only \
            --only-source "$pkg=$found") ||
            { rm -rf "$work"; exit 1; }
        dsc=$(find "$work" -name '*.dsc')
        find "$work" -type f ! -name '*.dsc' -exec mv -t "$dir" {} +
        mv "$dsc" "$dir/"
        rmdir "$work"
        dsc=$dir/$(basename "$dsc")
    fi
    printf '%s\n' "$dsc"
}

# unpack_deb DEB DIR
unpack_deb() {
    mkdir -p "$2"
    dpkg-deb -x "$1" "$2" || die "cannot unpack $1: delete it and try again"
}

# unpack_deb_once DEB DIR: unless DIR is there. Others may do the same at once.
unpack_deb_once() {
    local new=$2.new.$BASHPID
    [ ! -e "$2" ] || return 0
    rm -rf "$new"
    unpack_deb "$1" "$new"
    mv -T "$new" "$2" 2>/dev/null || rm -rf "$new"
}
