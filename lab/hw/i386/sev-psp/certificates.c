/*
 * SEV: the platform's keys and certificates (SEV API chapter 2, appendix C)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *     CEK (of the chip) and OCA (of the owner) sign the PEK, which signs the
 *     PDH. Who knows the chip's secret can sign the CEK; AMD's own key server
 *     does.
 */

#include "internal.h"

#include <string.h>

void psp_derive(const Psp *psp, const char *purpose, const void *context,
                size_t size, uint8_t *key, size_t key_size)
{
    psp_kdf(psp->config.seed, sizeof(psp->config.seed), purpose, context, size,
            key, key_size);
}

static void make_certificate(PspIdentity *identity, uint32_t usage,
                             uint32_t algorithm)
{
    SevCertificate *certificate = &identity->certificate;
    memset(certificate, 0, sizeof(*certificate));
    certificate->version = 1;
    certificate->api_major = PSP_API_MAJOR;
    certificate->api_minor = PSP_API_MINOR;
    certificate->usage = usage;
    certificate->algorithm = algorithm;
    psp_key_public(&identity->key, &certificate->key);
    for (int i = 0; i < 2; i++) {
        certificate->signature[i].usage = SEV_USAGE_NONE;
        certificate->signature[i].algorithm = SEV_ALGORITHM_NONE;
    }
}

/* All that stands before the first signature is signed. */
static void digest_of(const SevCertificate *certificate, uint8_t digest[32])
{
    psp_sha256(certificate, offsetof(SevCertificate, signature), digest);
}

static void sign(Psp *psp, SevCertificate *certificate, int slot,
                 const PspIdentity *by)
{
    SevSignature *signature = &certificate->signature[slot];
    uint8_t digest[32];
    digest_of(certificate, digest);
    signature->usage = by->certificate.usage;
    signature->algorithm = SEV_ALGORITHM_ECDSA_SHA256;
    psp_sign(&by->key, psp_random, psp, digest, sizeof(digest),
             signature->value.r, signature->value.s);
}

static void random_key(Psp *psp, PspKeyPair *key)
{
    uint8_t seed[64];
    psp->host.random(psp->host.opaque, seed, sizeof(seed));
    psp_key_of(key, seed);
}

void psp_certificates_new_pdh(Psp *psp)
{
    random_key(psp, &psp->pdh.key);
    make_certificate(&psp->pdh, SEV_USAGE_PDH, SEV_ALGORITHM_ECDH_SHA256);
    sign(psp, &psp->pdh.certificate, 0, &psp->pek);
}

static void make_pek(Psp *psp)
{
    make_certificate(&psp->pek, SEV_USAGE_PEK, SEV_ALGORITHM_ECDSA_SHA256);
    sign(psp, &psp->pek.certificate, 1, &psp->cek);
    if (!psp->external_owner) {
        sign(psp, &psp->pek.certificate, 0, &psp->oca);
    }
    psp_certificates_new_pdh(psp);
}

void psp_certificates_new_pek(Psp *psp)
{
    psp_certificates_need(psp);
    random_key(psp, &psp->oca.key);
    make_certificate(&psp->oca, SEV_USAGE_OCA, SEV_ALGORITHM_ECDSA_SHA256);
    sign(psp, &psp->oca.certificate, 0, &psp->oca);
    psp->external_owner = false;
    random_key(psp, &psp->pek.key);
    make_pek(psp);
}

/*
 * A chip wakes with the same keys each time, as if it had kept them. They are
 * made when they are wanted first, which most guests' never are.
 */
void psp_certificates_need(Psp *psp)
{
    uint8_t seed[64];
    if (psp->cek.certificate.version) {
        return;
    }
    psp_derive(psp, "CEK", NULL, 0, seed, sizeof(seed));
    psp_key_of(&psp->cek.key, seed);
    make_certificate(&psp->cek, SEV_USAGE_CEK, SEV_ALGORITHM_ECDSA_SHA256);

    psp_derive(psp, "OCA", NULL, 0, seed, sizeof(seed));
    psp_key_of(&psp->oca.key, seed);
    make_certificate(&psp->oca, SEV_USAGE_OCA, SEV_ALGORITHM_ECDSA_SHA256);
    sign(psp, &psp->oca.certificate, 0, &psp->oca);

    psp_derive(psp, "PEK", NULL, 0, seed, sizeof(seed));
    psp_key_of(&psp->pek.key, seed);
    make_pek(psp);
}

