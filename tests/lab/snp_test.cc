/*
 * SNP: the platform, pages and a launch, and what is refused beyond the table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

#include <cstring>
#include <functional>
#include <numeric>

#include "launch_digest.h"

extern "C" {
#include "crypto.h"
}

using namespace lab;

namespace {

std::vector<uint8_t> counting(size_t size)
{
    std::vector<uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), uint8_t(1));
    return bytes;
}

class SnpTest : public testing::Test {
protected:
    void SetUp() override { psp.snp_init(); }

    bool in_state(uint64_t spa, bool assigned, bool immutable,
                  uint32_t asid = 0)
    {
        const PspRmp &entry = psp.host.rmp(spa);
        return entry.assigned == assigned && entry.immutable == immutable &&
               entry.asid == asid;
    }
    bool is_firmware(uint64_t spa) { return in_state(spa, true, true); }
    bool is_reclaim(uint64_t spa) { return in_state(spa, true, false); }

    SnpPlatformStatus status()
    {
        psp.make_firmware(buffer_at);
        EXPECT_EQ(psp.command(SnpGetPlatformStatus, SnpAddress{buffer_at}),
                  PSP_SUCCESS);
        return psp.host.get_as<SnpPlatformStatus>(buffer_at);
    }

    Processor psp;
};

/* --- the platform --------------------------------------------------------- */

TEST(SnpInitTest, IsRefusedWhereTheCpusAreNotReady)
{
    Processor psp;
    psp.host.snp_enabled = false;
    EXPECT_EQ(psp.command(SnpInitialize), PSP_INVALID_CONFIG);
    psp.host.snp_enabled = true;
    psp.host.rmp_alike = false;
    EXPECT_EQ(psp.command(SnpInitialize), PSP_INVALID_CONFIG);
    EXPECT_FALSE(psp.host.enforced);
    psp.host.rmp_alike = true;
    EXPECT_EQ(psp.command(SnpInitialize), PSP_SUCCESS);
    EXPECT_TRUE(psp.host.enforced);
}

TEST(SnpInitTest, ComesBeforeThatOfSev)
{
    Processor psp;
    psp.init();
    EXPECT_EQ(psp.command(SnpInitialize), PSP_INVALID_PLATFORM_STATE);
}

TEST(SnpInitTest, KeepsTheTableToItself)
{
    Processor psp;
    psp.host.rmp(guest_at).assigned = true;
    psp.snp_init();
    EXPECT_FALSE(psp.host.rmp(guest_at).assigned);
    const PspRmp &own = psp.host.rmp(ram_size - 0x100000);
    EXPECT_TRUE(own.assigned && own.immutable && !own.asid);
}

TEST(SnpInitTest, WithoutATableWantsItInitialized)
{
    Processor psp;
    EXPECT_EQ(psp.command(SnpInitializeEx, SnpInitEx{}), PSP_RMP_INIT_REQUIRED);
    EXPECT_EQ(psp.command(SnpInitializeEx, SnpInitEx{SNP_INIT_RMP, 0, 0, {}}),
              PSP_SUCCESS);
}

class ListTest : public testing::Test {
protected:
    PspStatus init()
    {
        psp.host.put_as(third_at, list);
        return psp.command(
            SnpInitializeEx,
            SnpInitEx{SNP_INIT_RMP | SNP_INIT_LIST, 0, third_at, {}});
    }
    Processor psp;
    SnpRangeList list = {1, 0, {{guest_at, 2, 0}}};
};

TEST_F(ListTest, OfSnpInitBecomesTheHypervisorsForGood)
{
    ASSERT_EQ(init(), PSP_SUCCESS);
    for (uint64_t at : {guest_at, guest_at + PSP_PAGE}) {
        EXPECT_TRUE(psp.host.rmp(at).immutable && !psp.host.rmp(at).assigned);
    }
    EXPECT_FALSE(psp.host.rmp(guest_at + 2 * PSP_PAGE).immutable);
}

TEST_F(ListTest, MayNotBeLongerThanAPage)
{
    list.count = 256;
    EXPECT_EQ(init(), PSP_INVALID_PARAM);
}

TEST_F(ListTest, OfBrokenAddressesIsRefused)
{
    list.range[0].base++;
    EXPECT_EQ(init(), PSP_INVALID_ADDRESS);
}

