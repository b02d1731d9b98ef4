/*
 * A SEV guest that asks to be terminated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The request is that of AMD's GHCB specification (56421), "Termination
 * Request" of the GHCB's MSR: in bits 12 to 15 whose reasons it is one of, in
 * bits 16 to 23 which.  Set 0 is the specification's, set 1 Linux'.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "exec/cpu-common.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "system/runstate-action.h"

static const char *reason(unsigned set, unsigned code)
{
    static const char *const known[] = {
        "no reason is given",
        "the host's GHCB protocol is none that it knows",
        "SEV-SNP lacks a feature that it needs",
    };

    return set == 0 && code < ARRAY_SIZE(known) ? known[code]
                                                : "a reason of its own";
}

int kvm_guest_terminated(uint64_t request)
{
    unsigned set = request >> 12 & 0xf, code = request >> 16 & 0xff;

    error_report("the guest asks to be terminated: %s (set %u, code %u)",
                 reason(set, code), set, code);
    bql_lock();
    qemu_system_guest_panicked(NULL);
    bql_unlock();
    /* Run on, it could only ask the same again. */
    return panic_action == PANIC_ACTION_NONE ? -1 : EXCP_INTERRUPT;
}
