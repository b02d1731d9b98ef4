/*
 * SEV-SNP on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "test_kvm.h"

#include <cstdlib>

namespace coco_test {

namespace {

constexpr uint64_t kPolicy = 0x30000;
constexpr uint64_t kGpa = 0x100000;

/* A SNP guest with a slot of private memory, as far as LAUNCH_START. */
class SnpVm : public TestVm {
public:
    explicit SnpVm(size_t page_count = 4)
        : TestVm(KVM_X86_SNP_VM), pages(page_count)
    {
        kvm_sev_init init = {};
        good = op(KVM_SEV_INIT2, &init) == 0;
        gmem = make_gmem(pages.size());
        good = good && gmem.get() >= 0 &&
               add_private_slot(0, kGpa, pages, gmem) == 0 &&
               set_private(kGpa, pages.size()) == 0;
    }

    int start(uint64_t policy = kPolicy)
    {
        kvm_sev_snp_launch_start launch = {};
        launch.policy = policy;
        return op(KVM_SEV_SNP_LAUNCH_START, &launch);
    }

    /* Fills pages from the same offset of the test's memory. */
    int update(uint8_t type, size_t offset, size_t size = kPage)
    {
        left = {};
        left.gfn_start = (kGpa + offset) / kPage;
        left.uaddr = pages.address(offset);
        left.len = size;
        left.type = type;
        return op(KVM_SEV_SNP_LAUNCH_UPDATE, &left);
    }

    int finish()
    {
        kvm_sev_snp_launch_finish launch = {};
        return op(KVM_SEV_SNP_LAUNCH_FINISH, &launch);
    }

    Pages pages;
    Fd gmem;
    kvm_sev_snp_launch_update left = {};
    bool good = false;
};

#define EXPECT_FIRMWARE(error, what)                                           \
    do {                                                                       \
        EXPECT_EQ(-EIO, what);                                                 \
        EXPECT_EQ(uint32_t(error), vm.fw_error);                               \
    } while (0)

} // namespace

TEST(Snp, CommandsOfOlderSevAreNotPermitted)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    kvm_sev_launch_start start = {};
    EXPECT_EQ(-EPERM, vm.op(KVM_SEV_LAUNCH_START, &start));
    EXPECT_EQ(-EPERM, vm.op(KVM_SEV_LAUNCH_FINISH));
}

TEST(Snp, StartChecksThePolicy)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.start(0)) << "two bits must be set";
    EXPECT_EQ(-EINVAL, vm.start(1 << 16));
    EXPECT_EQ(-EINVAL, vm.start(1 << 17));
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 18)) << "migration";
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 20)) << "single socket";
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1ull << 40));
    EXPECT_FIRMWARE(kFwPolicyFailure, vm.start(kPolicy | 0xff00));
    EXPECT_EQ(0, vm.start());
    EXPECT_EQ(-EINVAL, vm.start()) << "one context";
}

TEST(Snp, UpdateComesAfterStart)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.update(kSnpNormal, 0));
    EXPECT_EQ(-EINVAL, vm.finish());
}

TEST(Snp, UpdateChecksTypeAndLength)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    EXPECT_EQ(-EINVAL, vm.update(0, 0));
    EXPECT_EQ(-EINVAL, vm.update(kSnpVmsa, 0)) << "KVM's own to issue";
    EXPECT_EQ(-EINVAL, vm.update(7, 0));
    EXPECT_EQ(-EINVAL, vm.update(kSnpNormal, 0, 100));
    EXPECT_EQ(0, vm.update(kSnpNormal, 0));
    EXPECT_EQ(0u, vm.left.len);
    EXPECT_EQ((kGpa >> 12) + 1, vm.left.gfn_start);
    EXPECT_EQ(vm.pages.address(kPage), vm.left.uaddr);
}

TEST(Snp, APageMustHaveTheAttributeAndAPrivateSlot)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    Pages plain(1);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.set_private(kGpa, kPage, false));
    EXPECT_EQ(-EIO, vm.update(kSnpNormal, 0));
    EXPECT_EQ(0u, vm.fw_error) << "the firmware was not asked";
    ASSERT_EQ(0, vm.add_slot(1, 0, plain));
    kvm_sev_snp_launch_update update = {};
    update.uaddr = plain.address();
    update.len = kPage;
    update.type = kSnpNormal;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_LAUNCH_UPDATE, &update));
}

TEST(Snp, APageIsLaunchedOnce)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.update(kSnpNormal, kPage));
    EXPECT_EQ(-EIO, vm.update(kSnpZero, kPage));
    /* Until it was given back. */
    ASSERT_EQ(0, fallocate(vm.gmem.get(),
                           FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPage,
                           kPage));
    EXPECT_EQ(0, vm.update(kSnpZero, kPage));
}

TEST(Snp, UpdateStopsBeforeTheFirstPageThatItCannotTake)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.update(kSnpNormal, 2 * kPage));
    EXPECT_EQ(0, vm.update(kSnpNormal, 0, 4 * kPage));
    EXPECT_EQ(2 * kPage, vm.left.len);
    EXPECT_EQ((kGpa >> 12) + 2, vm.left.gfn_start);
    EXPECT_EQ(-EIO, vm.op(KVM_SEV_SNP_LAUNCH_UPDATE, &vm.left));
}

