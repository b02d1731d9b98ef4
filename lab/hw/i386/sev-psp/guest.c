/*
 * Guests, and the ids and keys that they hold
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

/* A bit that no address has parts them. */
static uint64_t make_key(bool snp, uint64_t number)
{
    return number | (snp ? 1ull << 63 : 0);
}

static uint64_t key_of(const PspGuest *guest)
{
    return make_key(guest->snp, guest->snp ? guest->gctx : guest->handle);
}

PspGuest *psp_guest_new(Psp *psp, bool snp)
{
    PspGuest *guest = g_new0(PspGuest, 1);
    guest->snp = snp;
    guest->log_number = ++psp->last_log_number;
    psp->host.random(psp->host.opaque, guest->vek, sizeof(guest->vek));
    return guest;
}

PspGuest *psp_guest_find(Psp *psp, PspFinds how, uint64_t key)
{
    bool snp = how == PSP_BY_GCTX;
    key = make_key(snp, snp ? psp_address(key) : key);
    return g_hash_table_lookup(psp->guests, &key);
}

/* WORKING is: there are guests. */
static void update_state(Psp *psp, bool snp)
{
    PspState *state = snp ? &psp->snp_state : &psp->state;
    if (*state != PSP_UNINIT) {
        *state = psp_guest_count(psp, snp) ? PSP_WORKING : PSP_INIT;
    }
}

void psp_guest_add(Psp *psp, PspGuest *guest)
{
    uint64_t *key = g_new(uint64_t, 1);
    *key = key_of(guest);
    g_hash_table_insert(psp->guests, key, guest);
    update_state(psp, guest->snp);
}

/* Its keys go with it, and nothing of them stays in memory. */
void psp_guest_drop(Psp *psp, PspGuest *guest)
{
    uint64_t key = key_of(guest);
    psp_guest_deactivate(psp, guest);
    g_hash_table_remove(psp->guests, &key);
    update_state(psp, guest->snp);
    g_free(guest->measuring);
    memset(guest, 0, sizeof(*guest));
    g_free(guest);
}

void psp_guests_drop(Psp *psp, bool snp)
{
    GList *guests = g_hash_table_get_values(psp->guests);
    for (GList *link = guests; link; link = link->next) {
        PspGuest *guest = link->data;
        if (guest->snp == snp) {
            psp_guest_drop(psp, guest);
        }
    }
    g_list_free(guests);
}

uint32_t psp_guest_count(Psp *psp, bool snp)
{
    GHashTableIter iter;
    gpointer guest;
    uint32_t count = 0;
    g_hash_table_iter_init(&iter, psp->guests);
    while (g_hash_table_iter_next(&iter, NULL, &guest)) {
        count += ((PspGuest *)guest)->snp == snp;
    }
    return count;
}

bool psp_asid_owned(Psp *psp, uint32_t asid, const PspGuest *but)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, psp->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const PspGuest *guest = value;
        if (guest != but && asid && guest->asid == asid) {
            return true;
        }
    }
    return false;
}

/* The low ones are for SEV-ES and SNP, the others for SEV (APM 2, 15.34). */
bool psp_asid_valid(Psp *psp, uint32_t asid, bool es)
{
    return es ? asid >= 1 && asid <= psp->config.es_asids
              : asid > psp->config.es_asids && asid <= psp->config.asids;
}

static const char *pool_of(const Psp *psp, uint32_t asid)
{
    return asid <= psp->config.es_asids ? "es" : "sev";
}

void psp_guest_activate(Psp *psp, PspGuest *guest, uint32_t asid)
{
    guest->asid = asid;
    psp->host.key_install(psp->host.opaque, asid, guest->vek);
    psp_log(psp, guest, "asid_taken", "\"pool\": \"%s\", \"asid\": %u",
            pool_of(psp, asid), asid);
}

void psp_guest_deactivate(Psp *psp, PspGuest *guest)
{
    uint32_t asid = guest->asid;
    if (!asid) {
        return;
    }
    guest->asid = 0;
    psp->host.key_remove(psp->host.opaque, asid);
    psp_log(psp, guest, "asid_freed", "\"pool\": \"%s\", \"asid\": %u",
            pool_of(psp, asid), asid);
}

const char *psp_guest_tee(const PspGuest *guest)
{
    if (guest->snp) {
        return "snp";
    }
    return guest->policy & SEV_POLICY_ES ? "sev-es" : "sev";
}
