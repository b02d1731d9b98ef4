/*
 * SNP: commands on the platform (SNP ABI 8)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

/* The table is the firmware's own from here on: no other may write it. */
static void initialize_rmp(Psp *psp, uint64_t base, uint64_t end)
{
    psp->host.rmp_clear(psp->host.opaque);
    for (uint64_t spa = base & ~(PSP_PAGE - 1ull); spa < end; spa += PSP_PAGE) {
        psp_page_set(psp, spa, PSP_PAGE_FIRMWARE);
    }
    psp->rmp_initialized = true;
}

static PspStatus initialize(Psp *psp, bool rmp, bool list_given, uint64_t list)
{
    PspHost *host = &psp->host;
    uint64_t base, end;

    if (psp->state != PSP_UNINIT) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (!host->snp_enabled(host->opaque) ||
        !host->rmp_range(host->opaque, &base, &end)) {
        return PSP_INVALID_CONFIG;
    }
    if (!rmp && !psp->rmp_initialized) {
        return PSP_RMP_INIT_REQUIRED;
    }
    if (rmp) {
        initialize_rmp(psp, base, end);
    }
    if (list_given) {
        PspStatus status = psp_pages_fix(psp, list);
        if (status != PSP_SUCCESS) {
            return status;
        }
    }
    host->rmp_enforce(host->opaque, true);
    psp->snp_state = PSP_INIT;
    psp->flushed = false;
    return PSP_SUCCESS;
}

PspStatus snp_init(PspCall *call)
{
    return initialize(call->psp, true, false, 0);
}

PspStatus snp_init_ex(PspCall *call)
{
    SnpInitEx *init = (SnpInitEx *)call->argument;
    return initialize(call->psp, init->flags & SNP_INIT_RMP,
                      init->flags & SNP_INIT_LIST, init->list);
}

static PspStatus shut_down(Psp *psp)
{
    PspHost *host = &psp->host;
    if (psp->state != PSP_UNINIT) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    for (uint32_t asid = 1; asid <= psp->config.asids; asid++) {
        if (host->asid_needs_flush(host->opaque, asid)) {
            return PSP_DFFLUSH_REQUIRED;
        }
    }
    psp_guests_drop(psp, true);
    psp->snp_state = PSP_UNINIT;
    host->rmp_enforce(host->opaque, false);
    return PSP_SUCCESS;
}

PspStatus snp_shutdown(PspCall *call)
{
    return shut_down(call->psp);
}

PspStatus snp_platform_status(PspCall *call)
{
    uint64_t spa = ((SnpAddress *)call->argument)->address;
    Psp *psp = call->psp;
    SnpPlatformStatus status = {
        .api_major = PSP_API_MAJOR,
        .api_minor = PSP_API_MINOR,
        .state = psp->snp_state,
        .rmp_initialized = psp->rmp_initialized,
        .build = PSP_BUILD,
        .flags = psp->config_flags,
        .guest_count = psp_guest_count(psp, true),
        .current_tcb = PSP_TCB,
        .reported_tcb = psp->reported_tcb,
    };
    if (!psp_write(psp, spa, &status, sizeof(status))) {
        return PSP_INVALID_ADDRESS;
    }
    if (psp->snp_state != PSP_UNINIT) {
        psp_page_set(psp, psp_address(spa), PSP_PAGE_RECLAIM);
    }
    return PSP_SUCCESS;
}

PspStatus snp_df_flush(PspCall *call)
{
    return sev_df_flush(call);
}

/* Each part of a version by itself: no part may be newer than it is. */
bool psp_tcb_newer(uint64_t tcb, uint64_t than)
{
    for (int shift = 0; shift < 64; shift += 8) {
        if ((tcb >> shift & 0xff) > (than >> shift & 0xff)) {
            return true;
        }
    }
    return false;
}

PspStatus snp_config(PspCall *call)
{
    SnpConfig *config = (SnpConfig *)call->argument;
    if (psp_tcb_newer(config->reported_tcb, PSP_TCB)) {
        return PSP_INVALID_PARAM;
    }
    call->psp->reported_tcb = config->reported_tcb ? config->reported_tcb
                                                   : PSP_TCB;
    call->psp->config_flags = config->flags;
    return PSP_SUCCESS;
}

/* There is one version of this firmware, and it is committed. */
PspStatus snp_commit(PspCall *call)
{
    (void)call;
    return PSP_SUCCESS;
}

/* Leaf 0x80000024, of which no feature is there. */
PspStatus snp_feature_info(PspCall *call)
{
    SnpFeatureInfo *info = (SnpFeatureInfo *)call->argument;
    const uint32_t registers[4] = {0};
    Psp *psp = call->psp;

    if (!psp_write(psp, info->address, registers, sizeof(registers))) {
        return PSP_INVALID_ADDRESS;
    }
    if (psp->snp_state != PSP_UNINIT) {
        psp_page_set(psp, psp_address(info->address), PSP_PAGE_RECLAIM);
    }
    return PSP_SUCCESS;
}