TEST_F(ListTest, OfAGuestsPageChangesNothing)
{
    psp.snp_init();
    psp.make_private(guest_at + PSP_PAGE, 0x1000);
    psp.host.put_as(third_at, list);
    EXPECT_EQ(psp.command(SnpSetState, SnpPageSetState{sizeof(SnpPageSetState),
                                                       0, third_at}),
              PSP_INVALID_PAGE_STATE);
    EXPECT_FALSE(psp.host.rmp(guest_at).immutable);
}

TEST_F(SnpTest, ShutdownWantsOldIdsFlushedAndSevShutDown)
{
    SnpShutdownEx shutdown = {sizeof(shutdown), 1};
    psp.snp_start();
    ASSERT_EQ(psp.command(SnpDecommission, SnpAddress{gctx_at}), PSP_SUCCESS);
    EXPECT_EQ(psp.command(SnpShutdownEx_, shutdown), PSP_DFFLUSH_REQUIRED);
    EXPECT_EQ(psp.command(SnpFlush), PSP_WBINVD_REQUIRED);
    psp.host.written_back = true;
    EXPECT_EQ(psp.command(SnpFlush), PSP_SUCCESS);
    ASSERT_EQ(psp.command(Init, SevInit{}), PSP_SUCCESS);
    EXPECT_EQ(psp.command(SnpShutdownEx_, shutdown),
              PSP_INVALID_PLATFORM_STATE);
    EXPECT_EQ(psp.command(Shutdown), PSP_SUCCESS);
    EXPECT_EQ(psp.command(SnpShutdownEx_, shutdown), PSP_SUCCESS);
    EXPECT_FALSE(psp.host.enforced);
}

TEST_F(SnpTest, StatusTellsVersionsAndGuestsAndGivesItsPageBack)
{
    EXPECT_EQ(status().state, PSP_INIT);
    EXPECT_TRUE(is_reclaim(buffer_at));
    psp.snp_start();
    SnpPlatformStatus now = status();
    EXPECT_EQ(now.state, PSP_WORKING);
    EXPECT_EQ(now.guest_count, 1u);
    EXPECT_EQ(now.api_minor, PSP_API_MINOR);
}

/* Linux 7.3 does so, in a packed structure. */
TEST(SnpInitTest, BeforeItTheStatusIsWrittenToAnyAddress)
{
    Processor psp;
    EXPECT_EQ(psp.command(SnpGetPlatformStatus, SnpAddress{buffer_at + 13}),
              PSP_SUCCESS);
    EXPECT_EQ(psp.host.get_as<SnpPlatformStatus>(buffer_at + 13).api_minor,
              PSP_API_MINOR);
    EXPECT_FALSE(psp.host.rmp(buffer_at).assigned);
}

/* Below 0x1b: newer ones make Linux give SEV-ES up (ccp, sev-dev.c). */
TEST_F(SnpTest, ItsSecurityVersionIsOneThatLinuxTakes)
{
    EXPECT_LT(status().current_tcb >> 48 & 0xff, 0x1bu);
}

TEST_F(SnpTest, NoNewerVersionCanBeReportedThanThereIs)
{
    uint64_t tcb = status().current_tcb;
    EXPECT_EQ(psp.command(SnpConfigure, SnpConfig{tcb + 1, 0, {}}),
              PSP_INVALID_PARAM);
    EXPECT_EQ(psp.command(SnpConfigure, SnpConfig{tcb - 1, 0, {}}),
              PSP_SUCCESS);
    EXPECT_EQ(status().reported_tcb, tcb - 1);
    EXPECT_EQ(psp.command(SnpConfigure, SnpConfig{0, 0, {}}), PSP_SUCCESS);
    EXPECT_EQ(status().reported_tcb, tcb);
}

TEST_F(SnpTest, ASevCommandWritesOnlyIntoAnArgumentOfTheFirmwares)
{
    SevPlatformStatus argument = {};
    EXPECT_EQ(psp.command(PlatformStatus, argument), PSP_INVALID_PAGE_STATE);
    psp.make_firmware(argument_at);
    EXPECT_EQ(psp.command(PlatformStatus, argument), PSP_SUCCESS);
}

TEST(NoSnpTest, AProcessorWithoutItKnowsNoneOfItsCommands)
{
    FakeHost host(ram_size);
    PspHost calls = host.interface();
    PspConfig config = {16, 8, false, {}, nullptr, nullptr};
    char *error = nullptr;
    uint64_t microseconds;
    Psp *psp = psp_new(&calls, &config, &error);
    EXPECT_EQ(psp_command(psp, SnpInitialize, 0, &microseconds),
              PSP_INVALID_COMMAND);
    psp_free(psp);
}

