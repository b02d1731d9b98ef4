/*
 * SEV and SEV-ES: what commands do, and what they refuse beyond the table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <glib.h>

extern "C" {
#include "crypto.h"
}

using namespace lab;

namespace {

std::vector<uint8_t> counting(size_t size)
{
    std::vector<uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), uint8_t(0));
    return bytes;
}

class SevTest : public testing::Test {
protected:
    void SetUp() override { psp.init(); }

    PspStatus update(uint32_t handle, uint64_t at, uint32_t length)
    {
        return psp.command(LaunchUpdateData,
                           SevGuestBuffer{handle, 0, at, length});
    }
    SevPlatformStatus status()
    {
        SevPlatformStatus status = {};
        EXPECT_EQ(psp.command(PlatformStatus, status), PSP_SUCCESS);
        return status;
    }

    Processor psp;
};

/* --- the platform --------------------------------------------------------- */

TEST_F(SevTest, ThePlatformWorksWhileItHasGuests)
{
    EXPECT_EQ(status().state, PSP_INIT);
    EXPECT_EQ(status().config, 1);
    uint32_t handle = psp.start_inactive(0);
    EXPECT_EQ(status().state, PSP_WORKING);
    EXPECT_EQ(status().guest_count, 1u);
    EXPECT_EQ(psp.command(Decommission, SevHandle{handle}), PSP_SUCCESS);
    EXPECT_EQ(status().state, PSP_INIT);
}

TEST_F(SevTest, ShutdownEndsAllGuestsAndTheirKeys)
{
    uint32_t handle = psp.start(0, sev_asid);
    EXPECT_EQ(psp.host.keys.count(sev_asid), 1u);
    EXPECT_EQ(psp.command(Shutdown), PSP_SUCCESS);
    EXPECT_EQ(psp.host.keys.count(sev_asid), 0u);
    EXPECT_EQ(status().state, PSP_UNINIT);
    psp.host.written_back = true;
    psp.init();
    psp.start_inactive(0);
    EXPECT_EQ(psp.command(Decommission, SevHandle{handle}), PSP_INVALID_GUEST);
}

TEST_F(SevTest, DfFlushWantsEachCpuToHaveWrittenItsCachesBack)
{
    psp.host.written_back = false;
    EXPECT_EQ(psp.command(DfFlush), PSP_WBINVD_REQUIRED);
    psp.host.written_back = true;
    EXPECT_EQ(psp.command(DfFlush), PSP_SUCCESS);
}

TEST_F(SevTest, AnAsidIsFreeAgainOnlyAfterWbinvdAndDfFlush)
{
    uint32_t first = psp.start(0, sev_asid);
    EXPECT_EQ(psp.command(Deactivate, SevHandle{first}), PSP_SUCCESS);
    uint32_t second = psp.start_inactive(0);
    SevActivate activate = {second, sev_asid};
    EXPECT_EQ(psp.command(Activate, activate), PSP_DFFLUSH_REQUIRED);
    EXPECT_EQ(psp.command(DfFlush), PSP_WBINVD_REQUIRED);
    psp.host.written_back = true;
    EXPECT_EQ(psp.command(DfFlush), PSP_SUCCESS);
    EXPECT_EQ(psp.command(Activate, activate), PSP_SUCCESS);
}

TEST(PlatformTest, NoAsidCanBeUsedBeforeTheFirstDfFlush)
{
    Processor psp;
    ASSERT_EQ(psp.command(Init, SevInit{}), PSP_SUCCESS);
    uint32_t handle = psp.start_inactive(0);
    EXPECT_EQ(psp.command(Activate, SevActivate{handle, sev_asid}),
              PSP_DFFLUSH_REQUIRED);
}

TEST(PlatformTest, WithoutSevEsInItsInitThereAreNoSuchGuests)
{
    Processor psp;
    ASSERT_EQ(psp.command(Init, SevInit{}), PSP_SUCCESS);
    SevLaunchStart start = {};
    start.policy = SEV_POLICY_ES;
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_POLICY_FAILURE);
}

TEST(PlatformTest, PersistentDataOfAnotherChipIsRefusedOnce)
{
    Processor psp;
    SevInitEx init = {sizeof(SevInitEx), 0, 0, 0, 0, buffer_at, SEV_NV_SIZE};
    psp.host.put(buffer_at, counting(64));
    EXPECT_EQ(psp.command(InitEx, init), PSP_SECURE_DATA_INVALID);
    EXPECT_EQ(psp.command(InitEx, init), PSP_SUCCESS);
}