TEST(Snp, TheCpuidPageIsChecked)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    auto *words = reinterpret_cast<uint32_t *>(vm.pages.at());
    words[0] = 65; /* functions, and 64 fit */
    EXPECT_FIRMWARE(kFwInvalidParam, vm.update(kSnpCpuid, 0));
    words[0] = 1;
    words[4] = 7;               /* leaf 7 */
    words[4 + 6 + 1] = 1u << 1; /* EBX: TSC_ADJUST */
    EXPECT_FIRMWARE(kFwInvalidParam, vm.update(kSnpCpuid, 0));
    EXPECT_EQ(0u, words[4 + 6 + 1]) << "the page says what is possible";
    EXPECT_EQ(0, vm.update(kSnpCpuid, 0));
}

TEST(Snp, FinishLocksTheVcpusAndEndsTheLaunch)
{
    SnpVm vm;
    kvm_regs regs = {};
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.update(kSnpNormal, 0));
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(uint32_t(KVM_EXIT_FAIL_ENTRY), vm.run(0)->exit_reason);
    ASSERT_EQ(0, vm.finish());
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_REGS, &regs));
    EXPECT_EQ(-EINVAL, vm.finish());
    EXPECT_FIRMWARE(kFwInvalidGuestState, vm.update(kSnpNormal, kPage));
}

TEST(Snp, AnIdBlockWithAnotherDigestIsRefused)
{
    SnpVm vm;
    uint8_t block[96] = {};
    std::vector<uint8_t> auth(4096);
    kvm_sev_snp_launch_finish finish = {};
    finish.id_block_en = 1;
    finish.id_block_uaddr = reinterpret_cast<uint64_t>(block);
    finish.id_auth_uaddr = reinterpret_cast<uint64_t>(auth.data());
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.update(kSnpNormal, 0));
    EXPECT_FIRMWARE(kFwBadMeasurement,
                    vm.op(KVM_SEV_SNP_LAUNCH_FINISH, &finish));
}

TEST(GuestMemfd, OnlyGuestsWithPrivateMemoryHaveIt)
{
    TestVm plain(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(-EINVAL, plain.make_gmem(kPage).get());
    EXPECT_EQ(
        0, call(plain.vm, KVM_CHECK_EXTENSION, uintptr_t(KVM_CAP_GUEST_MEMFD)));
    EXPECT_EQ(-EINVAL, plain.set_private(0, kPage));
    EXPECT_EQ(1, call(plain.kvm, KVM_CHECK_EXTENSION,
                      uintptr_t(KVM_CAP_GUEST_MEMFD)));
}

TEST(GuestMemfd, ItCannotBeMappedOrBelongToAnotherVm)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(MAP_FAILED,
              mmap(nullptr, kPage, PROT_READ, MAP_SHARED, vm.gmem.get(), 0));
    EXPECT_EQ(ENODEV, errno);
    TestVm other(KVM_X86_SNP_VM);
    Pages pages(1);
    EXPECT_EQ(-EINVAL, other.add_private_slot(0, 0, pages, vm.gmem));
    EXPECT_EQ(-EINVAL, vm.add_private_slot(1, 0, pages, vm.gmem))
        << "these pages are bound already";
    Fd null(open("/dev/null", O_RDWR));
    EXPECT_EQ(-EINVAL, other.add_private_slot(0, 0, pages, null));
    EXPECT_EQ(-EBADF, other.add_private_slot(0, 0, pages, Fd()));
}

TEST(GuestMemfd, APrivateSlotCannotBeChanged)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.add_private_slot(0, kGpa, vm.pages, vm.gmem));
    EXPECT_EQ(-EINVAL, vm.add_slot(0, kGpa, vm.pages));
}

TEST(GuestMemfd, OnlyHolesInWholePages)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    int fd = vm.gmem.get();
    EXPECT_EQ(-1, fallocate(fd, 0, 0, kPage));
    EXPECT_EQ(EOPNOTSUPP, errno);
    EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1,
                            kPage));
    EXPECT_EQ(EINVAL, errno);
}

TEST(GuestMemfd, ItPinsTheVm)
{
    std::deque<SnpVm> vms;
    for (int i = 0; i < 4; i++) {
        ASSERT_TRUE(vms.emplace_back().good);
    }
    TestVm next(KVM_X86_SNP_VM);
    kvm_sev_init init = {};
    vms[0].vm.reset();
    EXPECT_EQ(-EBUSY, next.op(KVM_SEV_INIT2, &init));
    vms[0].gmem.reset();
    EXPECT_EQ(0, next.op(KVM_SEV_INIT2, &init));
}

TEST(Attributes, TheyAreChecked)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    kvm_memory_attributes bad = {kGpa, kPage, 1, 0};
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_SET_MEMORY_ATTRIBUTES, &bad));
    bad = {kGpa, kPage, KVM_MEMORY_ATTRIBUTE_PRIVATE, 1};
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_SET_MEMORY_ATTRIBUTES, &bad));
    EXPECT_EQ(-EINVAL, vm.set_private(kGpa + 1, kPage));
    EXPECT_EQ(-EINVAL, vm.set_private(kGpa, 0));
}

TEST(Fault, AFaultComesOnceAndTheLaunchGoesOn)
{
    if (!getenv("KVM_RESET_COCO_FAULT")) {
        GTEST_SKIP() << "KVM_RESET_COCO_FAULT is not SNP_LAUNCH_START:1:EIO:4";
    }
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_FIRMWARE(4, vm.start());
    EXPECT_EQ(0, vm.start());
}

} // namespace coco_test
