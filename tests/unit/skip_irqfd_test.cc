/*
 * What the reset of its device takes away need not move to the new VM, and
 * the old VM lives until the guest is about to run
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class SkipIrqfdTest : public ::testing::Test {
protected:
    Guest guest;
    int left = guest.kernel.eventfd();
    int other = guest.kernel.eventfd();
    bool leaves = true;

    using Irqfds = std::set<std::pair<uint64_t, uint32_t>>;

    void SetUp() override
    {
        guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP);
        ASSERT_GE(guest.irqfd(left, 5), 0);
        ASSERT_GE(guest.irqfd(other, 6), 0);
        guest.registry.add({.name = "devices",
                            .phases = {Phase::Quiesce},
                            .run = [this](Phase) -> Result<void> {
                                if (leaves) {
                                    guest.generations.skip_irqfd(left);
                                }
                                return {};
                            }});
    }

    Irqfds only(int fd, uint32_t gsi)
    {
        return {{guest.kernel.file_at(fd), gsi}};
    }
    Irqfds both()
    {
        return {{guest.kernel.file_at(left), 5},
                {guest.kernel.file_at(other), 6}};
    }

    /* What the reset of the device does. */
    void release()
    {
        EXPECT_EQ(guest.irqfd(left, 5, KVM_IRQFD_FLAG_DEASSIGN), 0);
        guest.kernel.close(left);
    }
};

TEST_F(SkipIrqfdTest, AnIrqfdThatItsDeviceWillEndIsNotMoved)
{
    size_t before = guest.kernel.times(KVM_IRQFD);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), only(other, 6));
    EXPECT_EQ(guest.kernel.times(KVM_IRQFD), before + 2);

    release();
    ASSERT_TRUE(guest.generations.before_run());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), only(other, 6));
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(SkipIrqfdTest, OneThatTheDeviceKeptAfterAllMovesBeforeTheGuestRuns)
{
    ASSERT_TRUE(guest.reset());
    ASSERT_TRUE(guest.generations.before_run());
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), both());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), both());
}

TEST_F(SkipIrqfdTest, IfThatFailsWhoResetsIsTold)
{
    ASSERT_TRUE(guest.reset());
    guest.kernel.fail(KVM_IRQFD, 2, ENOMEM);
    Result<void> done = guest.generations.before_run();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOMEM);
    EXPECT_NE(done.error().what.find("KVM_IRQFD"), std::string::npos);
}

TEST_F(SkipIrqfdTest, AnAbortFindsItWhereItWas)
{
    guest.registry.add(
        {.name = "gives up",
         .phases = {Phase::NewVm},
         .run = [](Phase) -> Result<void> { return fail(EIO, "no"); }});
    Holdings before = Holdings::of(guest);
    EXPECT_FALSE(guest.reset());
    guest.generations.drain();
    EXPECT_EQ(Holdings::of(guest), before);
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), both());
}

TEST_F(SkipIrqfdTest, ItIsForOneRebirthAlone)
{
    ASSERT_TRUE(guest.reset());
    ASSERT_TRUE(guest.generations.before_run());
    leaves = false;
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), both());
}

TEST_F(SkipIrqfdTest, TheOldVmsEndWaitsUntilTheGuestIsAboutToRun)
{
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.kernel.vms(), 2u);
    EXPECT_EQ(guest.generations.status().retiring, 1u);
    ASSERT_TRUE(guest.generations.before_run());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
    EXPECT_EQ(guest.generations.status().retiring, 0u);
}

TEST_F(SkipIrqfdTest, TheNextSpareWaitsForThatToo)
{
    guest.generations.keep_spare(true);
    guest.generations.drain();
    size_t built = guest.kernel.times(KVM_CREATE_VM);

    guest.kernel.clock.hold();
    uint64_t waits = guest.kernel.clock.waits();
    ASSERT_TRUE(guest.reset());
    /* The reset of devices changes the definition: its thread sees that. */
    guest.slot(7, 0x1000);
    yield_until([&] { return guest.kernel.clock.waits() > waits; });
    EXPECT_EQ(guest.kernel.clock.next(), Kernel::forever)
        << "a batch of changes begins";
    EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built);
    guest.kernel.clock.release();
    ASSERT_TRUE(guest.generations.before_run());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built + 1);
    EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);
}

TEST_F(SkipIrqfdTest, AResetThatNeverRanTheGuestDoesNotKeepItsOldVm)
{
    for (int i = 0; i < 3; i++) {
        ASSERT_TRUE(guest.reset());
        release();
        left = guest.kernel.eventfd();
        ASSERT_GE(guest.irqfd(left, 5), 0);
    }
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

} /* namespace */