TEST_F(SevTest, TheChipHasAnIdAndSaysHowLongItIs)
{
    SevBuffer buffer = {buffer_at, 63};
    EXPECT_EQ(psp.command(GetId, buffer), PSP_INVALID_LENGTH);
    EXPECT_EQ(buffer.length, 64u);
    EXPECT_EQ(psp.command(GetId, buffer), PSP_SUCCESS);
    EXPECT_NE(psp.host.at(buffer_at, 64), std::vector<uint8_t>(64));
}

/* --- certificates --------------------------------------------------------- */

bool verifies(const SevCertificate &certificate, int slot,
              const SevCertificate &by)
{
    uint8_t digest[32];
    psp_sha256(&certificate, offsetof(SevCertificate, signature), digest);
    return certificate.signature[slot].usage == by.usage &&
           psp_verify(&by.key, digest, sizeof(digest),
                      &certificate.signature[slot].value);
}

class CertificateTest : public SevTest {
protected:
    void fetch()
    {
        ASSERT_EQ(
            psp.command(PdhCertExport,
                        SevPdhCertExport{buffer_at, sizeof(SevCertificate), 0,
                                         other_at, sizeof(chain)}),
            PSP_SUCCESS);
        pdh = psp.host.get_as<SevCertificate>(buffer_at);
        chain = psp.host.get_as<SevCertificateChain>(other_at);
    }

    SevCertificate pdh;
    SevCertificateChain chain;
};

TEST_F(CertificateTest, ThePdhIsSignedUpToTheChipAndTheOwner)
{
    fetch();
    EXPECT_TRUE(verifies(pdh, 0, chain.pek));
    EXPECT_TRUE(verifies(chain.pek, 0, chain.oca));
    EXPECT_TRUE(verifies(chain.pek, 1, chain.cek));
    EXPECT_TRUE(verifies(chain.oca, 0, chain.oca));
    chain.pek.api_minor++;
    EXPECT_FALSE(verifies(chain.pek, 1, chain.cek));
}

TEST_F(CertificateTest, ExportSaysHowMuchRoomItWants)
{
    SevPdhCertExport wanted = {buffer_at, 0x824, 0, other_at, 100};
    EXPECT_EQ(psp.command(PdhCertExport, wanted), PSP_INVALID_LENGTH);
    EXPECT_EQ(wanted.pdh_length, sizeof(SevCertificate));
    EXPECT_EQ(wanted.chain_length, sizeof(SevCertificateChain));
}

TEST_F(CertificateTest, GeneratingThePekMakesAllButTheChipsKeyNew)
{
    fetch();
    SevCertificate old_pdh = pdh;
    SevCertificateChain old = chain;
    EXPECT_EQ(psp.command(PdhGen), PSP_SUCCESS);
    fetch();
    EXPECT_NE(memcmp(&pdh.key, &old_pdh.key, sizeof(pdh.key)), 0);
    EXPECT_EQ(memcmp(&chain.pek.key, &old.pek.key, sizeof(pdh.key)), 0);
    EXPECT_EQ(psp.command(PekGen), PSP_SUCCESS);
    fetch();
    EXPECT_NE(memcmp(&chain.pek.key, &old.pek.key, sizeof(pdh.key)), 0);
    EXPECT_EQ(memcmp(&chain.cek.key, &old.cek.key, sizeof(pdh.key)), 0);
    EXPECT_TRUE(verifies(pdh, 0, chain.pek));
}

