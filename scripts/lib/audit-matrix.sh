# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154  # what is not set here is of scripts/audit
#
# The half of scripts/audit --matrix that runs here: a guest, and machines.

# Uses $matrix, $qemu, $recorder, $out, $run and the options; prints a line for
# each command line, and leaves $json. Status as of audit.matrix.
audit_matrix() {
    local guest command results=$out/results status=0
    guest=$("$KR_TOP/scripts/guest")
    get_kernel
    rm -f "$results"
    command=("${KR_PYTHON[@]}" audit.matrix
        --match "$matrix" --qemu "$qemu" --recorder "$recorder"
        --results "$results" --quiet "$quiet" --patience "$patience"
        --kernel "$(kernel_elf)" --initrd "$(sed -n 's/^INITRD=//p' <<<"$guest")"
        "${preload[@]}")
    [ -z "$keep" ] || command+=(--keep "$out")
    # Whatever hangs in there has its own patience; this is for the rest.
    "${KR_PYTHON[@]}" new_appliances 3 "$results" "${run[@]}" "${command[@]}" ||
        status=$?
    [ $status -ne 125 ] || { say "the appliance failed: try again"; return 2; }
    [ -z "$json" ] || [ ! -e "$results" ] || cp "$results" "$json"
    return $status
}
