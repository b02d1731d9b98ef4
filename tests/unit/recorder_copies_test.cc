/*
 * The recorder keeps copies of its own of the caller's arguments
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include <cstring>

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

TEST_F(RecorderTest, TheCallersCpuidMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    kvm_cpuid2_of<3> cpuid;
    cpuid.entries[2].eax = 0x12345678;
    guest.ioctl(vcpu, KVM_SET_CPUID2, cpuid);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_SET_CPUID2);
    cpuid = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), sizeof(kvm_cpuid2_of<3>));
    EXPECT_EQ(guest.ioctls(KVM_SET_CPUID2), before);
}

TEST_F(RecorderTest, TheCallersMsrFilterMayChangeAfterTheCall)
{
    std::vector<uint8_t> first(8, 0x55), second(16, 0xaa);
    kvm_msr_filter filter{.flags = 1};
    filter.ranges[0] = {
        .flags = 1, .nmsrs = 60, .base = 0x10, .bitmap = first.data()};
    filter.ranges[5] = {
        .flags = 2, .nmsrs = 65, .base = 0x400, .bitmap = second.data()};
    guest.ioctl(guest.vm, KVM_X86_SET_MSR_FILTER, filter);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_X86_SET_MSR_FILTER);
    first.assign(8, 0);
    second.assign(16, 0);
    filter = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    ASSERT_EQ(before[0].pointed.size(), 2u);
    EXPECT_EQ(before[0].pointed[1], std::vector<uint8_t>(16, 0xaa));
    EXPECT_EQ(guest.ioctls(KVM_X86_SET_MSR_FILTER), before);
}

TEST_F(RecorderTest, TheCallersRoutesMayChangeAfterTheCall)
{
    kvm_irq_routing_of<4> routing;
    routing.entries[3].u.irqchip.pin = 11;
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, routing);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_SET_GSI_ROUTING);
    routing = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), sizeof(kvm_irq_routing_of<4>));
    EXPECT_EQ(guest.ioctls(KVM_SET_GSI_ROUTING), before);
}

TEST_F(RecorderTest, TheCallersSignalMaskMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    kvm_signal_mask_of<8> mask;
    mask.sigset[3] = 0x80;
    guest.ioctl(vcpu, KVM_SET_SIGNAL_MASK, mask);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_SET_SIGNAL_MASK);
    mask = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), sizeof(kvm_signal_mask_of<8>));
    EXPECT_EQ(guest.ioctls(KVM_SET_SIGNAL_MASK), before);
}

TEST_F(RecorderTest, ASignalMaskThatWasTakenAwayStaysAway)
{
    int vcpu = guest.vcpu(0);
    guest.ioctl(vcpu, KVM_SET_SIGNAL_MASK, kvm_signal_mask_of<8>{});
    guest.ioctl(vcpu, KVM_SET_SIGNAL_MASK, 0u);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_SET_SIGNAL_MASK);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_TRUE(ioctls[0].bytes.empty());
}

} /* namespace */
