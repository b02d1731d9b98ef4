/*
 * SEV and SEV-ES: a guest's launch (SEV API 6)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

/* A guest with the handle of another shares its keys, if both policies may. */
static PspStatus share_keys(Psp *psp, PspGuest *guest, uint32_t handle)
{
    const PspGuest *other = psp_guest_find(psp, PSP_BY_HANDLE, handle);
    if (!other || other->state == PSP_GUEST_UNINIT) {
        return PSP_INVALID_GUEST;
    }
    if (other->policy != guest->policy || other->policy & SEV_POLICY_NOKS) {
        return PSP_POLICY_FAILURE;
    }
    memcpy(guest->vek, other->vek, sizeof(guest->vek));
    memcpy(guest->tek, other->tek, sizeof(guest->tek));
    memcpy(guest->tik, other->tik, sizeof(guest->tik));
    return PSP_SUCCESS;
}

static PspStatus session_keys(Psp *psp, PspGuest *guest,
                              const SevLaunchStart *start)
{
    SevCertificate owner;
    SevSession session;

    if (!start->dh_cert_length && !start->session_length) {
        psp->host.random(psp->host.opaque, guest->tek, sizeof(guest->tek));
        psp->host.random(psp->host.opaque, guest->tik, sizeof(guest->tik));
        return PSP_SUCCESS;
    }
    if (start->dh_cert_length < sizeof(owner) ||
        start->session_length < sizeof(session)) {
        return PSP_INVALID_LENGTH;
    }
    if (!psp_read(psp, start->dh_cert, &owner, sizeof(owner)) ||
        !psp_read(psp, start->session, &session, sizeof(session))) {
        return PSP_INVALID_ADDRESS;
    }
    return psp_session_open(psp, guest, &owner, &session);
}

static PspStatus check_policy(const Psp *psp, uint32_t policy)
{
    uint32_t major = policy >> 16 & 0xff, minor = policy >> 24;
    if (major > PSP_API_MAJOR ||
        (major == PSP_API_MAJOR && minor > PSP_API_MINOR)) {
        return PSP_POLICY_FAILURE;
    }
    return policy & SEV_POLICY_ES && !psp->es ? PSP_POLICY_FAILURE
                                              : PSP_SUCCESS;
}

PspStatus sev_launch_start(PspCall *call)
{
    SevLaunchStart *start = (SevLaunchStart *)call->argument;
    Psp *psp = call->psp;
    PspStatus status = check_policy(psp, start->policy);

    if (status != PSP_SUCCESS) {
        return status;
    }
    PspGuest *guest = psp_guest_new(psp, false);
    guest->policy = start->policy;
    guest->state = PSP_GUEST_LUPDATE;
    guest->measuring = psp_sha256_new();
    status = start->handle ? share_keys(psp, guest, start->handle)
                           : session_keys(psp, guest, start);
    if (status != PSP_SUCCESS) {
        psp_guest_drop(psp, guest);
        return status;
    }
    guest->handle = start->handle = ++psp->last_handle;
    psp_guest_add(psp, guest);
    psp_log(psp, guest, "init", "\"tee\": \"%s\"", psp_guest_tee(guest));
    return PSP_SUCCESS;
}

PspStatus sev_launch_update_data(PspCall *call)
{
    SevGuestBuffer *update = (SevGuestBuffer *)call->argument;
    PspHost *host = &call->psp->host;
    uint64_t at = psp_address(update->address);
    uint32_t left = update->length;
    uint8_t page[PSP_PAGE];

    call->pages = (left + PSP_PAGE - 1ull) / PSP_PAGE;
    while (left) {
        uint32_t size = MIN(left, sizeof(page));
        if (!host->read(host->opaque, at, page, size) ||
            !host->encrypt(host->opaque, call->guest->vek, at, page, size)) {
            return PSP_INVALID_ADDRESS;
        }
        psp_sha256_update(call->guest->measuring, page, size);
        at += size;
        left -= size;
    }
    return PSP_SUCCESS;
}

PspStatus sev_launch_update_vmsa(PspCall *call)
{
    SevGuestBuffer *update = (SevGuestBuffer *)call->argument;
    PspHost *host = &call->psp->host;
    uint64_t at = psp_address(update->address);
    uint8_t page[PSP_PAGE], digest[48];

    if (!host->read(host->opaque, at, page, sizeof(page)) ||
        !host->seal_vmsa(host->opaque, call->guest->vek, at, page)) {
        return PSP_INVALID_ADDRESS;
    }
    psp_sha256_update(call->guest->measuring, page, sizeof(page));
    psp_sha384(page, sizeof(page), digest);
    psp_log(call->psp, call->guest, "vmsa", "\"vcpu\": %u, \"sha384\": \"%s\"",
            call->guest->vmsas++, psp_hex(digest, sizeof(digest)).text);
    return PSP_SUCCESS;
}

/* HMAC(TIK; 4 ‖ API ‖ build ‖ policy ‖ digest ‖ nonce) */
static void measure(Psp *psp, PspGuest *guest, SevMeasurement *result)
{
    struct PSP_PACKED {
        uint8_t context, major, minor, build;
        uint32_t policy;
        uint8_t digest[32], nonce[16];
    } input = {4,  PSP_API_MAJOR, PSP_API_MINOR, PSP_BUILD, guest->policy, {0},
               {0}};

    psp_sha256_value(guest->measuring, guest->digest);
    memcpy(input.digest, guest->digest, sizeof(input.digest));
    psp->host.random(psp->host.opaque, input.nonce, sizeof(input.nonce));
    psp_hmac_sha256(guest->tik, sizeof(guest->tik), &input, sizeof(input),
                    guest->measurement);
    memcpy(result->mac, guest->measurement, sizeof(result->mac));
    memcpy(result->nonce, input.nonce, sizeof(result->nonce));
}

