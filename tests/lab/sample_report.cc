/*
 * A guest's attestation report, on standard output, for who verifies it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

#include <cstdio>
#include <cstring>

#include <glib.h>

extern "C" {
#include "internal.h"
}

using namespace lab;

int main()
{
    Processor psp;
    psp.snp_init();
    psp.snp_start();
    psp.host.put(guest_at, std::vector<uint8_t>(PSP_PAGE, 7));
    psp.snp_update(SNP_PAGE_NORMAL, guest_at, 0x1000);
    psp.snp_update(SNP_PAGE_SECRETS, third_at, 0x2000);
    psp.snp_finish();
    auto secrets = psp.host.seen_by(es_asid, third_at, PSP_PAGE);

    SnpMessage message = {};
    SnpReportRequest request = {};
    uint8_t iv[12] = {1};
    memcpy(request.data, "a nonce", 7);
    message.header.sequence = 1;
    message.header.algorithm = SNP_AEAD_AES_256_GCM;
    message.header.header_version = message.header.version = 1;
    message.header.header_size = sizeof(message.header);
    message.header.type = SNP_MSG_REPORT_REQ;
    message.header.size = sizeof(request);
    memcpy(message.payload, &request, sizeof(request));
    constexpr size_t from = offsetof(SnpMessageHeader, algorithm);
    auto *bytes = reinterpret_cast<uint8_t *>(&message);
    psp_gcm_seal(&secrets[0x20], iv, bytes + from,
                 sizeof(message.header) - from, message.payload,
                 sizeof(request), message.header.tag);
    psp.make_firmware(buffer_at);
    psp.host.put_as(other_at, message);
    if (psp.command(SnpRequest, SnpGuestRequest{gctx_at, other_at,
                                                buffer_at}) != PSP_SUCCESS) {
        return 1;
    }
    message = psp.host.get_as<SnpMessage>(buffer_at);
    iv[0] = 2;
    if (!psp_gcm_open(&secrets[0x20], iv, bytes + from,
                      sizeof(message.header) - from, message.payload,
                      message.header.size, message.header.tag)) {
        return 1;
    }
    fwrite(message.payload + offsetof(SnpReportResponse, report), 1,
           sizeof(SnpReport), stdout);
    return 0;
}