TEST_F(CertificateTest, AnOwnerMayTakeThePlatformOnceAndFactoryResetEndsIt)
{
    PspKeyPair owner;
    uint8_t seed[64] = {7}, digest[32];
    psp_key_of(&owner, seed);
    auto sign = [&](SevCertificate &certificate) {
        SevSignature &signature = certificate.signature[0];
        signature.usage = SEV_USAGE_OCA;
        signature.algorithm = SEV_ALGORITHM_ECDSA_SHA256;
        psp_sha256(&certificate, offsetof(SevCertificate, signature), digest);
        PspRandom *random = [](void *, size_t size, uint8_t *data) {
            std::fill_n(data, size, uint8_t(3));
        };
        psp_sign(&owner, random, nullptr, digest, sizeof(digest),
                 signature.value.r, signature.value.s);
    };
    SevBuffer request = {buffer_at, sizeof(SevCertificate)};
    ASSERT_EQ(psp.command(PekCsr, request), PSP_SUCCESS);
    auto pek = psp.host.get_as<SevCertificate>(buffer_at);
    SevCertificate oca = pek;
    oca.usage = SEV_USAGE_OCA;
    psp_key_public(&owner, &oca.key);
    sign(oca);
    SevPekCertImport import = {buffer_at, sizeof(pek), 0, other_at,
                               sizeof(oca)};
    psp.host.put_as(other_at, oca);
    EXPECT_EQ(psp.command(PekCertImport, import), PSP_BAD_SIGNATURE);
    sign(pek);
    SevCertificate strange = pek;
    strange.key.x[0] ^= 1;
    psp.host.put_as(buffer_at, strange);
    EXPECT_EQ(psp.command(PekCertImport, import), PSP_INVALID_CERTIFICATE);
    psp.host.put_as(buffer_at, pek);
    EXPECT_EQ(psp.command(PekCertImport, import), PSP_SUCCESS);
    EXPECT_EQ(status().owner, 1);
    EXPECT_EQ(psp.command(PekCertImport, import), PSP_ALREADY_OWNED);
    fetch();
    EXPECT_EQ(memcmp(&chain.oca, &oca, sizeof(oca)), 0);
    EXPECT_TRUE(verifies(chain.pek, 0, oca));

    EXPECT_EQ(psp.command(Shutdown), PSP_SUCCESS);
    EXPECT_EQ(psp.command(FactoryReset), PSP_SUCCESS);
    EXPECT_EQ(status().owner, 0);
}

/* --- a launch ------------------------------------------------------------- */

TEST_F(SevTest, APolicyThatAsksForNewerFirmwareIsRefused)
{
    for (uint32_t version : {2u << 16, 1u << 16 | 56u << 24}) {
        SevLaunchStart start = {};
        start.policy = version;
        EXPECT_EQ(psp.command(LaunchStart, start), PSP_POLICY_FAILURE);
    }
    EXPECT_EQ(status().guest_count, 0u);
}

TEST_F(SevTest, LaunchedMemoryIsSeenByTheGuestAlone)
{
    uint32_t handle = psp.start(0, sev_asid);
    auto text = counting(0x2010);
    psp.host.put(guest_at, text);
    ASSERT_EQ(update(handle, guest_at, 0x2010), PSP_SUCCESS);
    EXPECT_NE(psp.host.at(guest_at, 0x2010), text);
    EXPECT_EQ(psp.host.seen_by(sev_asid, guest_at, 0x2010), text);

    psp.start(0, sev_asid + 1);
    EXPECT_NE(psp.host.seen_by(sev_asid + 1, guest_at, 0x2010), text);
}

TEST_F(SevTest, MemoryThatIsNotThereCannotBeLaunched)
{
    uint32_t handle = psp.start(0, sev_asid);
    EXPECT_EQ(update(handle, ram_size, 16), PSP_INVALID_ADDRESS);
}

TEST_F(SevTest, AVmsaIsSealed)
{
    uint32_t handle = psp.start(SEV_POLICY_ES, es_asid);
    auto vmsa = counting(PSP_PAGE);
    psp.host.put(guest_at, vmsa);
    EXPECT_EQ(psp.command(LaunchUpdateVmsa,
                          SevGuestBuffer{handle, 0, guest_at, PSP_PAGE}),
              PSP_SUCCESS);
    EXPECT_EQ(psp.host.vmsas[guest_at], vmsa);
}

TEST_F(SevTest, MeasureSaysHowLongAMeasurementIsAndStaysInItsState)
{
    SevGuestBuffer measure = {psp.start(0, sev_asid), 0, 0, 0};
    EXPECT_EQ(psp.command(LaunchMeasure, measure), PSP_INVALID_LENGTH);
    EXPECT_EQ(measure.length, 48u);
    EXPECT_EQ(update(measure.handle, guest_at, 16), PSP_SUCCESS);
}

