/*
 * SNP: attestation reports and derived keys (SNP ABI 7.2 and 7.3)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who has the chip's secret can make the VCEK, and so its certificate; see
 * lab/attestation.
 */

#include "internal.h"

#include <string.h>

#define REPORT_VERSION 2
#define SIGNED_BY_VCEK (0u << 2)
#define SIGNED_BY_NONE (7u << 2)
#define KEY_INFO_AUTHOR 1u
#define KEY_INFO_MASKED 2u
#define KEY_ANY_OR_VCEK(key) ((key) < 2)

static void vcek_of(const Psp *psp, uint64_t tcb, PspKeyPair *key)
{
    uint8_t seed[64];
    psp_derive(psp, "VCEK", &tcb, sizeof(tcb), seed, sizeof(seed));
    psp_key_of(key, seed);
}

static void fill_report(Psp *psp, const PspGuest *guest,
                        const SnpReportRequest *request, SnpReport *report)
{
    report->version = REPORT_VERSION;
    report->guest_svn = guest->id_block.guest_svn;
    report->policy = guest->policy;
    memcpy(report->family_id, guest->id_block.family_id, 16);
    memcpy(report->image_id, guest->id_block.image_id, 16);
    report->vmpl = request->vmpl;
    report->signature_algorithm = SNP_ID_ALGORITHM_P384_SHA384;
    report->current_tcb = report->committed_tcb = PSP_TCB;
    report->key_info = guest->author_key ? KEY_INFO_AUTHOR : 0;
    memcpy(report->report_data, request->data, sizeof(request->data));
    memcpy(report->measurement, guest->snp_digest, 48);
    memcpy(report->host_data, guest->host_data, 32);
    memcpy(report->id_key_digest, guest->id_key_digest, 48);
    memcpy(report->author_key_digest, guest->author_key_digest, 48);
    memcpy(report->report_id, guest->report_id, 32);
    memset(report->report_id_ma, 0xff, sizeof(report->report_id_ma));
    report->reported_tcb = psp->reported_tcb;
    if (!(psp->config_flags & SNP_MASK_CHIP_ID)) {
        psp_derive(psp, "chip id", NULL, 0, report->chip_id,
                   sizeof(report->chip_id));
    }
    report->current_build = report->committed_build = PSP_BUILD;
    report->current_minor = report->committed_minor = PSP_API_MINOR;
    report->current_major = report->committed_major = PSP_API_MAJOR;
    report->launch_tcb = guest->launch_tcb;
}

static void sign_report(Psp *psp, SnpReport *report)
{
    uint8_t digest[48];
    PspKeyPair vcek;

    if (psp->config_flags & SNP_MASK_CHIP_KEY) {
        report->key_info |= KEY_INFO_MASKED | SIGNED_BY_NONE;
        return;
    }
    report->key_info |= SIGNED_BY_VCEK;
    vcek_of(psp, psp->reported_tcb, &vcek);
    psp_sha384(report, offsetof(SnpReport, signature), digest);
    psp_sign(&vcek, psp_random, psp, digest, sizeof(digest),
             report->signature.r, report->signature.s);
}

/* A guest speaks for the VMPL whose key it has, and for those below it. */
void snp_answer_report(Psp *psp, const PspGuest *guest, uint8_t vmpck,
                       const void *question, void *answer)
{
    const SnpReportRequest *request = question;
    SnpReportResponse *response = answer;

    if (request->vmpl > 3 || request->vmpl < vmpck) {
        response->status = PSP_INVALID_PARAM;
        return;
    }
    if (!KEY_ANY_OR_VCEK(request->key) || guest->vcek_disabled) {
        response->status = PSP_INVALID_KEY; /* no VLEK is loaded */
        return;
    }
    response->size = sizeof(response->report);
    fill_report(psp, guest, request, &response->report);
    sign_report(psp, &response->report);
    psp_log(psp, guest, "report", "\"digest\": \"%s\", \"vmpl\": %u",
            psp_hex(guest->snp_digest, sizeof(guest->snp_digest)).text,
            request->vmpl);
}

/* GUEST_FIELD_SELECT */
enum {
    KEY_POLICY = 1,
    KEY_IMAGE_ID = 2,
    KEY_FAMILY_ID = 4,
    KEY_MEASUREMENT = 8,
    KEY_GUEST_SVN = 16,
    KEY_TCB = 32,
    KEY_ALL = 63,
};

void snp_answer_key(Psp *psp, const PspGuest *guest, uint8_t vmpck,
                    const void *question, void *answer)
{
    const SnpKeyRequest *request = question;
    SnpKeyResponse *response = answer;
    uint64_t fields = request->fields;
    uint8_t root[32];
    struct PSP_PACKED {
        uint64_t fields, policy;
        uint8_t image_id[16], family_id[16], measurement[48], host_data[32],
            id_key_digest[48];
        uint32_t vmpl, guest_svn;
        uint64_t tcb;
    } mix = {.fields = fields, .vmpl = request->vmpl};

    if (request->root || guest->vcek_disabled) {
        response->status = PSP_INVALID_KEY; /* there is no VMRK */
        return;
    }
    if (fields & ~(uint64_t)KEY_ALL || request->reserved || request->vmpl > 3 ||
        request->vmpl < vmpck ||
        request->guest_svn > guest->id_block.guest_svn ||
        psp_tcb_newer(request->tcb, PSP_TCB)) {
        response->status = PSP_INVALID_PARAM;
        return;
    }
    mix.policy = fields & KEY_POLICY ? guest->policy : 0;
    if (fields & KEY_IMAGE_ID) {
        memcpy(mix.image_id, guest->id_block.image_id, 16);
    }
    if (fields & KEY_FAMILY_ID) {
        memcpy(mix.family_id, guest->id_block.family_id, 16);
    }
    if (fields & KEY_MEASUREMENT) {
        memcpy(mix.measurement, guest->snp_digest, 48);
    }
    mix.guest_svn = fields & KEY_GUEST_SVN ? request->guest_svn : 0;
    mix.tcb = fields & KEY_TCB ? request->tcb : 0;
    memcpy(mix.host_data, guest->host_data, 32);
    memcpy(mix.id_key_digest, guest->id_key_digest, 48);
    psp_derive(psp, "guest keys", NULL, 0, root, sizeof(root));
    psp_kdf(root, sizeof(root), "guest key", &mix, sizeof(mix), response->key,
            sizeof(response->key));
}
