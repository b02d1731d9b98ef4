/*
 * SNP: states of pages (SNP ABI 5.3)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

PspPageState psp_page_state(Psp *psp, uint64_t spa)
{
    PspRmp entry;
    if (!psp->host.rmp_get(psp->host.opaque, spa, &entry)) {
        return PSP_PAGE_NONE;
    }
    if (!entry.assigned) {
        return entry.immutable ? PSP_PAGE_HV_FIXED : PSP_PAGE_HYPERVISOR;
    }
    if (entry.asid) {
        if (entry.immutable) {
            return entry.validated ? PSP_PAGE_PRE_SWAP : PSP_PAGE_PRE_GUEST;
        }
        return entry.validated ? PSP_PAGE_GUEST_VALID : PSP_PAGE_GUEST_INVALID;
    }
    if (!entry.immutable) {
        return PSP_PAGE_RECLAIM;
    }
    if (entry.vmsa) {
        return PSP_PAGE_CONTEXT;
    }
    return entry.gpa ? PSP_PAGE_METADATA : PSP_PAGE_FIRMWARE;
}

bool psp_page_set(Psp *psp, uint64_t spa, PspPageState state)
{
    PspRmp entry;
    if (!psp->host.rmp_get(psp->host.opaque, spa, &entry)) {
        return false;
    }
    bool guest = state == PSP_PAGE_PRE_GUEST || state == PSP_PAGE_PRE_SWAP ||
                 state == PSP_PAGE_GUEST_INVALID ||
                 state == PSP_PAGE_GUEST_VALID;
    entry.assigned = state != PSP_PAGE_HYPERVISOR && state != PSP_PAGE_HV_FIXED;
    entry.immutable = state != PSP_PAGE_HYPERVISOR &&
                      state != PSP_PAGE_RECLAIM &&
                      state != PSP_PAGE_GUEST_INVALID &&
                      state != PSP_PAGE_GUEST_VALID;
    entry.validated = state == PSP_PAGE_PRE_SWAP ||
                      state == PSP_PAGE_GUEST_VALID;
    if (!guest) {
        entry.asid = 0;
        entry.gpa = 0;
        entry.vmsa = state == PSP_PAGE_CONTEXT;
        memset(entry.perms, 0, sizeof(entry.perms));
    }
    return psp->host.rmp_set(psp->host.opaque, spa, &entry);
}

/* Page by page over a list of ranges, as SNP_INIT_EX and SET_STATE have it. */
static PspStatus each_page(Psp *psp, const SnpRangeList *list,
                           PspStatus (*visit)(Psp *psp, uint64_t spa))
{
    if (list->count > G_N_ELEMENTS(list->range)) {
        return PSP_INVALID_PARAM;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        const SnpRange *range = &list->range[i];
        uint64_t base = psp_address(range->base);
        if (base % PSP_PAGE) {
            return PSP_INVALID_ADDRESS;
        }
        for (uint32_t page = 0; page < range->pages; page++) {
            PspStatus status = visit(psp, base + (uint64_t)page * PSP_PAGE);
            if (status != PSP_SUCCESS) {
                return status;
            }
        }
    }
    return PSP_SUCCESS;
}

/* Addresses that no RMP entry covers, as those of devices, need none. */
static PspStatus can_be_fixed(Psp *psp, uint64_t spa)
{
    switch (psp_page_state(psp, spa)) {
    case PSP_PAGE_NONE:
    case PSP_PAGE_HYPERVISOR:
    case PSP_PAGE_HV_FIXED:
    case PSP_PAGE_FIRMWARE:
        return PSP_SUCCESS;
    default:
        return PSP_INVALID_PAGE_STATE;
    }
}

static PspStatus make_fixed(Psp *psp, uint64_t spa)
{
    psp_page_set(psp, spa, PSP_PAGE_HV_FIXED);
    return PSP_SUCCESS;
}

PspStatus psp_pages_fix(Psp *psp, uint64_t list_at)
{
    SnpRangeList list;
    if (!psp_read(psp, list_at, &list, sizeof(list))) {
        return PSP_INVALID_ADDRESS;
    }
    PspStatus status = each_page(psp, &list, can_be_fixed);
    return status == PSP_SUCCESS ? each_page(psp, &list, make_fixed) : status;
}

PspStatus snp_page_set_state(PspCall *call)
{
    SnpPageSetState *set = (SnpPageSetState *)call->argument;
    return psp_pages_fix(call->psp, set->list);
}

/* Bit 0 of the address: it is a page of 2 MiB. */
PspStatus snp_page_reclaim(PspCall *call)
{
    SnpAddress *reclaim = (SnpAddress *)call->argument;
    uint64_t spa = psp_address(reclaim->address) & ~1ull;
    bool size_2m = reclaim->address & 1;
    PspRmp entry;

    if (spa % (size_2m ? PSP_PAGE_2M : PSP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    if (!call->psp->host.rmp_get(call->psp->host.opaque, spa, &entry)) {
        return PSP_INVALID_ADDRESS;
    }
    if (entry.size_2m != size_2m) {
        return PSP_INVALID_PAGE_SIZE;
    }
    switch (psp_page_state(call->psp, spa)) {
    case PSP_PAGE_RECLAIM:
        return PSP_SUCCESS;
    case PSP_PAGE_METADATA:
    case PSP_PAGE_FIRMWARE:
    case PSP_PAGE_PRE_GUEST:
    case PSP_PAGE_PRE_SWAP:
        psp_page_set(call->psp, spa, PSP_PAGE_RECLAIM);
        return PSP_SUCCESS;
    default:
        return PSP_INVALID_PAGE_STATE;
    }
}