TEST_F(SevTest, GuestStatusTellsPolicyAsidAndState)
{
    SevGuestStatus status = {psp.start(SEV_POLICY_NODBG, sev_asid), 0, 0, 0};
    EXPECT_EQ(psp.command(GuestStatus, status), PSP_SUCCESS);
    EXPECT_EQ(status.policy, SEV_POLICY_NODBG);
    EXPECT_EQ(status.asid, sev_asid);
    EXPECT_EQ(status.state, PSP_GUEST_LUPDATE);
    psp.finish(status.handle);
    EXPECT_EQ(psp.command(GuestStatus, status), PSP_SUCCESS);
    EXPECT_EQ(status.state, PSP_GUEST_RUNNING);
}

TEST_F(SevTest, DebuggingReadsAndWritesWhatTheGuestSees)
{
    uint32_t handle = psp.start(0, sev_asid);
    auto text = counting(32);
    psp.host.put(guest_at, text);
    ASSERT_EQ(update(handle, guest_at, 32), PSP_SUCCESS);
    EXPECT_EQ(
        psp.command(DbgDecrypt, SevDebug{handle, 0, guest_at, other_at, 32}),
        PSP_SUCCESS);
    EXPECT_EQ(psp.host.at(other_at, 32), text);
    std::ranges::reverse(text);
    psp.host.put(other_at, text);
    EXPECT_EQ(
        psp.command(DbgEncrypt, SevDebug{handle, 0, other_at, guest_at, 32}),
        PSP_SUCCESS);
    EXPECT_EQ(psp.host.seen_by(sev_asid, guest_at, 32), text);
    EXPECT_EQ(
        psp.command(Copy, SevCopy{handle, 32, guest_at, guest_at + 0x1000}),
        PSP_SUCCESS);
    EXPECT_EQ(psp.host.seen_by(sev_asid, guest_at + 0x1000, 32), text);
}

TEST_F(SevTest, KeysAreSharedOnlyByGuestsWhosePoliciesAllowIt)
{
    SevLaunchStart start = {};
    start.handle = psp.start(0, sev_asid);
    uint32_t first = start.handle;
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_SUCCESS);
    EXPECT_NE(start.handle, first);
    EXPECT_EQ(psp.command(Activate, SevActivate{start.handle, sev_asid + 1}),
              PSP_SUCCESS);
    EXPECT_EQ(psp.host.keys[sev_asid], psp.host.keys[sev_asid + 1]);

    start = {};
    start.handle = first;
    start.policy = SEV_POLICY_NODBG;
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_POLICY_FAILURE);
    start.policy = SEV_POLICY_NOKS;
    start.handle = psp.start_inactive(SEV_POLICY_NOKS);
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_POLICY_FAILURE);
    start.handle = 999;
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_INVALID_GUEST);
}

/* --- the owner ------------------------------------------------------------ */

/* What the guest's owner does, with nothing but the platform's certificates. */
class OwnerTest : public CertificateTest {
protected:
    void SetUp() override
    {
        CertificateTest::SetUp();
        fetch();
        uint8_t seed[64] = {5}, secret[48], master[16];
        psp_key_of(&owner, seed);
        ASSERT_TRUE(psp_ecdh(&owner, &pdh.key, secret));
        psp_kdf(secret, 48, "sev-master-secret", session.nonce, 16, master, 16);
        psp_kdf(master, 16, "sev-kek", nullptr, 0, kek, 16);
        psp_kdf(master, 16, "sev-kik", nullptr, 0, kik, 16);
        certificate = pdh;
        psp_key_public(&owner, &certificate.key);
        for (uint8_t i = 0; i < 16; i++) {
            session.wrapped_keys[i] = tek[i] = 0x40 + i;
            session.wrapped_keys[16 + i] = tik[i] = 0x80 + i;
        }
        psp_aes128_ctr(kek, session.iv, session.wrapped_keys, 32);
        psp_hmac_sha256(kik, 16, session.wrapped_keys, 32, session.wrap_mac);
        psp_hmac_sha256(tik, 16, &policy, 4, session.policy_mac);
    }

    PspStatus start()
    {
        psp.host.put_as(buffer_at, certificate);
        psp.host.put_as(other_at, session);
        SevLaunchStart start = {0, policy, buffer_at, 0x824, 0, other_at, 128};
        PspStatus status = psp.command(LaunchStart, start);
        handle = start.handle;
        return status;
    }

    uint32_t policy = SEV_POLICY_NOKS, handle = 0;
    PspKeyPair owner;
    SevCertificate certificate;
    SevSession session = {};
    uint8_t kek[16], kik[16], tek[16], tik[16];
};