PspStatus sev_launch_measure(PspCall *call)
{
    SevGuestBuffer *wanted = (SevGuestBuffer *)call->argument;
    PspGuest *guest = call->guest;
    SevMeasurement result;
    uint32_t room = wanted->length;

    wanted->length = sizeof(result);
    if (room < sizeof(result)) {
        return PSP_INVALID_LENGTH;
    }
    measure(call->psp, guest, &result);
    if (!psp_write(call->psp, wanted->address, &result, sizeof(result))) {
        return PSP_INVALID_ADDRESS;
    }
    guest->state = PSP_GUEST_LSECRET;
    psp_log(call->psp, guest, "measure",
            "\"tee\": \"%s\", \"digest\": \"%s\", \"measurement\": \"%s\"",
            psp_guest_tee(guest),
            psp_hex(guest->digest, sizeof(guest->digest)).text,
            psp_hex(&result, sizeof(result)).text);
    return PSP_SUCCESS;
}

/* HMAC(TIK; 1 ‖ flags ‖ IV ‖ lengths ‖ packet ‖ launch measurement) */
static void secret_mac(const PspGuest *guest, const SevSecretHeader *header,
                       uint32_t guest_length, const uint8_t *packet,
                       uint32_t length, uint8_t mac[32])
{
    const uint8_t context = 1;
    GByteArray *input = g_byte_array_new();
    g_byte_array_append(input, &context, sizeof(context));
    g_byte_array_append(input, (const uint8_t *)&header->flags, 4);
    g_byte_array_append(input, header->iv, sizeof(header->iv));
    g_byte_array_append(input, (const uint8_t *)&guest_length, 4);
    g_byte_array_append(input, (const uint8_t *)&length, 4);
    g_byte_array_append(input, packet, length);
    g_byte_array_append(input, guest->measurement, sizeof(guest->measurement));
    psp_hmac_sha256(guest->tik, sizeof(guest->tik), input->data, input->len,
                    mac);
    g_byte_array_free(input, true);
}

PspStatus sev_launch_secret(PspCall *call)
{
    SevLaunchSecret *secret = (SevLaunchSecret *)call->argument;
    PspHost *host = &call->psp->host;
    SevSecretHeader header;
    uint8_t packet[PSP_SECRET_MAX], mac[32];
    uint32_t length = secret->packet_length;

    if (length != secret->guest_length || length > sizeof(packet)) {
        return PSP_INVALID_LENGTH;
    }
    if (!psp_read(call->psp, secret->header, &header, sizeof(header)) ||
        !psp_read(call->psp, secret->packet, packet, length)) {
        return PSP_INVALID_ADDRESS;
    }
    secret_mac(call->guest, &header, secret->guest_length, packet, length, mac);
    if (memcmp(mac, header.mac, sizeof(mac)) != 0) {
        return PSP_BAD_MEASUREMENT;
    }
    if (header.flags) {
        return PSP_UNSUPPORTED; /* compressed */
    }
    psp_aes128_ctr(call->guest->tek, header.iv, packet, length);
    if (!host->encrypt(host->opaque, call->guest->vek,
                       psp_address(secret->guest), packet, length)) {
        return PSP_INVALID_ADDRESS;
    }
    psp_log(call->psp, call->guest, "secret", "\"length\": %u", length);
    return PSP_SUCCESS;
}

PspStatus sev_launch_finish(PspCall *call)
{
    PspGuest *guest = call->guest;
    guest->state = PSP_GUEST_RUNNING;
    psp_log(call->psp, guest, "launch",
            "\"tee\": \"%s\", \"digest\": \"%s\", \"policy\": %u, "
            "\"vcpus\": %u, \"asid\": %u",
            psp_guest_tee(guest),
            psp_hex(guest->digest, sizeof(guest->digest)).text,
            (uint32_t)guest->policy, guest->vmsas, guest->asid);
    return PSP_SUCCESS;
}

PspStatus sev_attestation(PspCall *call)
{
    SevAttestation *wanted = (SevAttestation *)call->argument;
    PspGuest *guest = call->guest;
    SevReport report = {
        {0}, {0}, guest->policy, SEV_USAGE_PEK, SEV_ALGORITHM_ECDSA_SHA256, 0,
        {0}, {0}};
    uint8_t digest[32];
    uint32_t room = wanted->length;

    wanted->length = sizeof(report);
    if (room < sizeof(report)) {
        return PSP_INVALID_LENGTH;
    }
    psp_certificates_need(call->psp);
    memcpy(report.nonce, wanted->nonce, sizeof(report.nonce));
    psp_sha256_value(guest->measuring, report.digest);
    psp_sha256(&report, offsetof(SevReport, signature_usage), digest);
    psp_sign(&call->psp->pek.key, psp_random, call->psp, digest, sizeof(digest),
             report.r, report.s);
    return psp_write(call->psp, wanted->address, &report, sizeof(report))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}
