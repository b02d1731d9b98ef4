/*
 * What was taken away is not replayed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include "recorder_guest.h"

using namespace uapi;

namespace {

TEST_F(RecorderTest, UnregisteringPartOfACoalescedZoneTakesItAway)
{
    auto zone = [&](uint32_t request, uint64_t addr, uint32_t size,
                    uint32_t pio = 0) {
        return guest.ioctl(guest.vm, request,
                           Zone{.addr = addr, .size = size, .pio = pio});
    };
    zone(register_coalesced_mmio, 0xa0000, 0x20000);
    zone(register_coalesced_mmio, 0xa0000, 0x20000, 1);
    zone(register_coalesced_mmio, 0xd0000, 0x1000);
    EXPECT_EQ(entries(), 3u);
    zone(unregister_coalesced_mmio, 0xa8000, 0x1000);
    EXPECT_EQ(entries(), 2u);
    /* A range that is larger than the zone does not lie in it. */
    zone(unregister_coalesced_mmio, 0xc0000, 0x100000);
    EXPECT_EQ(entries(), 2u);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(register_coalesced_mmio);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].bytes[12], 1);
    EXPECT_EQ(ioctls[1].bytes[2], 0xd);
}

TEST_F(RecorderTest, AnIoeventfdIsTakenAwayByItsAddressAndMatch)
{
    int a = guest.kernel.eventfd(), b = guest.kernel.eventfd();
    guest.ioeventfd(a, 0x1000, ioeventfd_datamatch, 1);
    guest.ioeventfd(b, 0x1000, ioeventfd_datamatch, 2);
    guest.ioeventfd(a, 0x1000, ioeventfd_datamatch | ioeventfd_deassign, 1);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(ioeventfd);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_EQ(ioctls[0].bytes[0], 2);
}

TEST_F(RecorderTest, GuestDebuggingThatEndedIsNotReplayed)
{
    int vcpu = guest.vcpu(0);
    uint32_t debug[18] = {1};
    guest.ioctl(vcpu, set_guest_debug, debug);
    EXPECT_EQ(entries(), 2u);
    debug[0] = 0;
    guest.ioctl(vcpu, set_guest_debug, debug);
    EXPECT_EQ(entries(), 1u);
}

} /* namespace */
