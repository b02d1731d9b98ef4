/*
 * What was taken away is not replayed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

TEST_F(RecorderTest, UnregisteringPartOfACoalescedZoneTakesItAway)
{
    auto zone = [&](uint32_t request, uint64_t addr, uint32_t size,
                    uint32_t pio = 0) {
        return guest.ioctl(
            guest.vm, request,
            kvm_coalesced_mmio_zone{.addr = addr, .size = size, .pio = pio});
    };
    zone(KVM_REGISTER_COALESCED_MMIO, 0xa0000, 0x20000);
    zone(KVM_REGISTER_COALESCED_MMIO, 0xa0000, 0x20000, 1);
    zone(KVM_REGISTER_COALESCED_MMIO, 0xd0000, 0x1000);
    EXPECT_EQ(entries(), 3u);
    zone(KVM_UNREGISTER_COALESCED_MMIO, 0xa8000, 0x1000);
    EXPECT_EQ(entries(), 2u);
    /* A range that is larger than the zone does not lie in it. */
    zone(KVM_UNREGISTER_COALESCED_MMIO, 0xc0000, 0x100000);
    EXPECT_EQ(entries(), 2u);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_REGISTER_COALESCED_MMIO);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].field(&kvm_coalesced_mmio_zone::pio), 1u);
    EXPECT_EQ(ioctls[1].field(&kvm_coalesced_mmio_zone::addr), 0xd0000u);
}

TEST_F(RecorderTest, AnIoeventfdIsTakenAwayByItsAddressAndMatch)
{
    int a = guest.kernel.eventfd(), b = guest.kernel.eventfd();
    guest.ioeventfd(a, 0x1000, KVM_IOEVENTFD_FLAG_DATAMATCH, 1);
    guest.ioeventfd(b, 0x1000, KVM_IOEVENTFD_FLAG_DATAMATCH, 2);
    guest.ioeventfd(a, 0x1000,
                    KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN,
                    1);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_IOEVENTFD);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_EQ(ioctls[0].field(&kvm_ioeventfd::datamatch), 2u);
}

TEST_F(RecorderTest, GuestDebuggingThatEndedIsNotReplayed)
{
    int vcpu = guest.vcpu(0);
    kvm_guest_debug debug{.control = KVM_GUESTDBG_ENABLE};
    guest.ioctl(vcpu, KVM_SET_GUEST_DEBUG, debug);
    EXPECT_EQ(entries(), 2u);
    debug.control = 0;
    guest.ioctl(vcpu, KVM_SET_GUEST_DEBUG, debug);
    EXPECT_EQ(entries(), 1u);
}

} /* namespace */
