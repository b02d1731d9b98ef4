/*
 * SEV: commands on the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

static PspStatus initialize(Psp *psp, uint32_t flags)
{
    psp->es = flags & SEV_INIT_ES;
    psp->flushed = false;
    psp->state = PSP_INIT;
    return PSP_SUCCESS;
}

PspStatus sev_init(PspCall *call)
{
    SevInit *init = (SevInit *)call->argument;
    return initialize(call->psp, init->flags);
}

/*
 * The area of the persistent data says in its first bytes which chip wrote it;
 * an erased one (all ones, or zeros as Linux makes it) is begun anew.
 */
PspStatus sev_init_ex(PspCall *call)
{
    SevInitEx *init = (SevInitEx *)call->argument;
    Psp *psp = call->psp;
    uint8_t mark[32], mine[32], erased[2][32];

    memset(erased[0], 0, sizeof(erased[0]));
    memset(erased[1], 0xff, sizeof(erased[1]));
    psp_derive(psp, "persistent data", NULL, 0, mine, sizeof(mine));
    if (!psp_read(psp, init->nv, mark, sizeof(mark))) {
        return PSP_INVALID_ADDRESS;
    }
    bool known = memcmp(mark, mine, sizeof(mine)) == 0 ||
                 memcmp(mark, erased[0], sizeof(mark)) == 0 ||
                 memcmp(mark, erased[1], sizeof(mark)) == 0;
    psp_write(psp, init->nv, mine, sizeof(mine));
    return known ? initialize(psp, init->flags) : PSP_SECURE_DATA_INVALID;
}

PspStatus sev_shutdown(PspCall *call)
{
    psp_guests_drop(call->psp, false);
    call->psp->state = PSP_UNINIT;
    call->psp->es = false;
    return PSP_SUCCESS;
}

PspStatus sev_factory_reset(PspCall *call)
{
    call->psp->external_owner = false;
    psp_certificates_new_pek(call->psp);
    return PSP_SUCCESS;
}

PspStatus sev_platform_status(PspCall *call)
{
    SevPlatformStatus *status = (SevPlatformStatus *)call->argument;
    Psp *psp = call->psp;
    memset(status, 0, sizeof(*status));
    status->api_major = PSP_API_MAJOR;
    status->api_minor = PSP_API_MINOR;
    status->build = PSP_BUILD;
    status->state = psp->state;
    status->owner = psp->external_owner;
    status->config = psp->es;
    status->guest_count = psp_guest_count(psp, false);
    return PSP_SUCCESS;
}

PspStatus sev_df_flush(PspCall *call)
{
    Psp *psp = call->psp;
    if (!psp->host.written_back(psp->host.opaque)) {
        return PSP_WBINVD_REQUIRED;
    }
    psp->host.df_flush(psp->host.opaque);
    psp->flushed = true;
    psp_log(psp, NULL, "flush", NULL);
    return PSP_SUCCESS;
}

/* One socket: 64 bytes. */
PspStatus sev_get_id(PspCall *call)
{
    SevBuffer *buffer = (SevBuffer *)call->argument;
    uint8_t id[64];
    uint32_t room = buffer->length;

    buffer->length = sizeof(id);
    if (room < sizeof(id)) {
        return PSP_INVALID_LENGTH;
    }
    psp_derive(call->psp, "chip id", NULL, 0, id, sizeof(id));
    return psp_write(call->psp, buffer->address, id, sizeof(id))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}
