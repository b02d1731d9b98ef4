/*
 * vCPUs and their mappings, of the old VM and the new
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

TEST_F(RecorderTest, AClosedVcpuIsNotCreatedAgain)
{
    int kept = guest.vcpu(0), gone = guest.vcpu(1);
    guest.ioctl(gone, KVM_SET_CPUID2, kvm_cpuid2_of<1>{});
    guest.ioctl(gone, KVM_SET_SIGNAL_MASK, kvm_signal_mask_of<8>{});
    EXPECT_EQ(guest.recorder.close(gone), 0);
    EXPECT_EQ(entries(), 1u);
    reborn();
    EXPECT_EQ(guest.ioctls(KVM_CREATE_VCPU).size(), 1u);
    EXPECT_EQ(guest.kernel.describe(kept), "anon_inode:kvm-vcpu:0");
}

TEST_F(RecorderTest, AVcpuClosedUnseenIsNotCreatedAgain)
{
    guest.vcpu(0);
    int gone = guest.vcpu(1);
    guest.ioctl(gone, KVM_SET_CPUID2, kvm_cpuid2_of<1>{});
    guest.kernel.close(gone);
    ASSERT_EQ(guest.kernel.file("/etc/passwd"), gone);
    uint64_t other = guest.kernel.file_at(gone);
    reborn();
    EXPECT_EQ(guest.ioctls(KVM_CREATE_VCPU).size(), 1u);
    EXPECT_EQ(guest.kernel.file_at(gone), other);
    EXPECT_EQ(guest.listener.stale().size(), 1u);
}

TEST_F(RecorderTest, AParkedVcpuKeepsItsNumberAndIsMappedNoMore)
{
    int vcpu = guest.vcpu(3);
    void *run = guest.map(vcpu);
    EXPECT_EQ(guest.recorder.munmap(run, 0x3000), 0);
    reborn();
    EXPECT_TRUE(guest.kernel.mappings().empty());
    EXPECT_EQ(guest.kernel.describe(vcpu), "anon_inode:kvm-vcpu:3");
    EXPECT_EQ(guest.ioctls(KVM_CREATE_VCPU).size(), 1u);

    run = guest.map(vcpu);
    reborn();
    EXPECT_EQ(guest.kernel.mappings().at(uintptr_t(run)),
              guest.kernel.file_at(vcpu));
}

TEST_F(RecorderTest, EveryMappingOfAVcpuIsOfTheNewOne)
{
    int vcpu = guest.vcpu(0);
    void *run = guest.map(vcpu), *ring = guest.map(vcpu, 0x10000, 0x40000);
    reborn();
    std::map<uintptr_t, uint64_t> now = guest.kernel.mappings();
    EXPECT_EQ(now.size(), 2u);
    EXPECT_EQ(now.at(uintptr_t(run)), guest.kernel.file_at(vcpu));
    EXPECT_EQ(now.at(uintptr_t(ring)), guest.kernel.file_at(vcpu));
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AnAnonymousMappingIsNobodys)
{
    void *at;
    EXPECT_EQ(guest.recorder.mmap(nullptr, 0x1000, PROT_READ,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &at),
              0);
    reborn();
    EXPECT_EQ(guest.kernel.mappings().at(uintptr_t(at)), 0u);
}

} /* namespace */
