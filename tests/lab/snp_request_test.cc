/*
 * SNP: what a guest asks the secure processor, through a host that is not
 * trusted
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

#include <cstring>

extern "C" {
#include "crypto.h"
}

using namespace lab;

namespace {

constexpr size_t authenticated = offsetof(SnpMessageHeader, algorithm);

class RequestTest : public testing::Test {
protected:
    void SetUp() override
    {
        psp.snp_init();
        launch();
    }

    void launch(uint8_t contents = 0)
    {
        psp.snp_start();
        ASSERT_EQ(psp.snp_update(SNP_PAGE_SECRETS, guest_at, 0), PSP_SUCCESS);
        auto page = psp.host.seen_by(es_asid, guest_at, PSP_PAGE);
        memcpy(vmpck, &page[0x20], sizeof(vmpck));
        psp.host.put(third_at, std::vector<uint8_t>(PSP_PAGE, contents));
        ASSERT_EQ(psp.snp_update(SNP_PAGE_NORMAL, third_at, 0x1000),
                  PSP_SUCCESS);
        ASSERT_EQ(psp.snp_finish(), PSP_SUCCESS);
        sequence = 0;
    }
    void relaunch(uint8_t contents)
    {
        ASSERT_EQ(psp.command(SnpDecommission, SnpAddress{gctx_at}),
                  PSP_SUCCESS);
        psp.host.written_back = true;
        ASSERT_EQ(psp.command(SnpFlush), PSP_SUCCESS);
        launch(contents);
    }

    template <class Question>
    SnpMessage message(uint8_t type, const Question &question, uint8_t key = 0)
    {
        SnpMessage message = {};
        uint8_t iv[12] = {};
        message.header.sequence = sequence + 1;
        message.header.algorithm = SNP_AEAD_AES_256_GCM;
        message.header.header_version = 1;
        message.header.header_size = sizeof(message.header);
        message.header.type = type;
        message.header.version = 1;
        message.header.size = sizeof(question);
        message.header.vmpck = key;
        memcpy(message.payload, &question, sizeof(question));
        memcpy(iv, &message.header.sequence, 8);
        psp_gcm_seal(vmpck[key], iv,
                     reinterpret_cast<uint8_t *>(&message) + authenticated,
                     sizeof(message.header) - authenticated, message.payload,
                     sizeof(question), message.header.tag);
        return message;
    }
    PspStatus send(const SnpMessage &message)
    {
        psp.make_firmware(buffer_at);
        psp.host.put_as(other_at, message);
        return psp.command(SnpRequest,
                           SnpGuestRequest{gctx_at, other_at, buffer_at});
    }
    /* Sends and opens the answer. */
    template <class Answer, class Question>
    Answer ask(uint8_t type, const Question &question, uint8_t key = 0)
    {
        Answer answer = {};
        uint8_t iv[12] = {};
        EXPECT_EQ(send(message(type, question, key)), PSP_SUCCESS);
        auto got = psp.host.get_as<SnpMessage>(buffer_at);
        EXPECT_EQ(got.header.sequence, sequence + 2);
        EXPECT_EQ(got.header.type, type + 1);
        EXPECT_EQ(got.header.size, sizeof(answer));
        memcpy(iv, &got.header.sequence, 8);
        EXPECT_TRUE(psp_gcm_open(
            vmpck[key], iv, reinterpret_cast<uint8_t *>(&got) + authenticated,
            sizeof(got.header) - authenticated, got.payload, sizeof(answer),
            got.header.tag));
        memcpy(&answer, got.payload, sizeof(answer));
        sequence += 2;
        return answer;
    }
    SnpReportResponse report(uint32_t vmpl = 0, uint8_t key = 0,
                             uint32_t signer = 0)
    {
        SnpReportRequest question = {};
        question.data[0] = 0x77;
        question.vmpl = vmpl;
        question.key = signer;
        return ask<SnpReportResponse>(SNP_MSG_REPORT_REQ, question, key);
    }

    Processor psp;
    uint8_t vmpck[4][32];
    uint64_t sequence = 0;
};

/* The key that the chip's secret and the version give, as the lab's key server
 * makes it. */
bool signed_by_chip(const SnpReport &report)
{
    uint8_t chip[32] = {1}, seed[64], digest[48];
    PspKeyPair vcek;
    PspPublicKey key;
    psp_kdf(chip, 32, "VCEK", &report.reported_tcb, 8, seed, 64);
    psp_key_of(&vcek, seed);
    psp_key_public(&vcek, &key);
    psp_sha384(&report, offsetof(SnpReport, signature), digest);
    return psp_verify(&key, digest, 48, &report.signature);
}

TEST_F(RequestTest, TheReportIsSignedByTheChip)
{
    SnpReportResponse response = report();
    ASSERT_EQ(response.status, 0u);
    EXPECT_EQ(response.size, sizeof(SnpReport));
    EXPECT_EQ(response.report.report_data[0], 0x77);
    EXPECT_EQ(response.report.policy, snp_policy);
    EXPECT_TRUE(signed_by_chip(response.report));
    response.report.measurement[0] ^= 1;
    EXPECT_FALSE(signed_by_chip(response.report));
}

TEST_F(RequestTest, TheReportOfAnOlderVersionIsSignedByItsOwnKey)
{
    uint64_t old = report().report.reported_tcb - 1;
    ASSERT_EQ(psp.command(SnpConfigure, SnpConfig{old, 0, {}}), PSP_SUCCESS);
    SnpReport now = report().report;
    EXPECT_EQ(now.reported_tcb, old);
    EXPECT_TRUE(signed_by_chip(now));
}

