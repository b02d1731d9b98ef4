/*
 * Closing old VMs while nobody waits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "fake_kernel.h"
#include "vm_reaper.h"

using namespace kvm_reset;

namespace {

/* Whose closes take as long as the test wants. */
class SlowKernel final : public Kernel {
public:
    int open_kvm() override { return -1; }
    int placeholder() override { return -1; }
    int ioctl(int, uint32_t, uintptr_t) override { return 0; }
    int mmap(void *, size_t, int, int, int, int64_t, void **) override
    {
        return 0;
    }
    int munmap(void *, size_t) override { return 0; }
    int read_memory(uint64_t, std::span<uint8_t>) override { return -ENOSYS; }
    int write_memory(uint64_t, std::span<const uint8_t>) override
    {
        return -ENOSYS;
    }
    int dup(int) override { return -1; }
    int dup_onto(int, int) override { return -1; }
    std::string describe(int) override { return {}; }
    int watch(int) override { return 0; }
    bool watched(int) override { return true; }
    int ring(int) override { return -ENOSYS; }
    uint64_t now() override { return clock++; }

    int close(int fd) override
    {
        std::unique_lock lock(mutex);
        closing++;
        changed.notify_all();
        changed.wait(lock, [this] { return open; });
        closed.push_back(fd);
        closer = std::this_thread::get_id();
        return 0;
    }

    void let_close()
    {
        std::unique_lock lock(mutex);
        open = true;
        changed.notify_all();
    }

    void wait_for_closing()
    {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return closing > 0; });
    }

    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int closing = 0;
    std::vector<int> closed;
    std::thread::id closer;
    std::atomic<uint64_t> clock = 0;
};

std::vector<Fd> fds(Kernel &kernel, std::initializer_list<int> numbers)
{
    std::vector<Fd> all;
    for (int number : numbers) {
        all.emplace_back(kernel, number);
    }
    return all;
}

TEST(VmReaperTest, ItClosesOnAThreadOfItsOwnInOrder)
{
    SlowKernel kernel;
    kernel.open = true;
    VmReaper reaper(kernel);
    reaper.retire(fds(kernel, {1, 2}));
    reaper.retire(fds(kernel, {3}));
    reaper.drain();
    EXPECT_EQ(kernel.closed, (std::vector<int>{1, 2, 3}));
    EXPECT_NE(kernel.closer, std::this_thread::get_id());
    EXPECT_EQ(reaper.waiting(), 0u);
    EXPECT_GT(reaper.last_duration(), 0u);
}

TEST(VmReaperTest, NobodyWaitsWhileFewVmsWait)
{
    SlowKernel kernel;
    VmReaper reaper(kernel, 2);
    reaper.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    reaper.retire(fds(kernel, {2}));
    reaper.retire(fds(kernel, {3}));
    EXPECT_EQ(reaper.waiting(), 3u);
    EXPECT_EQ(reaper.waited(), 0u);
    kernel.let_close();
    reaper.drain();
}

TEST(VmReaperTest, AStormWaitsAtTheBound)
{
    SlowKernel kernel;
    VmReaper reaper(kernel, 2);
    reaper.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    reaper.retire(fds(kernel, {2}));
    reaper.retire(fds(kernel, {3}));

    std::atomic<bool> went_through = false;
    std::thread storm([&] {
        reaper.retire(fds(kernel, {4}));
        went_through = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(went_through);
    EXPECT_EQ(reaper.waiting(), 3u);
    kernel.let_close();
    storm.join();
    EXPECT_GT(reaper.waited(), 0u);
    reaper.drain();
    EXPECT_EQ(kernel.closed, (std::vector<int>{1, 2, 3, 4}));
}

TEST(VmReaperTest, WhenItGoesNothingIsLeftOpen)
{
    SlowKernel kernel;
    kernel.open = true;
    {
        VmReaper reaper(kernel);
        for (int i = 0; i < 3; i++) {
            reaper.retire(fds(kernel, {i}));
        }
    }
    EXPECT_EQ(kernel.closed, (std::vector<int>{0, 1, 2}));
}

using Clock = std::chrono::steady_clock;

TEST(VmReaperTest, AVmsEndWaitsForAMoment)
{
    SlowKernel kernel;
    VmReaper reaper(kernel);
    Clock::time_point given = Clock::now();
    reaper.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    EXPECT_GE(Clock::now() - given, VmReaper::patience);
    kernel.let_close();
    reaper.drain();
}

TEST(VmReaperTest, UnlessSomebodyWaitsForIt)
{
    SlowKernel kernel;
    kernel.open = true;
    Clock::duration quickest = VmReaper::patience;
    /* The machine may be busy elsewhere, but not always. */
    for (int i = 0; i < 50 && quickest >= VmReaper::patience; i++) {
        VmReaper reaper(kernel);
        Clock::time_point given = Clock::now();
        reaper.retire(fds(kernel, {1}));
        reaper.drain();
        quickest = std::min(quickest, Clock::now() - given);
    }
    EXPECT_LT(quickest, VmReaper::patience);
}

TEST(VmReaperTest, UnusedItHasNoThread)
{
    SlowKernel kernel;
    VmReaper reaper(kernel);
    reaper.drain();
    EXPECT_EQ(reaper.waiting(), 0u);
}

} /* namespace */
