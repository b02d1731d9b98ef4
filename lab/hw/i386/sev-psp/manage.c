/*
 * SEV: a guest's id and state, and debugging
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

PspStatus sev_activate(PspCall *call)
{
    SevActivate *activate = (SevActivate *)call->argument;
    psp_guest_activate(call->psp, call->guest, activate->asid);
    return PSP_SUCCESS;
}

PspStatus sev_deactivate(PspCall *call)
{
    psp_guest_deactivate(call->psp, call->guest);
    return PSP_SUCCESS;
}

PspStatus sev_decommission(PspCall *call)
{
    psp_guest_drop(call->psp, call->guest);
    call->guest = NULL;
    return PSP_SUCCESS;
}

PspStatus sev_guest_status(PspCall *call)
{
    SevGuestStatus *status = (SevGuestStatus *)call->argument;
    status->policy = call->guest->policy;
    status->asid = call->guest->asid;
    status->state = call->guest->state;
    return PSP_SUCCESS;
}

/*
 * Page by page: READ takes what is at SOURCE, WRITE puts it at TARGET; VEKs
 * stand for "through the key", NULL for as it is.
 */
static PspStatus move(PspCall *call, uint64_t source, const uint8_t *read_vek,
                      uint64_t target, const uint8_t *write_vek, uint64_t left)
{
    PspHost *host = &call->psp->host;
    uint8_t page[PSP_PAGE];

    source = psp_address(source);
    target = psp_address(target);
    call->pages = (left + PSP_PAGE - 1) / PSP_PAGE;
    while (left) {
        size_t size = MIN(left, sizeof(page));
        bool good = read_vek ? host->decrypt(host->opaque, read_vek, source,
                                             page, size)
                             : host->read(host->opaque, source, page, size);
        good = good &&
               (write_vek
                    ? host->encrypt(host->opaque, write_vek, target, page, size)
                    : host->write(host->opaque, target, page, size));
        if (!good) {
            return PSP_INVALID_ADDRESS;
        }
        source += size;
        target += size;
        left -= size;
    }
    return PSP_SUCCESS;
}

PspStatus sev_dbg_decrypt(PspCall *call)
{
    SevDebug *debug = (SevDebug *)call->argument;
    return move(call, debug->source, call->guest->vek, debug->target, NULL,
                debug->length);
}

PspStatus sev_dbg_encrypt(PspCall *call)
{
    SevDebug *debug = (SevDebug *)call->argument;
    return move(call, debug->source, NULL, debug->target, call->guest->vek,
                debug->length);
}

PspStatus sev_copy(PspCall *call)
{
    SevCopy *copy = (SevCopy *)call->argument;
    return move(call, copy->source, call->guest->vek, copy->target,
                call->guest->vek, copy->length);
}
