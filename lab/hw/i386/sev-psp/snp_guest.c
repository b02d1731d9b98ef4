/*
 * SNP: a guest's context, id, state, and debugging
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

/* What is in the page is the firmware's own matter; here: nothing. */
PspStatus snp_gctx_create(PspCall *call)
{
    uint64_t spa = psp_address(((SnpAddress *)call->argument)->address);
    static const uint8_t zeros[PSP_PAGE];
    Psp *psp = call->psp;

    if (!psp_write(psp, spa, zeros, sizeof(zeros))) {
        return PSP_INVALID_ADDRESS;
    }
    psp_page_set(psp, spa, PSP_PAGE_CONTEXT);
    PspGuest *guest = psp_guest_new(psp, true);
    guest->gctx = spa;
    guest->state = PSP_SNP_INIT;
    psp_guest_add(psp, guest);
    psp_log(psp, guest, "init", "\"tee\": \"snp\"");
    return PSP_SUCCESS;
}

PspStatus snp_activate(PspCall *call)
{
    SnpActivate *activate = (SnpActivate *)call->argument;
    psp_guest_activate(call->psp, call->guest, activate->asid);
    return PSP_SUCCESS;
}

PspStatus snp_decommission(PspCall *call)
{
    uint64_t gctx = call->guest->gctx;
    psp_guest_drop(call->psp, call->guest);
    call->guest = NULL;
    psp_page_set(call->psp, gctx, PSP_PAGE_FIRMWARE);
    return PSP_SUCCESS;
}

PspStatus snp_guest_status(PspCall *call)
{
    uint64_t spa = psp_address(((SnpGuestStatus *)call->argument)->address);
    SnpGuestStatusPage status = {
        .policy = call->guest->policy,
        .asid = call->guest->asid,
        .state = call->guest->state - PSP_SNP_INIT,
    };
    if (!psp_write(call->psp, spa, &status, sizeof(status))) {
        return PSP_INVALID_ADDRESS;
    }
    psp_page_set(call->psp, spa, PSP_PAGE_RECLAIM);
    return PSP_SUCCESS;
}

static bool is_of_guest(PspCall *call, uint64_t spa)
{
    PspRmp entry;
    return call->psp->host.rmp_get(call->psp->host.opaque, spa, &entry) &&
           entry.assigned && entry.asid == call->guest->asid;
}

/* Bytes that the guest did not encrypt are noise, as for the guest itself. */
PspStatus snp_dbg_decrypt(PspCall *call)
{
    SnpDebug *debug = (SnpDebug *)call->argument;
    PspHost *host = &call->psp->host;
    uint64_t source = psp_address(debug->source);
    uint8_t page[PSP_PAGE];

    if (!is_of_guest(call, source)) {
        return PSP_INVALID_PAGE_OWNER;
    }
    return host->decrypt(host->opaque, call->guest->vek, source, page,
                         sizeof(page)) &&
                   psp_write(call->psp, debug->target, page, sizeof(page))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}

PspStatus snp_dbg_encrypt(PspCall *call)
{
    SnpDebug *debug = (SnpDebug *)call->argument;
    PspHost *host = &call->psp->host;
    uint64_t target = psp_address(debug->target);
    uint8_t page[PSP_PAGE];

    if (!is_of_guest(call, target)) {
        return PSP_INVALID_PAGE_OWNER;
    }
    return psp_read(call->psp, debug->source, page, sizeof(page)) &&
                   host->encrypt(host->opaque, call->guest->vek, target, page,
                                 sizeof(page))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}