/* --- pages ---------------------------------------------------------------- */

TEST_F(SnpTest, PagesAreReclaimedFromFirmwareAndHalfLaunchedGuestsAlone)
{
    struct {
        PspRmp entry; /* gpa, asid, assigned, 2m, immutable, vmsa, validated */
        PspStatus status;
    } states[] = {
        {{0, 0, true, false, true, false, false, {}}, PSP_SUCCESS},
        {{8, 0, true, false, true, false, false, {}}, PSP_SUCCESS},
        {{0, 0, true, false, false, false, false, {}}, PSP_SUCCESS},
        {{0, 1, true, false, true, false, false, {}}, PSP_SUCCESS},
        {{0, 1, true, false, true, false, true, {}}, PSP_SUCCESS},
        {{0, 1, true, false, false, false, false, {}}, PSP_INVALID_PAGE_STATE},
        {{0, 1, true, false, false, false, true, {}}, PSP_INVALID_PAGE_STATE},
        {{0, 0, true, false, true, true, false, {}}, PSP_INVALID_PAGE_STATE},
        {{0, 0, false, false, false, false, false, {}}, PSP_INVALID_PAGE_STATE},
        {{0, 0, false, false, true, false, false, {}}, PSP_INVALID_PAGE_STATE},
        {{0, 0, true, true, true, false, false, {}}, PSP_INVALID_PAGE_SIZE},
    };
    for (const auto &state : states) {
        psp.host.rmp(guest_at) = state.entry;
        EXPECT_EQ(psp.command(SnpReclaim, SnpAddress{guest_at}), state.status)
            << "line " << &state - states;
        if (state.status == PSP_SUCCESS) {
            EXPECT_TRUE(is_reclaim(guest_at)) << "line " << &state - states;
        }
    }
}

TEST_F(SnpTest, ReclaimWantsAWholePageThatTheTableCovers)
{
    for (uint64_t address :
         {guest_at + 16, ram_size, guest_at + PSP_PAGE + 1}) {
        EXPECT_EQ(psp.command(SnpReclaim, SnpAddress{address}),
                  PSP_INVALID_ADDRESS);
    }
    psp.make_firmware(tmr_at);
    psp.host.rmp(tmr_at).size_2m = true;
    EXPECT_EQ(psp.command(SnpReclaim, SnpAddress{tmr_at}),
              PSP_INVALID_PAGE_SIZE);
    EXPECT_EQ(psp.command(SnpReclaim, SnpAddress{tmr_at | 1}), PSP_SUCCESS);
}

TEST_F(SnpTest, AContextIsNobodysUntilItsGuestIsDecommissioned)
{
    psp.snp_start();
    EXPECT_EQ(psp.command(SnpReclaim, SnpAddress{gctx_at}),
              PSP_INVALID_PAGE_STATE);
    EXPECT_EQ(psp.command(SnpDecommission, SnpAddress{gctx_at}), PSP_SUCCESS);
    EXPECT_TRUE(is_firmware(gctx_at));
    EXPECT_EQ(psp.host.keys.count(es_asid), 0u);
}

/* --- a launch ------------------------------------------------------------- */

class SnpLaunchTest : public SnpTest {
protected:
    void SetUp() override
    {
        SnpTest::SetUp();
        psp.snp_start();
    }

    SnpLaunchUpdate normal(uint64_t spa)
    {
        SnpLaunchUpdate update = {};
        update.gctx = gctx_at;
        update.what = SNP_PAGE_NORMAL << 1;
        update.address = spa;
        return update;
    }
    /* What the firmware says at the end is in the log. */
    bool has_digest(const std::string &hex)
    {
        EXPECT_EQ(psp.snp_finish(), PSP_SUCCESS);
        return psp.host.logged("\"tee\": \"snp\", \"digest\": \"" + hex);
    }
};

