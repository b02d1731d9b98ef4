/*
 * TDX on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "asked_test.h"
#include "snp_vm.h"
#include "tdx_vm.h"

#include <algorithm>
#include <sys/syscall.h>

namespace coco_test {

namespace {

/* KVM_GET_CPUID2 and the like, past the platform when @real. */
class Cpuid {
public:
    Cpuid() : room_(8192), list_(reinterpret_cast<kvm_cpuid2 *>(room_.data()))
    {
        list_->nent = 256;
    }

    int ask(const Fd &fd, unsigned long request, bool real)
    {
        list_->nent = 256;
        return real ? static_cast<int>(
                          syscall(SYS_ioctl, fd.get(), request, list_))
                    : call(fd, request, list_);
    }

    kvm_cpuid_entry2 find(uint32_t leaf) const
    {
        for (uint32_t i = 0; i < list_->nent; i++) {
            const kvm_cpuid_entry2 &entry = list_->entries[i];
            if (entry.function == leaf && entry.index == 0) {
                return entry;
            }
        }
        return {};
    }

    void put_leaf_7(uint32_t ebx)
    {
        list_->nent = 2;
        list_->entries[0] = {};
        list_->entries[0].eax = 7;
        list_->entries[1] = {};
        list_->entries[1].function = 7;
        list_->entries[1].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        list_->entries[1].ebx = ebx;
    }

    kvm_cpuid2 *list() { return list_; }

private:
    std::vector<uint64_t> room_;
    kvm_cpuid2 *list_;
};

/* An unusual KVM answers with the processor's own. */
bool tells_cpuid_that_was_set(uint32_t host)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Cpuid cpuid;
    cpuid.put_leaf_7(host & 1);
    return vm.add_vcpu(0) == 0 &&
           call(vm.vcpus[0], KVM_SET_CPUID2, cpuid.list()) == 0 &&
           cpuid.ask(vm.vcpus[0], KVM_GET_CPUID2, true) == 0 &&
           cpuid.find(7).ebx == (host & 1);
}

} // namespace

TEST(Tdx, TheGuestIsShownNoFeatureThatTheCpuHasNot)
{
    TdxVm vm;
    Cpuid host, wanted, seen;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, host.ask(vm.kvm, KVM_GET_SUPPORTED_CPUID, true));
    wanted.put_leaf_7(~0u);
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_SET_CPUID2, wanted.list()));
    if (tells_cpuid_that_was_set(host.find(7).ebx)) {
        ASSERT_EQ(0, seen.ask(vm.vcpus[0], KVM_GET_CPUID2, true));
        EXPECT_EQ(host.find(7).ebx, seen.find(7).ebx);
    }
    ASSERT_EQ(0, seen.ask(vm.vcpus[0], KVM_GET_CPUID2, false));
    EXPECT_EQ(~0u, seen.find(7).ebx) << "the program sees what it said";
    kvm_tdx_cmd cmd = {KVM_TDX_GET_CPUID, 0,
                       reinterpret_cast<uint64_t>(seen.list()), 0};
    seen.list()->nent = 256;
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_MEMORY_ENCRYPT_OP, &cmd));
    EXPECT_EQ(~0u, seen.find(7).ebx);
}

TEST(Tdx, CapabilitiesWantRoomForTheirCpuid)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    std::vector<uint64_t> room(8192);
    auto *answer = reinterpret_cast<kvm_tdx_capabilities *>(room.data());
    answer->cpuid.nent = 1;
    EXPECT_EQ(-E2BIG, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data()));
    answer->cpuid.nent = 256;
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data(), 1));
    EXPECT_EQ(0, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data()));
    EXPECT_LT(10u, answer->cpuid.nent);
    EXPECT_GT(256u, answer->cpuid.nent);
    EXPECT_TRUE(answer->supported_attrs & kTdxSeptVeDisable);
    auto *leaves = reinterpret_cast<kvm_cpuid_entry2 *>(answer + 1);
    EXPECT_TRUE(std::any_of(leaves, leaves + answer->cpuid.nent,
                            [](const kvm_cpuid_entry2 &leaf) {
                                return leaf.function == 0x80000008;
                            }));
}

TEST(Tdx, InitVmChecksItsParameters)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.init(1ull << 63));
    EXPECT_EQ(-EINVAL, vm.init(kTdxSeptVeDisable, 0)) << "x87 and SSE";
    EXPECT_EQ(-EINVAL, vm.init(kTdxSeptVeDisable, 1ull << 63 | 3));
    EXPECT_EQ(0, vm.init());
    EXPECT_EQ(-EINVAL, vm.init()) << "once";
}

