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

using namespace uapi;

namespace {

TEST_F(RecorderTest, TheCallersCpuidMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    Cpuid2<3> cpuid;
    cpuid.entries[2].eax = 0x12345678;
    guest.ioctl(vcpu, set_cpuid2, cpuid);
    std::vector<IssuedIoctl> before = guest.ioctls(set_cpuid2);
    cpuid = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 8 + 3 * 40u);
    EXPECT_EQ(guest.ioctls(set_cpuid2), before);
}

TEST_F(RecorderTest, TheCallersMsrFilterMayChangeAfterTheCall)
{
    std::vector<uint8_t> first(8, 0x55), second(16, 0xaa);
    MsrFilter filter{.flags = 1};
    filter.ranges[0] = {
        .flags = 1, .count = 60, .base = 0x10, .bitmap = first.data()};
    filter.ranges[5] = {
        .flags = 2, .count = 65, .base = 0x400, .bitmap = second.data()};
    guest.ioctl(guest.vm, set_msr_filter, filter);
    std::vector<IssuedIoctl> before = guest.ioctls(set_msr_filter);
    first.assign(8, 0);
    second.assign(16, 0);
    filter = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    ASSERT_EQ(before[0].pointed.size(), 2u);
    EXPECT_EQ(before[0].pointed[1], std::vector<uint8_t>(16, 0xaa));
    EXPECT_EQ(guest.ioctls(set_msr_filter), before);
}

TEST_F(RecorderTest, TheCallersRoutesMayChangeAfterTheCall)
{
    Routing<4> routing;
    routing.routes[3].pin = 11;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    std::vector<IssuedIoctl> before = guest.ioctls(set_gsi_routing);
    routing = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 8 + 4 * 48u);
    EXPECT_EQ(guest.ioctls(set_gsi_routing), before);
}

TEST_F(RecorderTest, TheCallersSignalMaskMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    SignalMask mask;
    mask.set[3] = 0x80;
    guest.ioctl(vcpu, set_signal_mask, mask);
    std::vector<IssuedIoctl> before = guest.ioctls(set_signal_mask);
    mask = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 12u);
    EXPECT_EQ(guest.ioctls(set_signal_mask), before);
}

TEST_F(RecorderTest, ASignalMaskThatWasTakenAwayStaysAway)
{
    int vcpu = guest.vcpu(0);
    guest.ioctl(vcpu, set_signal_mask, SignalMask{});
    guest.ioctl(vcpu, set_signal_mask, 0u);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(set_signal_mask);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_TRUE(ioctls[0].bytes.empty());
}

} /* namespace */