TEST_F(SnpTest, APolicyThatCannotBeKeptIsRefused)
{
    psp.snp_context();
    for (uint64_t policy :
         {SNP_POLICY_SMT + 0ull, SNP_POLICY_ONE | 1ull << 21,
          SNP_POLICY_ONE | 2ull << 8, SNP_POLICY_ONE | 1ull << 8 | 56}) {
        EXPECT_EQ(
            psp.command(SnpStart, SnpLaunchStart{gctx_at, policy, 0, 0, 0, {}}),
            PSP_POLICY_FAILURE);
    }
    EXPECT_EQ(psp.command(
                  SnpStart,
                  SnpLaunchStart{gctx_at, snp_policy, 0, SNP_START_MA, 0, {}}),
              PSP_UNSUPPORTED);
}

TEST_F(SnpLaunchTest, ALaunchedPageIsTheGuestsAndValid)
{
    auto text = counting(PSP_PAGE);
    psp.host.put(guest_at, text);
    ASSERT_EQ(psp.snp_update(SNP_PAGE_NORMAL, guest_at, 0x3000), PSP_SUCCESS);
    EXPECT_EQ(psp.host.seen_by(es_asid, guest_at, PSP_PAGE), text);
    EXPECT_NE(psp.host.at(guest_at, PSP_PAGE), text);
    const PspRmp &entry = psp.host.rmp(guest_at);
    EXPECT_TRUE(entry.validated && !entry.immutable && !entry.vmsa);
    EXPECT_EQ(entry.perms[0], 15);
    EXPECT_EQ(entry.perms[1], 0);
}

TEST_F(SnpLaunchTest, APageThatTheHostDidNotAssignIsRefused)
{
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at)), PSP_INVALID_PAGE_STATE);
    psp.make_private(guest_at, 0);
    psp.host.rmp(guest_at).validated = true;
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at)), PSP_INVALID_PAGE_STATE);
    psp.make_private(guest_at, 0, es_asid + 1);
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at)), PSP_INVALID_PAGE_OWNER);
    psp.make_private(guest_at, 0);
    psp.host.rmp(guest_at).size_2m = true;
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at)), PSP_INVALID_PAGE_SIZE);
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at + 16)),
              PSP_INVALID_ADDRESS);
    EXPECT_EQ(psp.command(SnpUpdate, normal(ram_size)), PSP_INVALID_ADDRESS);
}

TEST_F(SnpLaunchTest, APageCannotBeLaunchedTwice)
{
    ASSERT_EQ(psp.snp_update(SNP_PAGE_NORMAL, guest_at, 0), PSP_SUCCESS);
    EXPECT_EQ(psp.command(SnpUpdate, normal(guest_at)), PSP_INVALID_PAGE_STATE);
}

TEST_F(SnpLaunchTest, ATypeThatIsNotIsRefused)
{
    for (uint32_t type : {0u, 7u}) {
        SnpLaunchUpdate update = normal(guest_at);
        psp.make_private(guest_at, 0);
        update.what = type << 1;
        EXPECT_EQ(psp.command(SnpUpdate, update), PSP_INVALID_PARAM);
    }
}

TEST_F(SnpLaunchTest, AVmsaIsMarkedAndMeasuredAtTheTopOfAddresses)
{
    auto vmsa = counting(PSP_PAGE);
    psp.host.put(guest_at, vmsa);
    ASSERT_EQ(psp.snp_update(SNP_PAGE_VMSA, guest_at, 0x5000), PSP_SUCCESS);
    EXPECT_TRUE(psp.host.rmp(guest_at).vmsa);
    kvm_reset::SnpDigest digest;
    ASSERT_TRUE(digest.add_vmsa(vmsa));
    EXPECT_TRUE(has_digest(digest.hex()));
}

TEST_F(SnpLaunchTest, TheDigestIsTheChainOfAllTypesOfPages)
{
    kvm_reset::SnpDigest digest;
    for (SnpPageType type :
         {SNP_PAGE_NORMAL, SNP_PAGE_ZERO, SNP_PAGE_UNMEASURED, SNP_PAGE_SECRETS,
          SNP_PAGE_CPUID}) {
        uint64_t spa = guest_at + type * PSP_PAGE, gpa = type * 0x10000;
        auto page = counting(PSP_PAGE);
        if (type == SNP_PAGE_CPUID) {
            page.assign(PSP_PAGE, 0);
        }
        psp.host.put(spa, page);
        ASSERT_EQ(psp.snp_update(type, spa, gpa), PSP_SUCCESS);
        ASSERT_TRUE(
            digest.add(static_cast<kvm_reset::SnpPage>(type), gpa, page));
    }
    EXPECT_TRUE(has_digest(digest.hex()));
}

