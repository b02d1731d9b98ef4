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
#include "kvm_abi.h"
#include "vm_reaper.h"

using namespace kvm_reset;

namespace {

constexpr uint64_t ms = 1'000'000;

class VmReaperTest : public ::testing::Test {
protected:
    FakeKernel kernel;

    DeadVm fds(std::initializer_list<int> numbers)
    {
        DeadVm vm;
        for (int number : numbers) {
            vm.fds.emplace_back(kernel, number);
        }
        return vm;
    }
    DeadVm an_fd() { return fds({kernel.eventfd()}); }
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

/* --- Private memory -------------------------------------------------------- */

class PrivateMemoryTest : public VmReaperTest {
protected:
    struct Hole {
        int fd;
        uint64_t offset, length;
        bool operator==(const Hole &) const = default;
    };
    std::vector<Hole> holes;
    int vm = -1, memfd = -1;

    void SetUp() override
    {
        int kvm = kernel.open_kvm();
        vm = kernel.ioctl(kvm, kvm_reset::abi::KVM_CREATE_VM, 0);
        kvm_reset::abi::kvm_create_guest_memfd create{.size = 1 << 20};
        memfd = kernel.ioctl(vm, kvm_reset::abi::KVM_CREATE_GUEST_MEMFD,
                             uintptr_t(&create));
        kernel.close(kvm);
        kernel.before_punch = [this](int fd, uint64_t offset, uint64_t length) {
            holes.push_back({fd, offset, length});
        };
    }
    DeadVm with_memory(uint64_t size)
    {
        DeadVm dead = fds({vm, memfd});
        dead.memory.push_back({memfd, size});
        return dead;
    }
};

TEST_F(PrivateMemoryTest, ItIsGivenBackPieceByPieceBeforeTheVmIsClosed)
{
    constexpr uint64_t piece = VmReaper::piece;
    bool closed = false, punched_after = false;
    kernel.before_close = [&](int) { closed = true; };
    std::vector<uint64_t> left;
    VmReaper reaper(kernel);
    reaper.on_progress([&] {
        left.push_back(reaper.private_left());
        punched_after |= closed && left.back();
    });
    reaper.retire(with_memory(2 * piece + 4096));
    reaper.drain();
    /* drain() may be told before the listener is. */
    yield_until([&] { return reaper.progress() == 4; });
    EXPECT_EQ(holes, (std::vector<Hole>{{memfd, 0, piece},
                                        {memfd, piece, piece},
                                        {memfd, 2 * piece, 4096}}));
    EXPECT_FALSE(punched_after);
    ASSERT_GE(left.size(), 3u);
    left.resize(3);
    EXPECT_EQ(left, (std::vector<uint64_t>{piece + 4096, 4096, 0}));
}

TEST_F(PrivateMemoryTest, ItDoesNotWaitForAMoment)
{
    kernel.clock.hold();
    VmReaper reaper(kernel);
    reaper.retire(with_memory(4096));
    yield_until([&] { return kernel.fds().empty(); });
    EXPECT_EQ(kernel.clock.now(), 0u);
}

TEST_F(PrivateMemoryTest, WhatCannotBeGivenBackGoesWithTheVm)
{
    DeadVm dead = fds({vm, memfd});
    dead.memory.push_back({vm, 4096}); /* no guest_memfd */
    VmReaper reaper(kernel);
    reaper.retire(std::move(dead));
    reaper.drain();
    EXPECT_EQ(reaper.private_left(), 0u);
    EXPECT_EQ(kernel.vms(), 0u);
}

/* --- VMs that somebody else has -------------------------------------------- */

class HeldVmTest : public VmReaperTest {
protected:
    static constexpr const char *path = "/sys/kernel/debug/kvm/7-9";

    size_t held_after(std::function<void()> closing)
    {
        VmReaper reaper(kernel);
        DeadVm dead = an_fd();
        dead.debugfs = path;
        kernel.before_close = [&](int) { closing(); };
        reaper.retire(std::move(dead));
        reaper.drain();
        return reaper.held_by_others();
    }
};

TEST_F(HeldVmTest, OneThatIsGoneIsNotHeld)
{
    kernel.inodes[path] = 40;
    EXPECT_EQ(held_after([&] { kernel.inodes.erase(path); }), 0u);
}

TEST_F(HeldVmTest, OneThatLivesOnIsHeld)
{
    kernel.inodes[path] = 40;
    EXPECT_EQ(held_after([] {}), 1u);
}

TEST_F(HeldVmTest, AnotherVmOfThatNameIsNotTheOldOne)
{
    kernel.inodes[path] = 40;
    EXPECT_EQ(held_after([&] { kernel.inodes[path] = 41; }), 0u);
}

TEST_F(HeldVmTest, NobodyKnowsWithoutDebugfs)
{
    EXPECT_EQ(held_after([] {}), 0u);
}

} /* namespace */
