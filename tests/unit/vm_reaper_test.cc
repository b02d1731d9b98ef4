/*
 * Closing old VMs while nobody waits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fake_kernel.h"
#include "vm_reaper.h"

using namespace kvm_reset;

namespace {

constexpr uint64_t ms = 1'000'000;

class VmReaperTest : public ::testing::Test {
protected:
    FakeKernel kernel;

    std::vector<Fd> fds(std::initializer_list<int> numbers)
    {
        std::vector<Fd> all;
        for (int number : numbers) {
            all.emplace_back(kernel, number);
        }
        return all;
    }
    std::vector<Fd> an_fd() { return fds({kernel.eventfd()}); }
};

TEST_F(VmReaperTest, ItClosesOnAThreadOfItsOwnInOrder)
{
    std::vector<int> closed;
    std::thread::id closer;
    kernel.before_close = [&](int fd) {
        closed.push_back(fd);
        closer = std::this_thread::get_id();
    };
    int a = kernel.eventfd(), b = kernel.eventfd(), c = kernel.eventfd();
    VmReaper reaper(kernel);
    reaper.retire(fds({b, a}));
    reaper.retire(fds({c}));
    reaper.drain();
    EXPECT_EQ(closed, (std::vector<int>{b, a, c}));
    EXPECT_NE(closer, std::this_thread::get_id());
    EXPECT_EQ(reaper.waiting(), 0u);
    EXPECT_TRUE(kernel.fds().empty());
}

TEST_F(VmReaperTest, ItSaysHowLongTheLastOneTook)
{
    kernel.clock.hold();
    kernel.before_close = [&](int) { kernel.clock.advance(3 * ms); };
    int a = kernel.eventfd(), b = kernel.eventfd();
    VmReaper reaper(kernel);
    reaper.retire(an_fd());
    reaper.retire(fds({a, b}));
    reaper.drain();
    EXPECT_EQ(reaper.last_duration(), 6 * ms);
}

/* With a kernel that takes a VM down when the test lets it. */
class SlowVmReaperTest : public VmReaperTest {
protected:
    std::atomic<bool> closing = false, may_close = false;

    void SetUp() override
    {
        kernel.before_close = [&](int) {
            closing = true;
            yield_until([&] { return may_close.load(); });
        };
    }

    /* One is under way, and as many as may be wait behind it. */
    void fill(VmReaper &reaper, int bound)
    {
        reaper.retire(an_fd());
        yield_until([&] { return closing.load(); });
        for (int i = 0; i < bound; i++) {
            reaper.retire(an_fd());
        }
        ASSERT_EQ(reaper.waiting(), 1u + bound);
    }
};

TEST_F(SlowVmReaperTest, NobodyWaitsWhileFewVmsWait)
{
    VmReaper reaper(kernel, 2);
    fill(reaper, 2);
    EXPECT_EQ(reaper.waited(), 0u);
    EXPECT_EQ(kernel.clock.waiting(), 0u);
    may_close = true;
    reaper.drain();
}

TEST_F(SlowVmReaperTest, AStormWaitsAtTheBound)
{
    VmReaper reaper(kernel, 2);
    fill(reaper, 2);
    kernel.clock.hold();

    std::atomic<bool> went_through = false;
    std::thread storm([&] {
        reaper.retire(an_fd());
        went_through = true;
    });
    yield_until([&] { return went_through || kernel.clock.waiting(); });
    EXPECT_FALSE(went_through);
    EXPECT_EQ(reaper.waiting(), 3u);
    kernel.clock.advance(20 * ms);
    may_close = true;
    storm.join();
    EXPECT_EQ(reaper.waited(), 20 * ms);
    reaper.drain();
    EXPECT_TRUE(kernel.fds().empty());
}

TEST_F(VmReaperTest, WhenItGoesNothingIsLeftOpen)
{
    kernel.clock.hold();
    {
        VmReaper reaper(kernel);
        for (int i = 0; i < 3; i++) {
            reaper.retire(an_fd());
        }
    }
    EXPECT_TRUE(kernel.fds().empty());
    EXPECT_EQ(kernel.clock.now(), 0u) << "and nobody waited for that";
}

TEST_F(VmReaperTest, AVmsEndWaitsForAMoment)
{
    kernel.clock.hold();
    VmReaper reaper(kernel);
    reaper.retire(an_fd());
    yield_until([&] {
        return kernel.clock.next() != Kernel::forever || kernel.fds().empty();
    });
    EXPECT_EQ(kernel.clock.next(), VmReaper::patience);
    EXPECT_EQ(kernel.fds().size(), 1u);
    kernel.clock.advance(VmReaper::patience);
    yield_until([&] { return kernel.fds().empty(); });
}

TEST_F(VmReaperTest, UnlessSomebodyWaitsForIt)
{
    kernel.clock.hold();
    VmReaper reaper(kernel);
    reaper.retire(an_fd());
    yield_until([&] { return kernel.clock.next() != Kernel::forever; });
    reaper.drain();
    EXPECT_TRUE(kernel.fds().empty());
    EXPECT_EQ(kernel.clock.now(), 0u);
}

TEST_F(VmReaperTest, OrSoManyWait)
{
    kernel.clock.hold();
    VmReaper reaper(kernel, 2);
    reaper.retire(an_fd());
    yield_until([&] { return kernel.clock.next() != Kernel::forever; });
    reaper.retire(an_fd());
    yield_until([&] { return reaper.waiting() < 2; });
    EXPECT_EQ(kernel.clock.now(), 0u);
}

TEST_F(VmReaperTest, UnusedItHasNoThread)
{
    VmReaper reaper(kernel);
    reaper.drain();
    EXPECT_EQ(reaper.waiting(), 0u);
    EXPECT_EQ(kernel.clock.waits(), 0u);
}

} /* namespace */