TEST_F(SnpLaunchTest, ALargePageIsMeasuredAsItsSmallOnes)
{
    std::vector<uint8_t> pages(PSP_PAGE_2M);
    std::iota(pages.begin(), pages.end(), uint8_t(3));
    psp.host.put(0x600000, pages);
    psp.make_private(0x600000, 0x200000);
    psp.host.rmp(0x600000).size_2m = true;
    SnpLaunchUpdate update = normal(0x600000);
    update.what |= 1;
    ASSERT_EQ(psp.command(SnpUpdate, update), PSP_SUCCESS);
    kvm_reset::SnpDigest digest;
    ASSERT_TRUE(digest.add(kvm_reset::SnpPage::Normal, 0x200000, pages));
    EXPECT_TRUE(has_digest(digest.hex()));
}

TEST_F(SnpLaunchTest, PermissionsOfVmplsAreInTheTableAndInTheDigest)
{
    SnpLaunchUpdate update = normal(guest_at);
    psp.make_private(guest_at, 0x1000);
    update.perms[0] = 7;
    update.perms[2] = 1;
    ASSERT_EQ(psp.command(SnpUpdate, update), PSP_SUCCESS);
    EXPECT_EQ(psp.host.rmp(guest_at).perms[1], 7);
    EXPECT_EQ(psp.host.rmp(guest_at).perms[3], 1);

    SnpPageInfo info = {};
    uint8_t digest[48], zeros[PSP_PAGE] = {};
    psp_sha384(zeros, sizeof(zeros), info.contents);
    info.length = sizeof(info);
    info.type = SNP_PAGE_NORMAL;
    info.perms[0] = 1; /* VMPL3 comes first */
    info.perms[2] = 7;
    info.gpa = 0x1000;
    psp_sha384(&info, sizeof(info), digest);
    kvm_reset::Digest hex;
    std::copy_n(digest, 48, hex.bytes.begin());
    hex.size = 48;
    EXPECT_TRUE(has_digest(hex.hex()));
}

TEST_F(SnpLaunchTest, TheSecretsPageHasFourKeys)
{
    ASSERT_EQ(psp.snp_update(SNP_PAGE_SECRETS, guest_at, 0), PSP_SUCCESS);
    auto page = psp.host.seen_by(es_asid, guest_at, PSP_PAGE);
    EXPECT_EQ(page[0], 3);
    for (int i = 0; i < 4; i++) {
        std::vector<uint8_t> key(&page[0x20 + i * 32], &page[0x40 + i * 32]);
        EXPECT_NE(key, std::vector<uint8_t>(32));
    }
}

TEST_F(SnpLaunchTest, ACpuidPageThatPromisesTooMuchComesBackPutRight)
{
    SnpCpuidPage page = {};
    page.count = 2;
    page.function[0] = {0x80000001, 0, 0, 0, {0, 0, 0x10, 0x30}, 0};
    page.function[1] = {7, 0, 0, 0, {0, 2, 0, 0}, 0}; /* TSC_ADJUST: never */
    psp.host.cpuid = {0, ~0u, ~0u, 0x10};
    psp.host.put_as(guest_at, page);
    EXPECT_EQ(psp.snp_update(SNP_PAGE_CPUID, guest_at, 0), PSP_INVALID_PARAM);
    page = psp.host.get_as<SnpCpuidPage>(guest_at);
    EXPECT_EQ(page.function[0].out[2], 0x10u);
    EXPECT_EQ(page.function[0].out[3], 0x10u);
    EXPECT_EQ(page.function[1].out[1], 0u);
    EXPECT_EQ(psp.snp_update(SNP_PAGE_CPUID, guest_at, 0), PSP_SUCCESS);

    page.count = 65;
    psp.host.put_as(guest_at, page);
    EXPECT_EQ(psp.snp_update(SNP_PAGE_CPUID, guest_at, 0), PSP_INVALID_PARAM);
    page.count = 1;
    page.function[0].reserved = 1;
    psp.host.put_as(guest_at, page);
    EXPECT_EQ(psp.snp_update(SNP_PAGE_CPUID, guest_at, 0), PSP_INVALID_PARAM);
}