TEST_F(OwnerTest, CanCheckTheMeasurementWithTheKeysThatItSent)
{
    ASSERT_EQ(start(), PSP_SUCCESS);
    ASSERT_EQ(psp.command(Activate, SevActivate{handle, sev_asid}),
              PSP_SUCCESS);
    psp.host.put(guest_at, counting(PSP_PAGE));
    ASSERT_EQ(update(handle, guest_at, PSP_PAGE), PSP_SUCCESS);
    SevMeasurement told = psp.measure(handle);

    uint8_t input[56] = {4, PSP_API_MAJOR, PSP_API_MINOR, PSP_BUILD}, mac[32];
    memcpy(input + 4, &policy, 4);
    psp_sha256(counting(PSP_PAGE).data(), PSP_PAGE, input + 8);
    memcpy(input + 40, told.nonce, 16);
    psp_hmac_sha256(tik, 16, input, sizeof(input), mac);
    EXPECT_EQ(memcmp(mac, told.mac, 32), 0);
}

TEST_F(OwnerTest, AChangedSessionIsNotTaken)
{
    session.wrapped_keys[0] ^= 1;
    EXPECT_EQ(start(), PSP_BAD_MEASUREMENT);
    session.wrapped_keys[0] ^= 1;
    policy = SEV_POLICY_NODBG;
    EXPECT_EQ(start(), PSP_BAD_MEASUREMENT);
}

TEST_F(OwnerTest, ACertificateThatIsNoPointOfTheCurveIsNotTaken)
{
    certificate.key.x[3] ^= 1;
    EXPECT_EQ(start(), PSP_INVALID_CERTIFICATE);
    certificate.key.x[3] ^= 1;
    certificate.usage = SEV_USAGE_PEK;
    EXPECT_EQ(start(), PSP_INVALID_CERTIFICATE);
}

TEST_F(OwnerTest, AShortSessionIsNotTaken)
{
    SevLaunchStart start = {0, policy, buffer_at, 0x824, 0, other_at, 127};
    EXPECT_EQ(psp.command(LaunchStart, start), PSP_INVALID_LENGTH);
}

class SecretTest : public OwnerTest {
protected:
    void SetUp() override
    {
        OwnerTest::SetUp();
        ASSERT_EQ(start(), PSP_SUCCESS);
        ASSERT_EQ(psp.command(Activate, SevActivate{handle, sev_asid}),
                  PSP_SUCCESS);
        measurement = psp.measure(handle);
    }

    PspStatus inject(uint32_t guest_length = 32)
    {
        std::vector<uint8_t> packet = counting(32), input = {1};
        psp_aes128_ctr(tek, header.iv, packet.data(), packet.size());
        auto add = [&input](const void *from, size_t size) {
            auto *bytes = static_cast<const uint8_t *>(from);
            input.insert(input.end(), bytes, bytes + size);
        };
        uint32_t length = 32;
        add(&header.flags, 4);
        add(header.iv, 16);
        add(&guest_length, 4);
        add(&length, 4);
        add(packet.data(), packet.size());
        add(measurement.mac, 32);
        psp_hmac_sha256(tik, 16, input.data(), input.size(), header.mac);
        header.mac[0] ^= spoilt;
        psp.host.put_as(buffer_at, header);
        psp.host.put(other_at, packet);
        return psp.command(LaunchUpdateSecret,
                           SevLaunchSecret{handle, 0, buffer_at, 52, 0,
                                           guest_at, guest_length, 0, other_at,
                                           32});
    }

    SevMeasurement measurement;
    SevSecretHeader header = {};
    uint8_t spoilt = 0;
};

TEST_F(SecretTest, ReachesTheGuestAlone)
{
    ASSERT_EQ(inject(), PSP_SUCCESS);
    EXPECT_EQ(psp.host.seen_by(sev_asid, guest_at, 32), counting(32));
    EXPECT_NE(psp.host.at(guest_at, 32), counting(32));
}

TEST_F(SecretTest, ThatIsNotBoundToTheMeasurementIsRefused)
{
    spoilt = 1;
    EXPECT_EQ(inject(), PSP_BAD_MEASUREMENT);
}

TEST_F(SecretTest, CannotBeCompressedOrOfAnotherLength)
{
    EXPECT_EQ(inject(16), PSP_INVALID_LENGTH);
    header.flags = 1;
    EXPECT_EQ(inject(), PSP_UNSUPPORTED);
}

