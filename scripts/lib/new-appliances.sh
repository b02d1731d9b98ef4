# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Emulation of AMD-V fails now and then, with the appliance's kernel the victim:
# that says nothing of what ran there. Sourced after common.sh.

# in_new_appliances MOST RESULTS COMMAND...: runs COMMAND, which is in an
# appliance, and runs it again while that fails (status 125), as long as it gets
# anywhere: MOST failures in a row that leave no line more in RESULTS are the
# end. /dev/null for RESULTS: MOST in all. Returns COMMAND's status.
in_new_appliances() {
    local most=$1 results=$2 before stuck=0 status
    shift 2
    while :; do
        before=$(wc -l 2>/dev/null <"$results") || before=0
        status=0
        "$@" || status=$?
        [ "$status" -eq 125 ] || return "$status"
        stuck=$((stuck + 1))
        [ "$(wc -l 2>/dev/null <"$results")" = "$before" ] || stuck=0
        [ "$stuck" -lt "$most" ] || return "$status"
        say "the appliance failed: going on in a new one"
    done
}
