/*
 * SNP: a guest's launch, page by page
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

static bool policy_holds(uint64_t policy)
{
    uint8_t minor = policy, major = policy >> 8;
    return policy & SNP_POLICY_ONE && !(policy & SNP_POLICY_RESERVED) &&
           (major < PSP_API_MAJOR ||
            (major == PSP_API_MAJOR && minor <= PSP_API_MINOR));
}

PspStatus snp_launch_start(PspCall *call)
{
    SnpLaunchStart *start = (SnpLaunchStart *)call->argument;
    PspGuest *guest = call->guest;

    if (!policy_holds(start->policy)) {
        return PSP_POLICY_FAILURE;
    }
    /* Migration agents and images are not simulated. */
    if (start->flags & (SNP_START_MA | SNP_START_IMI)) {
        return PSP_UNSUPPORTED;
    }
    guest->policy = start->policy;
    guest->state = PSP_SNP_LAUNCH;
    guest->launch_tcb = PSP_TCB;
    memcpy(guest->gosvw, start->gosvw, sizeof(guest->gosvw));
    psp_random(call->psp, sizeof(guest->report_id), guest->report_id);
    psp_random(call->psp, sizeof(guest->vmpck), guest->vmpck[0]);
    return PSP_SUCCESS;
}

/* The next link of the chain, SNP ABI 8.17 */
static void extend(PspGuest *guest, SnpPageType type, uint64_t gpa,
                   const uint8_t perms[3], const uint8_t *contents)
{
    SnpPageInfo info = {
        .length = sizeof(info),
        .type = type,
        .perms = {perms[2], perms[1], perms[0]},
        .gpa = gpa,
    };
    memcpy(info.digest, guest->snp_digest, sizeof(info.digest));
    if (contents) {
        psp_sha384(contents, PSP_PAGE, info.contents);
    }
    psp_sha384(&info, sizeof(info), guest->snp_digest);
}

static void fill_secrets(Psp *psp, const PspGuest *guest, uint8_t *page)
{
    SnpSecrets *secrets = (SnpSecrets *)page;
    uint32_t out[4];

    memset(secrets, 0, sizeof(*secrets));
    psp->host.cpuid(psp->host.opaque, 1, 0, out);
    secrets->version = 3;
    secrets->imi = guest->imi;
    secrets->fms = out[0];
    memcpy(secrets->gosvw, guest->gosvw, sizeof(secrets->gosvw));
    memcpy(secrets->vmpck, guest->vmpck, sizeof(secrets->vmpck));
}

/* One page of 4 KiB, which is where it shall be. */
static PspStatus update(PspCall *call, SnpPageType type, uint64_t spa,
                        uint64_t gpa, const uint8_t perms[3])
{
    PspHost *host = &call->psp->host;
    PspGuest *guest = call->guest;
    uint8_t page[PSP_PAGE];
    bool measured = type == SNP_PAGE_NORMAL || type == SNP_PAGE_VMSA;

    if (!host->read(host->opaque, spa, page, sizeof(page))) {
        return PSP_INVALID_ADDRESS;
    }
    if (type == SNP_PAGE_CPUID &&
        !snp_cpuid_correct(call->psp, (SnpCpuidPage *)page)) {
        host->write(host->opaque, spa, page, sizeof(page));
        return PSP_INVALID_PARAM;
    }
    if (type == SNP_PAGE_ZERO) {
        memset(page, 0, sizeof(page));
    } else if (type == SNP_PAGE_SECRETS) {
        fill_secrets(call->psp, guest, page);
    }
    if (!host->encrypt(host->opaque, guest->vek, spa, page, sizeof(page))) {
        return PSP_INVALID_ADDRESS;
    }
    extend(guest, type, gpa, perms, measured ? page : NULL);
    if (type == SNP_PAGE_VMSA) {
        uint8_t digest[48];
        psp_sha384(page, sizeof(page), digest);
        psp_log(call->psp, guest, "vmsa", "\"vcpu\": %u, \"sha384\": \"%s\"",
                guest->vmsas++, psp_hex(digest, sizeof(digest)).text);
    }
    return PSP_SUCCESS;
}

/* What LAUNCH_UPDATE's page must be in the RMP. */
static PspStatus check_entry(const PspCall *call, SnpPageType type,
                             bool size_2m, const PspRmp *entry)
{
    if (!entry->assigned || !entry->immutable || entry->validated ||
        !entry->asid) {
        return PSP_INVALID_PAGE_STATE;
    }
    if (entry->asid != call->guest->asid) {
        return PSP_INVALID_PAGE_OWNER;
    }
    bool small = type == SNP_PAGE_VMSA || type == SNP_PAGE_SECRETS ||
                 type == SNP_PAGE_CPUID;
    return entry->size_2m != size_2m || (size_2m && small)
             ? PSP_INVALID_PAGE_SIZE
             : PSP_SUCCESS;
}

