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
                                 guest->generations.skip_irqfd(bell->fd());
                                 return {};
                             }});
    }

    void expect_it_raises()
    {
        bell->ring();
        yield_until([&] { return guest->raised(line); });
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
        ASSERT_TRUE(guest->generations.before_run());
        ASSERT_EQ(guest->irqfd(bell->fd(), line), 0);
        expect_it_raises();
    }
    guest->generations.drain();
    expect_it_raises();
}

TEST_F(SkipIrqfdTest, IfItIsKeptItRaisesItsInterruptInTheNewVm)
{
    for (int vm = 0; vm < 3; vm++) {
        ASSERT_NO_FATAL_FAILURE(guest->reborn());
        ASSERT_TRUE(guest->generations.before_run());
        expect_it_raises();
    }
    guest->generations.drain();
    expect_it_raises();
}

} /* namespace */