TEST(Tdx, InitVmChecksWhatIsReserved)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    TdxVm::InitVm padded, reserved, long_list, good;
    padded.init.cpuid.padding = 1;
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_INIT_VM, &padded));
    reserved.init.reserved[0] = 1;
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_INIT_VM, &reserved));
    long_list.init.cpuid.nent = 10'000;
    EXPECT_EQ(-E2BIG, vm.command(vm.vm, KVM_TDX_INIT_VM, &long_list));
    EXPECT_EQ(0, vm.command(vm.vm, KVM_TDX_INIT_VM, &good));
}

TEST(Tdx, InitVmTakesNoLeafThatItDoesNotKnow)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.init_with({.function = 1})) << "no 0x80000008";
    EXPECT_EQ(-EINVAL, vm.init_with({.function = 0x80000008, .eax = 44 << 16}));
    TdxVm::InitVm unknown;
    unknown.init.cpuid.nent = 2;
    unknown.entries[1].function = 0x80ffffff;
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_INIT_VM, &unknown));
    EXPECT_EQ(0, vm.init());
}

TEST(Tdx, KvmHasTheLocalApicAlone)
{
    TdxVm vm;
    kvm_lapic_state lapic = {};
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-ENOTTY, call(vm.vm, KVM_CREATE_IRQCHIP, 0));
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_LAPIC, &lapic));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_LAPIC, &lapic));
    int khz = call(vm.vcpus[0], KVM_GET_TSC_KHZ, 0);
    ASSERT_GT(khz, 0);
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_TSC_KHZ, khz));
    TdxVm whole(false);
    ASSERT_EQ(0, whole.init());
    EXPECT_EQ(-EINVAL, whole.add_vcpu(0)) << "the irqchip is not split";
}

TEST(Tdx, PagesHaveASourceAndAPrivateAddress)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
    kvm_tdx_init_mem_region region = {0, kTdxGpa, 1};
    EXPECT_EQ(-EINVAL,
              vm.command(vm.vcpus[0], KVM_TDX_INIT_MEM_REGION, &region));
    region = {vm.pages.address(), 1ull << 47 | kTdxGpa, 1};
    EXPECT_EQ(-EINVAL,
              vm.command(vm.vcpus[0], KVM_TDX_INIT_MEM_REGION, &region));
    region = {vm.pages.address(16), kTdxGpa, 1};
    EXPECT_EQ(-EINVAL,
              vm.command(vm.vcpus[0], KVM_TDX_INIT_MEM_REGION, &region));
    region = {vm.pages.address(), kTdxGpa, 0};
    EXPECT_EQ(-EINVAL,
              vm.command(vm.vcpus[0], KVM_TDX_INIT_MEM_REGION, &region));
}

TEST(Tdx, TheModulesErrorIsNoArgument)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    TdxVm::InitVm init;
    kvm_tdx_cmd cmd = {KVM_TDX_INIT_VM, 0, reinterpret_cast<uint64_t>(&init),
                       1};
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_MEMORY_ENCRYPT_OP, &cmd));
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    cmd = {KVM_TDX_INIT_VCPU, 0, 0, 1};
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_MEMORY_ENCRYPT_OP, &cmd));
    EXPECT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
}

TEST(Tdx, AVcpuComesAfterInitVm)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EIO, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.init());
    EXPECT_EQ(0, vm.add_vcpu(0));
}

TEST(Tdx, RegistersAreLockedFromTheStart)
{
    TdxVm vm;
    kvm_regs regs = {};
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_REGS, &regs));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_REGS, &regs));
}

TEST(Tdx, CommandsComeInOneOrder)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_FINALIZE_VM));
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    EXPECT_EQ(-EINVAL, vm.add(0)) << "the vCPU is not initialized";
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_RUN, 0));
    ASSERT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
    EXPECT_EQ(-EINVAL, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
    ASSERT_EQ(0, vm.add(0, 2));
    EXPECT_EQ(0u, vm.region.nr_pages);
    EXPECT_EQ(-EEXIST, vm.add(kPage));
    EXPECT_EQ(-EINVAL, vm.add(2 * kPage, 1, 2)) << "unknown flag";
    ASSERT_EQ(0, vm.set_private(kTdxGpa + 2 * kPage, kPage, false));
    EXPECT_EQ(-EINVAL, vm.add(2 * kPage)) << "not private";
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_RUN, 0));
    ASSERT_EQ(0, vm.command(vm.vm, KVM_TDX_FINALIZE_VM));
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_FINALIZE_VM));
    EXPECT_EQ(-EINVAL, vm.add(3 * kPage));
}

TEST(Tdx, KeyIdsRunOutAndComeBack)
{
    std::deque<TdxVm> vms;
    for (int i = 0; i < 4; i++) {
        ASSERT_EQ(0, vms.emplace_back().init());
    }
    TdxVm next;
    EXPECT_EQ(-ENOSPC, next.init());
    vms.pop_front();
    EXPECT_EQ(0, next.init());
}