PspStatus snp_launch_update(PspCall *call)
{
    SnpLaunchUpdate *wanted = (SnpLaunchUpdate *)call->argument;
    PspHost *host = &call->psp->host;
    SnpPageType type = wanted->what >> 1 & 7;
    bool size_2m = wanted->what & 1;
    uint64_t spa = psp_address(wanted->address);
    uint64_t size = size_2m ? PSP_PAGE_2M : PSP_PAGE;
    PspRmp entry;

    if (type < SNP_PAGE_NORMAL || type > SNP_PAGE_CPUID) {
        return PSP_INVALID_PARAM;
    }
    if (spa % size || !host->rmp_get(host->opaque, spa, &entry)) {
        return PSP_INVALID_ADDRESS;
    }
    PspStatus status = check_entry(call, type, size_2m, &entry);
    uint64_t gpa = type == SNP_PAGE_VMSA ? SNP_VMSA_GPA : entry.gpa;
    for (uint64_t at = 0; at < size && status == PSP_SUCCESS; at += PSP_PAGE) {
        status = update(call, type, spa + at, gpa + at, wanted->perms);
    }
    if (status != PSP_SUCCESS) {
        return status;
    }
    call->pages = size / PSP_PAGE;
    entry.validated = true;
    entry.immutable = false;
    entry.vmsa = type == SNP_PAGE_VMSA;
    entry.perms[0] = 0xf;
    memcpy(&entry.perms[1], wanted->perms, sizeof(wanted->perms));
    host->rmp_set(host->opaque, spa, &entry);
    return PSP_SUCCESS;
}

static bool signed_with(const PspPublicKey *key, const void *data, size_t size,
                        const PspSignature *signature)
{
    uint8_t digest[48];
    psp_sha384(data, size, digest);
    return psp_verify(key, digest, sizeof(digest), signature);
}

/* What the owner expects, and signed by the owner's key. */
static PspStatus check_id_block(PspCall *call, const SnpLaunchFinish *finish)
{
    PspGuest *guest = call->guest;
    bool author = finish->flags & SNP_FINISH_AUTHOR_KEY;
    SnpIdBlock block;
    SnpIdAuth auth;

    if (!psp_read(call->psp, finish->id_block, &block, sizeof(block)) ||
        !psp_read(call->psp, finish->id_auth, &auth, sizeof(auth))) {
        return PSP_INVALID_ADDRESS;
    }
    if (auth.id_algorithm != SNP_ID_ALGORITHM_P384_SHA384 ||
        (author && auth.author_algorithm != SNP_ID_ALGORITHM_P384_SHA384)) {
        return PSP_INVALID_PARAM;
    }
    if (!signed_with(&auth.id_key, &block, sizeof(block),
                     &auth.block_signature) ||
        (author && !signed_with(&auth.author_key, &auth.id_key,
                                sizeof(auth.id_key), &auth.id_key_signature))) {
        return PSP_BAD_SIGNATURE;
    }
    if (memcmp(block.digest, guest->snp_digest, sizeof(block.digest)) != 0) {
        return PSP_BAD_MEASUREMENT;
    }
    if (block.policy != guest->policy) {
        return PSP_POLICY_FAILURE;
    }
    guest->id_block = block;
    guest->author_key = author;
    psp_sha384(&auth.id_key, sizeof(auth.id_key), guest->id_key_digest);
    if (author) {
        psp_sha384(&auth.author_key, sizeof(auth.author_key),
                   guest->author_key_digest);
    }
    return PSP_SUCCESS;
}

PspStatus snp_launch_finish(PspCall *call)
{
    SnpLaunchFinish *finish = (SnpLaunchFinish *)call->argument;
    PspGuest *guest = call->guest;

    if (finish->flags & SNP_FINISH_ID_BLOCK) {
        PspStatus status = check_id_block(call, finish);
        if (status != PSP_SUCCESS) {
            return status;
        }
    }
    guest->vcek_disabled = finish->flags & SNP_FINISH_VCEK_DISABLED;
    memcpy(guest->host_data, finish->host_data, sizeof(guest->host_data));
    guest->state = PSP_SNP_RUNNING;
    psp_log(call->psp, guest, "launch",
            "\"tee\": \"snp\", \"digest\": \"%s\", \"policy\": %" PRIu64
            ", \"vcpus\": %u, \"asid\": %u, \"host_data\": \"%s\"",
            psp_hex(guest->snp_digest, sizeof(guest->snp_digest)).text,
            guest->policy, guest->vmsas, guest->asid,
            psp_hex(guest->host_data, sizeof(guest->host_data)).text);
    return PSP_SUCCESS;
}