TEST_F(SnpLaunchTest, DebuggingSeesTheGuestsOwnPagesAlone)
{
    auto text = counting(PSP_PAGE);
    psp.host.put(guest_at, text);
    ASSERT_EQ(psp.snp_update(SNP_PAGE_NORMAL, guest_at, 0), PSP_SUCCESS);
    psp.make_firmware(buffer_at);
    SnpDebug debug = {gctx_at, guest_at, buffer_at};
    EXPECT_EQ(psp.command(SnpDbgDecrypt, debug), PSP_SUCCESS);
    EXPECT_EQ(psp.host.at(buffer_at, PSP_PAGE), text);
    debug.source = third_at;
    EXPECT_EQ(psp.command(SnpDbgDecrypt, debug), PSP_INVALID_PAGE_OWNER);
    EXPECT_EQ(psp.command(SnpDbgEncrypt, SnpDebug{gctx_at, guest_at, third_at}),
              PSP_INVALID_PAGE_OWNER);
}

TEST_F(SnpLaunchTest, GuestStatusTellsItsState)
{
    psp.make_firmware(buffer_at);
    ASSERT_EQ(
        psp.command(SnpGetGuestStatus, SnpGuestStatus{gctx_at, buffer_at}),
        PSP_SUCCESS);
    auto page = psp.host.get_as<SnpGuestStatusPage>(buffer_at);
    EXPECT_EQ(page.policy, snp_policy);
    EXPECT_EQ(page.asid, es_asid);
    EXPECT_EQ(page.state, 1);
    EXPECT_TRUE(is_reclaim(buffer_at));
}

/* --- the ID block --------------------------------------------------------- */

/* An owner who says what the guest must be, and signs it. */
class IdBlockTest : public SnpLaunchTest {
protected:
    void SetUp() override
    {
        SnpLaunchTest::SetUp();
        uint8_t seed[64] = {1};
        psp_key_of(&id, seed);
        seed[0] = 2;
        psp_key_of(&author, seed);
        block.policy = snp_policy;
        auth.id_algorithm = auth.author_algorithm = 1;
        psp_key_public(&id, &auth.id_key);
        psp_key_public(&author, &auth.author_key);
    }

    static void sign(const PspKeyPair &key, const void *data, size_t size,
                     PspSignature *signature)
    {
        PspRandom *random = [](void *, size_t size, uint8_t *data) {
            std::fill_n(data, size, uint8_t(7));
        };
        uint8_t digest[48];
        psp_sha384(data, size, digest);
        psp_sign(&key, random, nullptr, digest, 48, signature->r, signature->s);
    }
    PspStatus finish(const std::function<void()> &spoil = [] {})
    {
        sign(id, &block, sizeof(block), &auth.block_signature);
        sign(author, &auth.id_key, sizeof(auth.id_key), &auth.id_key_signature);
        spoil();
        psp.host.put_as(buffer_at, block);
        psp.host.put_as(other_at, auth);
        return psp.command(SnpFinish, SnpLaunchFinish{gctx_at,
                                                      buffer_at,
                                                      other_at,
                                                      SNP_FINISH_ID_BLOCK |
                                                          SNP_FINISH_AUTHOR_KEY,
                                                      {}});
    }

    PspKeyPair id, author;
    SnpIdBlock block = {};
    SnpIdAuth auth = {};
};

TEST_F(IdBlockTest, ThatIsRightLetsTheGuestRun)
{
    EXPECT_EQ(finish(), PSP_SUCCESS); /* nothing was launched: zeros */
}

TEST_F(IdBlockTest, OfAnotherMeasurementEndsTheLaunch)
{
    block.digest[0] = 1;
    EXPECT_EQ(finish(), PSP_BAD_MEASUREMENT);
}

TEST_F(IdBlockTest, OfAnotherPolicyEndsTheLaunch)
{
    block.policy |= 1;
    EXPECT_EQ(finish(), PSP_POLICY_FAILURE);
}

TEST_F(IdBlockTest, ThatNobodySignedEndsTheLaunch)
{
    EXPECT_EQ(finish([this] { block.guest_svn++; }), PSP_BAD_SIGNATURE);
    EXPECT_EQ(finish([this] { auth.id_key_signature.r[0] ^= 1; }),
              PSP_BAD_SIGNATURE);
    EXPECT_EQ(finish([this] { auth.block_signature.s[60] = 1; }),
              PSP_BAD_SIGNATURE);
    EXPECT_EQ(finish([this] { auth.id_algorithm = 2; }), PSP_INVALID_PARAM);
}

} // namespace