TEST(Tdx, ADeletedSlotLosesItsPages)
{
    TdxVm vm;
    ASSERT_TRUE(vm.good);
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
    ASSERT_EQ(0, vm.add(0, 2));
    ASSERT_EQ(-EEXIST, vm.add(0));
    ASSERT_EQ(0, vm.delete_slot(0));
    ASSERT_EQ(0, vm.add_private_slot(0, kTdxGpa, vm.pages, vm.gmem));
    EXPECT_EQ(0, vm.add(0, 2)) << "it was not there any more";
    ASSERT_EQ(0, vm.command(vm.vm, KVM_TDX_FINALIZE_VM));
    ASSERT_EQ(0, vm.delete_slot(0));
    ASSERT_EQ(0, vm.add_private_slot(0, kTdxGpa, vm.pages, vm.gmem));
    EXPECT_EQ(-EIO, call(vm.vcpus[0], KVM_RUN, 0));
}

TEST(Tdx, ASlotWithoutPagesOfTheLaunchMayGo)
{
    TdxVm vm;
    Pages more(2);
    ASSERT_TRUE(vm.good);
    Fd gmem = vm.make_gmem(more.size());
    ASSERT_EQ(0, vm.add_private_slot(1, 0, more, gmem));
    ASSERT_EQ(0, vm.init());
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
    ASSERT_EQ(0, vm.add(0, 2));
    ASSERT_EQ(0, vm.command(vm.vm, KVM_TDX_FINALIZE_VM));
    ASSERT_EQ(0, vm.delete_slot(1));
    vm.run(0)->immediate_exit = 1;
    EXPECT_EQ(-EINTR, call(vm.vcpus[0], KVM_RUN, 0));
}

TEST(Tdx, AStepMayBeDoneInPartOrNotNow)
{
    run_asked("AskedNotReady.*", {{"KVM_RESET_COCO_NOT_READY", "7:2"}});
}

/* Asks until it is done; how often it was not. */
template <class Ask> unsigned until_done(int not_now, Ask ask)
{
    unsigned times = 0;
    int ret;
    while ((ret = ask()) == not_now && times < 1000) {
        times++;
    }
    EXPECT_EQ(0, ret);
    return times;
}

TEST(AskedNotReady, ATdIsLaunchedByWhoAsksAgain)
{
    NEEDS_SETTING("KVM_RESET_COCO_NOT_READY");
    unsigned init = 0, add = 0, finalize = 0;
    for (int i = 0; i < 20; i++) {
        TdxVm vm;
        ASSERT_TRUE(vm.good);
        init += until_done(-EAGAIN, [&vm] { return vm.init(); });
        ASSERT_EQ(0, vm.add_vcpu(0));
        ASSERT_EQ(0, vm.command(vm.vcpus[0], KVM_TDX_INIT_VCPU));
        vm.region = {vm.pages.address(), kTdxGpa, 4};
        add += until_done(-EINTR, [&vm] {
            return vm.command(vm.vcpus[0], KVM_TDX_INIT_MEM_REGION, &vm.region);
        });
        EXPECT_EQ(0u, vm.region.nr_pages);
        finalize += until_done(-EBUSY, [&vm] {
            kvm_tdx_cmd cmd = {KVM_TDX_FINALIZE_VM, 0, 0, 0};
            int ret = call(vm.vm, KVM_MEMORY_ENCRYPT_OP, &cmd);
            EXPECT_EQ(ret == -EBUSY, cmd.hw_error != 0);
            return ret;
        });
        EXPECT_TRUE(i != 0 || !(init + add + finalize)) << "the first VM";
    }
    EXPECT_TRUE(init && add && finalize);
}

TEST(AskedNotReady, AnSnpGuestTooThoughItIsToldAnError)
{
    NEEDS_SETTING("KVM_RESET_COCO_NOT_READY");
    unsigned refused = 0, in_part = 0;
    for (int i = 0; i < 20; i++) {
        SnpVm vm(16);
        ASSERT_TRUE(vm.good);
        ASSERT_EQ(0, vm.start());
        int ret = vm.update(kSnpNormal, 0, vm.pages.size());
        for (int tries = 0; (ret != 0 || vm.left.len) && tries < 100; tries++) {
            EXPECT_EQ(0u, vm.fw_error);
            (ret == -EIO ? refused : in_part)++;
            ret = vm.op(KVM_SEV_SNP_LAUNCH_UPDATE, &vm.left);
        }
        EXPECT_EQ(0, ret);
    }
    EXPECT_TRUE(refused && in_part);
}

} // namespace coco_test
