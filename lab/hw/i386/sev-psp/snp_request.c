/*
 * SNP: messages from a guest and their answers (SNP ABI 7, SNP_GUEST_REQUEST)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host carries them and can neither read nor change them: they are sealed
 * under a key of the guest's secrets page, and numbered.
 */

#include "internal.h"

#include <string.h>

/* Of a key's 2^64 - 1 messages the last is an answer. */
#define LAST_SEQUENCE (UINT64_MAX - 2)

static void make_iv(uint64_t sequence, uint8_t iv[12])
{
    memset(iv, 0, 12);
    memcpy(iv, &sequence, sizeof(sequence));
}

static const uint8_t *authenticated(const SnpMessageHeader *header,
                                    size_t *size)
{
    *size = sizeof(*header) - offsetof(SnpMessageHeader, algorithm);
    return &header->algorithm;
}

static PspStatus open_message(const PspGuest *guest, SnpMessage *message)
{
    SnpMessageHeader *header = &message->header;
    uint8_t iv[12];
    size_t aad_size;

    if (header->algorithm != SNP_AEAD_AES_256_GCM ||
        header->header_version != 1 || header->header_size != sizeof(*header) ||
        header->vmpck > 3 || header->size > sizeof(message->payload)) {
        return PSP_INVALID_PARAM;
    }
    uint64_t last = guest->sequence[header->vmpck];
    if (last >= LAST_SEQUENCE) {
        return PSP_AEAD_OFLOW;
    }
    if (header->sequence != last + 1) {
        return PSP_INVALID_PARAM;
    }
    make_iv(header->sequence, iv);
    const uint8_t *aad = authenticated(header, &aad_size);
    return psp_gcm_open(guest->vmpck[header->vmpck], iv, aad, aad_size,
                        message->payload, header->size, header->tag)
             ? PSP_SUCCESS
             : PSP_BAD_MEASUREMENT;
}

static void seal_message(const PspGuest *guest, SnpMessage *message,
                         uint8_t vmpck, uint64_t sequence, uint8_t type,
                         uint16_t size)
{
    SnpMessageHeader *header = &message->header;
    uint8_t iv[12];
    size_t aad_size;

    header->sequence = sequence;
    header->algorithm = SNP_AEAD_AES_256_GCM;
    header->header_version = 1;
    header->header_size = sizeof(*header);
    header->type = type;
    header->version = 1;
    header->size = size;
    header->vmpck = vmpck;
    make_iv(sequence, iv);
    const uint8_t *aad = authenticated(header, &aad_size);
    psp_gcm_seal(guest->vmpck[vmpck], iv, aad, aad_size, message->payload, size,
                 header->tag);
}

/* What a message asks for, and how long question and answer are. */
static const struct {
    uint8_t request, response;
    uint16_t request_size, response_size;
    void (*answer)(Psp *psp, const PspGuest *guest, uint8_t vmpck,
                   const void *request, void *response);
} kinds[] = {
    {SNP_MSG_REPORT_REQ, SNP_MSG_REPORT_RSP, sizeof(SnpReportRequest),
     sizeof(SnpReportResponse), snp_answer_report},
    {SNP_MSG_KEY_REQ, SNP_MSG_KEY_RSP, sizeof(SnpKeyRequest),
     sizeof(SnpKeyResponse), snp_answer_key},
};

PspStatus snp_guest_request(PspCall *call)
{
    SnpGuestRequest *pages = (SnpGuestRequest *)call->argument;
    PspGuest *guest = call->guest;
    SnpMessage request, response = {0};

    if (!psp_read(call->psp, pages->request, &request, sizeof(request))) {
        return PSP_INVALID_ADDRESS;
    }
    PspStatus status = open_message(guest, &request);
    if (status != PSP_SUCCESS) {
        return status;
    }
    uint8_t vmpck = request.header.vmpck;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].request != request.header.type) {
            continue;
        }
        if (request.header.size != kinds[i].request_size) {
            return PSP_INVALID_PARAM;
        }
        kinds[i].answer(call->psp, guest, vmpck, request.payload,
                        response.payload);
        seal_message(guest, &response, vmpck, request.header.sequence + 1,
                     kinds[i].response, kinds[i].response_size);
        if (!psp_write(call->psp, pages->response, &response,
                       sizeof(response))) {
            return PSP_INVALID_ADDRESS;
        }
        guest->sequence[vmpck] = request.header.sequence + 1;
        return PSP_SUCCESS;
    }
    return PSP_INVALID_PARAM;
}