TEST_F(RequestTest, ChipAndKeyAreMaskedOnDemand)
{
    SnpReport open = report().report;
    EXPECT_NE(open.chip_id[0] | open.chip_id[1] | open.chip_id[2], 0);
    ASSERT_EQ(
        psp.command(SnpConfigure,
                    SnpConfig{0, SNP_MASK_CHIP_ID | SNP_MASK_CHIP_KEY, {}}),
        PSP_SUCCESS);
    SnpReport masked = report().report;
    for (uint8_t byte : masked.chip_id) {
        EXPECT_EQ(byte, 0);
    }
    EXPECT_EQ(masked.key_info, 0x1eu);
    EXPECT_FALSE(signed_by_chip(masked));
}

TEST_F(RequestTest, AVmplSpeaksForItselfAndThoseBelow)
{
    EXPECT_EQ(report(3, 0).status, 0u);
    EXPECT_EQ(report(4, 0).status, uint32_t(PSP_INVALID_PARAM));
    sequence = 0;
    EXPECT_EQ(report(1, 2).status, uint32_t(PSP_INVALID_PARAM));
    EXPECT_EQ(report(2, 2).status, 0u);
}

TEST_F(RequestTest, WithoutAVlekThereIsNoReportByIt)
{
    EXPECT_EQ(report(0, 0, 2).status, uint32_t(PSP_INVALID_KEY));
}

TEST_F(RequestTest, AMessageIsTakenOnce)
{
    SnpMessage first = message(SNP_MSG_REPORT_REQ, SnpReportRequest{});
    EXPECT_EQ(send(first), PSP_SUCCESS);
    EXPECT_EQ(send(first), PSP_INVALID_PARAM);
    sequence = 5;
    EXPECT_EQ(send(message(SNP_MSG_REPORT_REQ, SnpReportRequest{})),
              PSP_INVALID_PARAM);
    sequence = 2;
    EXPECT_EQ(send(message(SNP_MSG_REPORT_REQ, SnpReportRequest{})),
              PSP_SUCCESS);
}

TEST_F(RequestTest, AMessageThatTheHostChangedIsRefused)
{
    for (size_t at : {size_t(0), offsetof(SnpMessageHeader, version),
                      offsetof(SnpMessageHeader, reserved3),
                      sizeof(SnpMessageHeader) + 3}) {
        SnpMessage changed = message(SNP_MSG_REPORT_REQ, SnpReportRequest{});
        reinterpret_cast<uint8_t *>(&changed)[at] ^= 1;
        EXPECT_EQ(send(changed), PSP_BAD_MEASUREMENT) << "byte " << at;
    }
}

TEST_F(RequestTest, AHeaderThatCannotBeIsRefused)
{
    const SnpMessage good = message(SNP_MSG_REPORT_REQ, SnpReportRequest{});
    auto changed = [&good](auto change) {
        SnpMessage message = good;
        change(message.header);
        return message;
    };
    EXPECT_EQ(send(changed([](auto &h) { h.algorithm = 2; })),
              PSP_INVALID_PARAM);
    EXPECT_EQ(send(changed([](auto &h) { h.header_version = 2; })),
              PSP_INVALID_PARAM);
    EXPECT_EQ(send(changed([](auto &h) { h.header_size = 95; })),
              PSP_INVALID_PARAM);
    EXPECT_EQ(send(changed([](auto &h) { h.vmpck = 4; })), PSP_INVALID_PARAM);
    EXPECT_EQ(send(changed([](auto &h) { h.size = 4001; })), PSP_INVALID_PARAM);
    EXPECT_EQ(send(message(SNP_MSG_REPORT_REQ, uint64_t(0))),
              PSP_INVALID_PARAM);
    EXPECT_EQ(send(message(99, SnpReportRequest{})), PSP_INVALID_PARAM);
    EXPECT_EQ(send(good), PSP_SUCCESS);
}

TEST_F(RequestTest, DerivedKeysAreOfWhatTheGuestIs)
{
    constexpr uint64_t measurement = 8;
    SnpKeyRequest question = {0, 0, measurement, 0, 0, 0};
    auto key = [&] {
        auto answer = ask<SnpKeyResponse>(SNP_MSG_KEY_REQ, question);
        EXPECT_EQ(answer.status, 0u);
        return std::vector<uint8_t>(answer.key, answer.key + 32);
    };
    auto first = key();
    EXPECT_EQ(key(), first);
    question.vmpl = 1;
    EXPECT_NE(key(), first);
    question.vmpl = 0;
    relaunch(0);
    EXPECT_EQ(key(), first); /* the same guest, started again */
    relaunch(1);
    EXPECT_NE(key(), first);
}

TEST_F(RequestTest, AKeyOfMoreThanTheGuestIsIsRefused)
{
    for (const SnpKeyRequest &question :
         {SnpKeyRequest{0, 1, 0, 0, 0, 0}, SnpKeyRequest{0, 0, 64, 0, 0, 0},
          SnpKeyRequest{0, 0, 0, 4, 0, 0}, SnpKeyRequest{0, 0, 0, 0, 1, 0},
          SnpKeyRequest{0, 0, 0, 0, 0, 0xff}}) {
        EXPECT_EQ(ask<SnpKeyResponse>(SNP_MSG_KEY_REQ, question).status,
                  uint32_t(PSP_INVALID_PARAM));
    }
    EXPECT_EQ(
        ask<SnpKeyResponse>(SNP_MSG_KEY_REQ, SnpKeyRequest{1, 0, 0, 0, 0, 0})
            .status,
        uint32_t(PSP_INVALID_KEY));
}

} // namespace
