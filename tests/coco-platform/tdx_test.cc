/*
 * TDX on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "test_kvm.h"

#include <sys/syscall.h>

namespace coco_test {

namespace {

constexpr uint64_t kGpa = 0x100000;

class TdxVm : public TestVm {
public:
    TdxVm() : TestVm(KVM_X86_TDX_VM), pages(4)
    {
        gmem = make_gmem(pages.size());
        good = gmem.get() >= 0 && add_private_slot(0, kGpa, pages, gmem) == 0 &&
               set_private(kGpa, pages.size()) == 0;
    }

    int command(const Fd &fd, uint32_t id, const void *data = nullptr,
                uint32_t flags = 0)
    {
        kvm_tdx_cmd cmd = {id, flags, reinterpret_cast<uint64_t>(data), 0};
        return call(fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
    }

    int init(uint64_t attributes = kTdxSeptVeDisable, uint64_t xfam = 7)
    {
        struct {
            kvm_tdx_init_vm init;
            kvm_cpuid2 cpuid;
        } data = {};
        data.init.attributes = attributes;
        data.init.xfam = xfam;
        return command(vm, KVM_TDX_INIT_VM, &data);
    }

    int add(size_t offset, uint64_t count = 1,
            uint32_t flags = KVM_TDX_MEASURE_MEMORY_REGION)
    {
        region = {pages.address(offset), kGpa + offset, count};
        return command(vcpus[0], KVM_TDX_INIT_MEM_REGION, &region, flags);
    }

    Pages pages;
    Fd gmem;
    kvm_tdx_init_mem_region region = {};
    bool good = false;
};

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
    auto *cpuid = reinterpret_cast<kvm_cpuid2 *>(
        room.data() + sizeof(kvm_tdx_capabilities) / 8);
    cpuid->nent = 1;
    EXPECT_EQ(-E2BIG, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data()));
    cpuid->nent = 256;
    EXPECT_EQ(-EINVAL, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data(), 1));
    EXPECT_EQ(0, vm.command(vm.vm, KVM_TDX_CAPABILITIES, room.data()));
    EXPECT_NE(0u, cpuid->nent);
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
    ASSERT_EQ(0, vm.set_private(kGpa + 2 * kPage, kPage, false));
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

} // namespace coco_test
