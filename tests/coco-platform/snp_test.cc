/*
 * SEV-SNP on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "asked_test.h"
#include "snp_vm.h"

namespace coco_test {

/* Linux 7.3's policy bits, but for the version: all to 25, and not 18. */
constexpr uint64_t kKnown = 0x3fb0000;

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
    EXPECT_EQ(-EINVAL, vm.start(0)) << "a bit must be set";
    EXPECT_EQ(-EINVAL, vm.start(1 << 16));
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 18)) << "migration";
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 26));
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1ull << 40));
    EXPECT_FIRMWARE(kFwPolicyFailure, vm.start(kPolicy | 0xff00));
    kvm_sev_snp_launch_start flags = {};
    flags.policy = kKnown;
    flags.flags = 1;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_LAUNCH_START, &flags));
    EXPECT_EQ(0, vm.start(kKnown));
    EXPECT_EQ(-EINVAL, vm.start()) << "one context";
    SnpVm single;
    EXPECT_EQ(0, single.start(1 << 17 | 1 << 20)) << "socket, without SMT";
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
    EXPECT_EQ(-EINVAL, vm.update(kSnpNormal, 0, 0));
    kvm_sev_snp_launch_update odd = vm.left;
    odd.len = kPage;
    for (uint64_t source : {uint64_t(0), vm.pages.address(16)}) {
        odd.uaddr = source;
        EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_LAUNCH_UPDATE, &odd));
    }
    odd.uaddr = vm.pages.address(0);
    odd.flags = 1;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_LAUNCH_UPDATE, &odd));
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

TEST(Snp, WhatWasLaunchedOutlivesItsSlot)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, vm.update(kSnpNormal, 0));
    ASSERT_EQ(0, vm.delete_slot(0));
    ASSERT_EQ(0, vm.add_private_slot(0, kGpa, vm.pages, vm.gmem));
    EXPECT_EQ(-EIO, vm.update(kSnpNormal, 0)) << "it is there already";
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

TEST(Snp, TheSourceOfTheCpuidPageCanBeWritten)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.start());
    ASSERT_EQ(0, mprotect(vm.pages.at(), kPage, PROT_READ));
    EXPECT_FIRMWARE(0, vm.update(kSnpCpuid, 0));
    EXPECT_EQ(0, vm.update(kSnpNormal, 0));
}

TEST(Snp, Init2ChecksFeaturesAndGhcb)
{
    TestVm vm(KVM_X86_SNP_VM);
    kvm_sev_init init = {};
    init.ghcb_version = 1;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_INIT2, &init)) << "2 is the least";
    init.ghcb_version = 3;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_INIT2, &init));
    init.ghcb_version = 2;
    init.vmsa_features = 1;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_INIT2, &init)) << "KVM sets it itself";
    init.flags = 1;
    init.vmsa_features = 0;
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_INIT2, &init));
    init.flags = 0;
    init.vmsa_features = kSevFeatureDebugSwap | kSevFeatureSecureTsc;
    EXPECT_EQ(init.vmsa_features, vm.system_attribute(0));
    EXPECT_EQ(kKnown, vm.system_attribute(1) & ~0xffffull);
    EXPECT_EQ(0, vm.op(KVM_SEV_INIT2, &init));
    TestVm es(KVM_X86_SEV_ES_VM);
    EXPECT_EQ(-EINVAL, es.op(KVM_SEV_INIT2, &init)) << "no secure TSC";
    init.vmsa_features = kSevFeatureDebugSwap;
    EXPECT_EQ(0, es.op(KVM_SEV_INIT2, &init));
}

TEST(Snp, RequestsForCertificatesAreAskedForBeforeTheVcpus)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(0, vm.op(KVM_SEV_SNP_ENABLE_REQ_CERTS));
    ASSERT_EQ(0, vm.add_vcpu(0));
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_ENABLE_REQ_CERTS));
    TestVm es(KVM_X86_SEV_ES_VM);
    kvm_sev_init init = {};
    ASSERT_EQ(0, es.op(KVM_SEV_INIT2, &init));
    EXPECT_EQ(-EINVAL, es.op(KVM_SEV_SNP_ENABLE_REQ_CERTS));
}

TEST(Snp, Linux612HasOtherRules)
{
    run_asked("AskedLinux612.*", {{"KVM_RESET_COCO_LINUX", "6.12"}});
}

TEST(AskedLinux612, PolicyAndFeaturesAreFewer)
{
    NEEDS_SETTING("KVM_RESET_COCO_LINUX");
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.start(1 << 17)) << "no SMT";
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 20)) << "single socket";
    EXPECT_EQ(-EINVAL, vm.start(kPolicy | 1 << 21)) << "CXL";
    EXPECT_EQ(0, vm.start());
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_SNP_ENABLE_REQ_CERTS));
    EXPECT_EQ(0, vm.update(kSnpNormal, 0, 0)) << "nothing is done";
    EXPECT_EQ(-EINVAL, vm.add_private_slot(1, 0, vm.pages, vm.gmem));
    TestVm other(KVM_X86_SNP_VM);
    kvm_sev_init init = {};
    init.ghcb_version = 1;
    init.vmsa_features = kSevFeatureSecureTsc;
    EXPECT_EQ(-EINVAL, other.op(KVM_SEV_INIT2, &init));
    init.vmsa_features = 0;
    EXPECT_EQ(0, other.op(KVM_SEV_INIT2, &init));
    EXPECT_EQ(0u, other.system_attribute(0));
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
    EXPECT_EQ(-EEXIST, vm.add_private_slot(1, 0, pages, vm.gmem))
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

TEST(GuestMemfd, APrivateSlotIsNotReadOnlyAndLogsNoPages)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    Pages more(1);
    Fd gmem = vm.make_gmem(more.size());
    for (uint32_t flag : {KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY}) {
        EXPECT_EQ(-EINVAL, vm.add_private_slot(1, 0, more, gmem, 0, flag));
    }
    EXPECT_EQ(0, vm.add_private_slot(1, 0, more, gmem));
}

TEST(GuestMemfd, FlagsAndAnUnevenSizeAreRefused)
{
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    kvm_create_guest_memfd args = {};
    args.size = kPage;
    args.flags = 1ull << 63;
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_CREATE_GUEST_MEMFD, &args));
    EXPECT_EQ(-EINVAL, vm.make_gmem(kPage + 1).get());
    EXPECT_EQ(-EINVAL, vm.make_gmem(0).get());
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

} // namespace coco_test