PspStatus sev_pek_gen(PspCall *call)
{
    psp_certificates_new_pek(call->psp);
    return PSP_SUCCESS;
}

PspStatus sev_pdh_gen(PspCall *call)
{
    psp_certificates_need(call->psp);
    psp_certificates_new_pdh(call->psp);
    return PSP_SUCCESS;
}

/* The PEK's certificate without any signature. */
PspStatus sev_pek_csr(PspCall *call)
{
    SevBuffer *buffer = (SevBuffer *)call->argument;
    PspIdentity request = {0};
    uint32_t room = buffer->length;

    buffer->length = sizeof(request.certificate);
    if (room < sizeof(request.certificate)) {
        return PSP_INVALID_LENGTH;
    }
    psp_certificates_need(call->psp);
    request.key = call->psp->pek.key;
    make_certificate(&request, SEV_USAGE_PEK, SEV_ALGORITHM_ECDSA_SHA256);
    return psp_write(call->psp, buffer->address, &request.certificate,
                     sizeof(request.certificate))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}

static bool signed_by(const SevCertificate *certificate,
                      const SevCertificate *by)
{
    uint8_t digest[48];
    for (int i = 0; i < 2; i++) {
        const SevSignature *signature = &certificate->signature[i];
        size_t size = signature->algorithm == SEV_ALGORITHM_ECDSA_SHA384 ? 48
                                                                         : 32;
        if (signature->usage != by->usage) {
            continue;
        }
        if (size == 48) {
            psp_sha384(certificate, offsetof(SevCertificate, signature),
                       digest);
        } else {
            digest_of(certificate, digest);
        }
        return psp_verify(&by->key, digest, size, &signature->value);
    }
    return false;
}

PspStatus sev_pek_cert_import(PspCall *call)
{
    SevPekCertImport *import = (SevPekCertImport *)call->argument;
    Psp *psp = call->psp;
    SevCertificate pek, oca;

    if (psp->external_owner) {
        return PSP_ALREADY_OWNED;
    }
    psp_certificates_need(psp);
    if (!psp_read(psp, import->pek, &pek, sizeof(pek)) ||
        !psp_read(psp, import->oca, &oca, sizeof(oca))) {
        return PSP_INVALID_ADDRESS;
    }
    if (pek.version != 1 || pek.usage != SEV_USAGE_PEK ||
        pek.algorithm != SEV_ALGORITHM_ECDSA_SHA256 || oca.version != 1 ||
        oca.usage != SEV_USAGE_OCA ||
        memcmp(&pek.key, &psp->pek.certificate.key, sizeof(pek.key)) != 0) {
        return PSP_INVALID_CERTIFICATE;
    }
    if (!signed_by(&oca, &oca) || !signed_by(&pek, &oca)) {
        return PSP_BAD_SIGNATURE;
    }
    psp->external_owner = true;
    psp->oca.certificate = oca;
    psp->pek.certificate = pek;
    sign(psp, &psp->pek.certificate, 1, &psp->cek);
    psp_certificates_new_pdh(psp);
    return PSP_SUCCESS;
}

PspStatus sev_pdh_cert_export(PspCall *call)
{
    SevPdhCertExport *export = (SevPdhCertExport *)call->argument;
    Psp *psp = call->psp;
    SevCertificateChain chain;
    bool room = export->pdh_length >= sizeof(SevCertificate) &&
                export->chain_length >= sizeof(chain);

    export->pdh_length = sizeof(SevCertificate);
    export->chain_length = sizeof(chain);
    if (!room) {
        return PSP_INVALID_LENGTH;
    }
    psp_certificates_need(psp);
    chain = (SevCertificateChain){psp->pek.certificate, psp->oca.certificate,
                                  psp->cek.certificate};
    return psp_write(psp, export->pdh, &psp->pdh.certificate,
                     sizeof(SevCertificate)) &&
                   psp_write(psp, export->chain, &chain, sizeof(chain))
             ? PSP_SUCCESS
             : PSP_INVALID_ADDRESS;
}
