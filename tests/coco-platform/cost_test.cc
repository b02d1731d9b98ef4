/*
 * What a VM costs until it is gone: time, memory, an id
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "asked_test.h"

#include <chrono>
#include <functional>
#include <thread>

#include "snp_vm.h"
#include "tdx_vm.h"

namespace coco_test {

namespace {

using std::chrono::milliseconds;

constexpr size_t kPages = 100; /* of a guest */

milliseconds duration(const std::function<void()> &what)
{
    auto began = std::chrono::steady_clock::now();
    what();
    return std::chrono::duration_cast<milliseconds>(
        std::chrono::steady_clock::now() - began);
}

/* All of its pages were launched. */
class FullVm : public SnpVm {
public:
    FullVm() : SnpVm(kPages)
    {
        good = good && start() == 0 &&
               update(kSnpNormal, 0, pages.size()) == 0 && !left.len;
    }
};

int take_id(TestVm &vm)
{
    kvm_sev_init init = {};
    return vm.op(KVM_SEV_INIT2, &init);
}

int punch(const Fd &gmem, size_t offset, size_t size)
{
    return fallocate(gmem.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(offset), static_cast<off_t>(size));
}

} // namespace

TEST(Cost, OfAVmEndsWhenItsPagesAreGone)
{
    run_asked("AskedCost.*",
              {{"KVM_RESET_COCO_DELAY", "PAGE_RECLAIM:2000/page"},
               {"KVM_RESET_COCO_ES_ASIDS", "1"},
               {"KVM_RESET_COCO_KEY_IDS", "1"}});
}

TEST(AskedCost, EachPageOfAClosedGuestTakesItsTimeAndTheIdComesAfterIt)
{
    NEEDS_SETTING("KVM_RESET_COCO_DELAY");
    TestVm next(KVM_X86_SNP_VM);
    auto vm = std::make_unique<FullVm>();
    ASSERT_TRUE(vm->good);
    std::thread closer([&vm] { vm->vm.reset(), vm->gmem.reset(); });
    EXPECT_EQ(-EBUSY, take_id(next)) << "it has 200 ms to go";
    int ret;
    milliseconds waited = duration([&] {
        closer.join();
        ret = take_id(next);
    });
    EXPECT_EQ(0, ret);
    EXPECT_GE(waited.count(), 100);
}

TEST(AskedCost, AHoleTakesThatTimeBeforeAndNotAgain)
{
    NEEDS_SETTING("KVM_RESET_COCO_DELAY");
    FullVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_GE(duration([&] {
                  EXPECT_EQ(0, punch(vm.gmem, 0, vm.pages.size()));
              }).count(),
              200);
    EXPECT_LT(duration([&] {
                  EXPECT_EQ(0, punch(vm.gmem, 0, vm.pages.size()));
              }).count(),
              200)
        << "there is nothing left";
}

TEST(AskedCost, ATdIsNoCheaper)
{
    NEEDS_SETTING("KVM_RESET_COCO_DELAY");
    TdxVm next;
    auto td = std::make_unique<TdxVm>();
    ASSERT_TRUE(td->good);
    ASSERT_EQ(0, td->init());
    ASSERT_EQ(0, td->add_vcpu(0));
    ASSERT_EQ(0, td->command(td->vcpus[0], KVM_TDX_INIT_VCPU));
    ASSERT_EQ(0, td->add(0, 4));
    EXPECT_EQ(-ENOSPC, next.init());
    EXPECT_GE(duration([&td] { td.reset(); }).count(), 8);
    EXPECT_EQ(0, next.init());
}

TEST(Memory, OfDeadGuestsCountsUntilItWasTakenAway)
{
    run_asked("AskedMemory.*", {{"KVM_RESET_COCO_PRIVATE_MIB", "1"}});
}

TEST(AskedMemory, MoreThanTheHostHasIsRefused)
{
    NEEDS_SETTING("KVM_RESET_COCO_PRIVATE_MIB");
    SnpVm big(257);
    ASSERT_TRUE(big.good);
    ASSERT_EQ(0, big.start());
    EXPECT_EQ(0, big.update(kSnpNormal, 0, big.pages.size()));
    EXPECT_EQ(kPage, big.left.len) << "256 pages are a MiB";
    EXPECT_EQ(-EIO, big.op(KVM_SEV_SNP_LAUNCH_UPDATE, &big.left));
    SnpVm next;
    ASSERT_TRUE(next.good);
    ASSERT_EQ(0, next.start());
    EXPECT_EQ(-EIO, next.update(kSnpNormal, 0));
    /* A hole in the one makes room in the other. */
    ASSERT_EQ(0, punch(big.gmem, 0, kPage));
    EXPECT_EQ(0, next.update(kSnpNormal, 0));
    EXPECT_EQ(-EIO, next.update(kSnpNormal, kPage));
    big.gmem.reset();
    EXPECT_EQ(0, next.update(kSnpNormal, kPage));
}

TEST(AskedMemory, AGuestThatRunsHasAllThatIsPrivate)
{
    NEEDS_SETTING("KVM_RESET_COCO_PRIVATE_MIB");
    SnpVm vm(200), other(100);
    for (SnpVm *each : {&vm, &other}) {
        ASSERT_TRUE(each->good);
        ASSERT_EQ(0, each->add_vcpu(0));
        ASSERT_EQ(0, each->start());
        ASSERT_EQ(0, each->finish());
        each->run(0)->immediate_exit = 1;
    }
    EXPECT_EQ(-EINTR, call(vm.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(-ENOMEM, call(other.vcpus[0], KVM_RUN, 0));
    ASSERT_EQ(0, punch(vm.gmem, 0, 100 * kPage));
    EXPECT_EQ(-EINTR, call(other.vcpus[0], KVM_RUN, 0));
}

TEST(Hold, KeepsTheFirstVm)
{
    run_asked("AskedHold.*",
              {{"KVM_RESET_COCO_HOLD", "1"}, {"KVM_RESET_COCO_ES_ASIDS", "2"}});
}

TEST(AskedHold, TheFirstVmStaysAndOthersGo)
{
    NEEDS_SETTING("KVM_RESET_COCO_HOLD");
    auto first = std::make_unique<SnpVm>(), second = std::make_unique<SnpVm>();
    ASSERT_TRUE(first->good && second->good);
    TestVm third(KVM_X86_SNP_VM), fourth(KVM_X86_SNP_VM);
    first.reset();
    EXPECT_EQ(-EBUSY, take_id(third));
    second.reset();
    EXPECT_EQ(0, take_id(third));
    EXPECT_EQ(-EBUSY, take_id(fourth));
}

} // namespace coco_test
