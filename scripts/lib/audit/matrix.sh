# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154  # what is not set here is of scripts/audit
#
# The half of scripts/audit --matrix that runs here: a guest, and machines.

# Uses $matrix, $qemu, $recorder, $out, $run and the options; prints a line for
# each command line, and leaves $json. Status as of matrix.py.
audit_matrix() {
    local guest command results=$out/results before stuck=0 status
    guest=$("$KR_TOP/scripts/guest")
    get_kernel
    rm -f "$results"
    command=(/usr/bin/python3 -B "$KR_TOP/scripts/lib/audit/matrix.py"
        --match "$matrix" --qemu "$qemu" --recorder "$recorder"
        --results "$results" --quiet "$quiet" --patience "$patience"
        --kernel "$(kernel_elf)" --initrd "$(sed -n 's/^INITRD=//p' <<<"$guest")"
        "${preload[@]}")
    [ -z "$keep" ] || command+=(--keep "$out")
    while :; do
        before=$(wc -l 2>/dev/null <"$results") || before=0
        status=0
        # Whatever hangs in there has its own patience; this is for the rest.
        "${run[@]}" "${command[@]}" || status=$?
        [ $status -eq 125 ] || break
        # The appliance failed: what is left goes on in a new one.
        stuck=$((stuck + 1))
        [ "$(wc -l 2>/dev/null <"$results")" = "$before" ] || stuck=0
        [ $stuck -lt 3 ] || { say "the appliance failed: try again"; return 2; }
        say "the appliance failed: going on in a new one"
    done
    [ -z "$json" ] || [ ! -e "$results" ] || cp "$results" "$json"
    return $status
}
