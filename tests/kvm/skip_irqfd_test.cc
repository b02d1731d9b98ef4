/*
 * On a real KVM: irqfds that stay with the old VM, because the reset of their
 * device takes them away
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <optional>

#include <gtest/gtest.h>

#include "kvm_guest.h"

using namespace kvm_reset;

namespace {

constexpr uint32_t line = 4;

class SkipIrqfdTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        SKIP_WITHOUT_KVM();
        guest.emplace();
        ASSERT_EQ(guest->ioctl(guest->vm, KVM_CREATE_IRQCHIP), 0);
        bell.emplace();
        ASSERT_EQ(guest->irqfd(bell->fd(), line), 0);
        guest->registry.add({.name = "device",
                             .phases = {Phase::Quiesce},
                             .run = [this](Phase) -> Result<void> {
                                 guest->rebirth.skip_irqfd(bell->fd());
                                 return {};
                             }});
    }

    /* A worker of the kernel may do it. */
    bool raises()
    {
        bell->ring();
        for (int i = 0; i < 2000; i++) {
            kvm_irqchip chip = {};
            chip.chip_id = KVM_IRQCHIP_PIC_MASTER;
            EXPECT_EQ(guest->ioctl(guest->vm, KVM_GET_IRQCHIP, &chip), 0);
            if (chip.chip.pic.irr & 1 << line) {
                return true;
            }
            timespec ms = {.tv_sec = 0, .tv_nsec = 1000000};
            nanosleep(&ms, nullptr);
        }
        return false;
    }

    std::optional<KvmGuest> guest;
    std::optional<Doorbell> bell;
};

TEST_F(SkipIrqfdTest, TheDeviceTakesItAwayAndSetsUpAnother)
{
    for (int vm = 0; vm < 3; vm++) {
        ASSERT_NO_FATAL_FAILURE(guest->reborn());
        /* It was never there, and the kernel does not mind. */
        EXPECT_EQ(guest->irqfd(bell->fd(), line, KVM_IRQFD_FLAG_DEASSIGN), 0);
        bell.emplace();
        ASSERT_TRUE(guest->rebirth.before_run());
        ASSERT_EQ(guest->irqfd(bell->fd(), line), 0);
        EXPECT_TRUE(raises());
    }
    guest->rebirth.drain();
    EXPECT_TRUE(raises());
}

TEST_F(SkipIrqfdTest, IfItIsKeptItRaisesItsInterruptInTheNewVm)
{
    for (int vm = 0; vm < 3; vm++) {
        ASSERT_NO_FATAL_FAILURE(guest->reborn());
        ASSERT_TRUE(guest->rebirth.before_run());
        EXPECT_TRUE(raises());
    }
    guest->rebirth.drain();
    EXPECT_TRUE(raises());
}

} /* namespace */