TEST_F(CertificateTest, TheAttestationReportIsSignedByThePek)
{
    uint32_t handle = psp.start(0, sev_asid);
    SevAttestation wanted = {handle, 0, buffer_at, {9}, 207};
    EXPECT_EQ(psp.command(Attestation, wanted), PSP_INVALID_LENGTH);
    EXPECT_EQ(wanted.length, 208u);
    ASSERT_EQ(psp.command(Attestation, wanted), PSP_SUCCESS);
    auto report = psp.host.get_as<SevReport>(buffer_at);
    EXPECT_EQ(report.nonce[0], 9);

    uint8_t digest[32];
    PspSignature signature = {};
    fetch();
    psp_sha256(&report, offsetof(SevReport, signature_usage), digest);
    memcpy(signature.r, report.r, 72);
    memcpy(signature.s, report.s, 72);
    EXPECT_TRUE(psp_verify(&chain.pek.key, digest, 32, &signature));
}

/* --- faults, delays, log -------------------------------------------------- */

TEST(RulesTest, TheNthCommandOfANameFailsAsItIsTold)
{
    Processor psp("PLATFORM_STATUS:2:0x13");
    SevPlatformStatus status = {};
    EXPECT_EQ(psp.command(PlatformStatus, status), PSP_SUCCESS);
    EXPECT_EQ(psp.command(PlatformStatus, status), PSP_HWERROR_PLATFORM);
    EXPECT_EQ(psp.command(PlatformStatus, status), PSP_SUCCESS);
    EXPECT_TRUE(psp.host.logged("\"event\": \"fault\", \"step\": "
                                "\"PLATFORM_STATUS\", \"nth\": 2"));
}

TEST(RulesTest, ADelayIsPerCommandOrPerPage)
{
    Processor psp(nullptr, "LAUNCH_UPDATE_DATA:10/page,LAUNCH_UPDATE_DATA:5");
    psp.init();
    uint32_t handle = psp.start(0, sev_asid);
    psp.command(LaunchUpdateData, SevGuestBuffer{handle, 0, guest_at, 0x2010});
    EXPECT_EQ(psp.microseconds, 35u);
}

TEST(RulesTest, NonsenseIsRefusedWithASentence)
{
    FakeHost host(0x1000);
    PspHost calls = host.interface();
    for (const char *rule : {"NOBODY:1:1", "INIT", "INIT:0:1", "INIT:1:0",
                             "INIT:1:99999", "?:1:1", "INIT:1:1,"}) {
        PspConfig config = {16, 8, true, {}, rule, nullptr};
        char *error = nullptr;
        EXPECT_FALSE(psp_new(&calls, &config, &error)) << rule;
        EXPECT_TRUE(strstr(error, "NAME:N:STATUS")) << error;
        g_free(error);
    }
    for (const char *rule : {"INIT", "INIT:x", "INIT:1/pages", "INIT:1:1"}) {
        PspConfig config = {16, 8, true, {}, nullptr, rule};
        char *error = nullptr;
        EXPECT_FALSE(psp_new(&calls, &config, &error)) << rule;
        g_free(error);
    }
}

TEST_F(SevTest, TheLogHasTheWordsOfThePlatforms)
{
    uint32_t handle = psp.start(SEV_POLICY_ES, es_asid);
    psp.host.put(guest_at, counting(PSP_PAGE));
    psp.command(LaunchUpdateVmsa,
                SevGuestBuffer{handle, 0, guest_at, PSP_PAGE});
    psp.finish(handle);
    psp.command(Deactivate, SevHandle{handle});
    for (const char *words :
         {"\"event\": \"init\", \"vm\": 1, \"tee\": \"sev-es\"",
          "\"event\": \"asid_taken\", \"vm\": 1, \"pool\": \"es\", "
          "\"asid\": 1",
          "\"event\": \"vmsa\", \"vm\": 1, \"vcpu\": 0, \"sha384\": \"",
          "\"event\": \"measure\", \"vm\": 1, \"tee\": \"sev-es\"",
          "\"event\": \"launch\", \"vm\": 1, \"tee\": \"sev-es\", "
          "\"digest\": \"",
          "\"policy\": 4, \"vcpus\": 1, \"asid\": 1",
          "\"event\": \"asid_freed\""}) {
        EXPECT_TRUE(psp.host.logged(words)) << words;
    }
}

} // namespace
