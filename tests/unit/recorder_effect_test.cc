/*
 * What defines a VM is recorded, and nothing else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include <cerrno>
#include <cstring>

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

TEST_F(RecorderTest, FeatureMsrsDefineAndOthersAreVolatile)
{
    int vcpu = guest.vcpu(0);
    kvm_msrs_of<3> msrs{.entries = {{.index = 0x10, .data = 1},
                                    {.index = 0x10a, .data = 2},
                                    {.index = 0x174, .data = 3}}};
    guest.ioctl(vcpu, KVM_SET_MSRS, msrs);
    msrs.entries[1].data = 4;
    guest.ioctl(vcpu, KVM_SET_MSRS, msrs);
    kvm_msrs_of<1> other{.entries = {{.index = 0x480, .data = 9}}};
    guest.ioctl(vcpu, KVM_SET_MSRS, other);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_SET_MSRS);
    ASSERT_EQ(ioctls.size(), 2u);
    kvm_msrs_of<1> first{.entries = {{.index = 0x10a, .data = 4}}};
    ASSERT_EQ(ioctls[0].bytes.size(), sizeof(first));
    EXPECT_EQ(memcmp(ioctls[0].bytes.data(), &first, sizeof(first)), 0);
    ASSERT_EQ(ioctls[1].bytes.size(), sizeof(other));
    EXPECT_EQ(memcmp(ioctls[1].bytes.data(), &other, sizeof(other)), 0);
}

TEST_F(RecorderTest, AnMsrThatTheKernelDidNotTakeIsNotRecorded)
{
    int vcpu = guest.vcpu(0);
    size_t before = entries();
    guest.kernel.takes_msrs = 1;
    kvm_msrs_of<2> msrs{
        .entries = {{.index = 0x10a, .data = 2}, {.index = 0x480, .data = 3}}};
    EXPECT_EQ(guest.ioctl(vcpu, KVM_SET_MSRS, msrs), 1);
    EXPECT_EQ(entries(), before + 1);
}

TEST_F(RecorderTest, WhatAResetPutsBackByItselfIsNotRecorded)
{
    int vcpu = guest.vcpu(0);
    size_t before = guest.recorder.footprint();
    uint8_t regs[144] = {}, clock[48] = {}, line[8] = {};
    guest.ioctl(vcpu, KVM_SET_REGS, regs);
    guest.ioctl(guest.vm, KVM_SET_CLOCK, clock);
    guest.ioctl(guest.vm, KVM_IRQ_LINE, line);
    guest.ioctl(vcpu, KVM_RUN);
    guest.ioctl(guest.vm, KVM_CHECK_EXTENSION, 5u);
    EXPECT_EQ(guest.recorder.footprint(), before);
    reborn();
    EXPECT_EQ(guest.ioctls().size(), 2u);
}

TEST_F(RecorderTest, AnIoctlThatFailedIsNotRecorded)
{
    size_t before = entries();
    guest.kernel.fail(KVM_SET_USER_MEMORY_REGION, 1, ENOMEM);
    EXPECT_EQ(guest.slot(1, 0x1000), -ENOMEM);
    guest.kernel.fail(KVM_SET_GSI_ROUTING, 1, EINVAL);
    EXPECT_EQ(
        guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, kvm_irq_routing_of<1>{}),
        -EINVAL);
    guest.kernel.fail(KVM_CREATE_VCPU, 1, EBUSY);
    EXPECT_EQ(guest.vcpu(0), -EBUSY);
    EXPECT_EQ(entries(), before);
    reborn();
    EXPECT_EQ(guest.ioctls().size(), 1u);
}

TEST_F(RecorderTest, AFailedRemovalKeepsTheEntry)
{
    guest.slot(1, 0x1000);
    guest.kernel.fail(KVM_SET_USER_MEMORY_REGION, 1, EBUSY);
    EXPECT_EQ(guest.slot(1, 0), -EBUSY);
    EXPECT_EQ(entries(), 1u);
}

} /* namespace */
