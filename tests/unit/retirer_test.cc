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
#include "retirer.h"

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

TEST(RetirerTest, ItClosesOnAThreadOfItsOwnInOrder)
{
    SlowKernel kernel;
    kernel.open = true;
    Retirer retirer(kernel);
    retirer.retire(fds(kernel, {1, 2}));
    retirer.retire(fds(kernel, {3}));
    retirer.drain();
    EXPECT_EQ(kernel.closed, (std::vector<int>{1, 2, 3}));
    EXPECT_NE(kernel.closer, std::this_thread::get_id());
    EXPECT_EQ(retirer.waiting(), 0u);
    EXPECT_GT(retirer.last_duration(), 0u);
}

TEST(RetirerTest, NobodyWaitsWhileFewVmsWait)
{
    SlowKernel kernel;
    Retirer retirer(kernel, 2);
    retirer.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    retirer.retire(fds(kernel, {2}));
    retirer.retire(fds(kernel, {3}));
    EXPECT_EQ(retirer.waiting(), 3u);
    EXPECT_EQ(retirer.waited(), 0u);
    kernel.let_close();
    retirer.drain();
}

TEST(RetirerTest, AStormWaitsAtTheBound)
{
    SlowKernel kernel;
    Retirer retirer(kernel, 2);
    retirer.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    retirer.retire(fds(kernel, {2}));
    retirer.retire(fds(kernel, {3}));

    std::atomic<bool> went_through = false;
    std::thread storm([&] {
        retirer.retire(fds(kernel, {4}));
        went_through = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(went_through);
    EXPECT_EQ(retirer.waiting(), 3u);
    kernel.let_close();
    storm.join();
    EXPECT_GT(retirer.waited(), 0u);
    retirer.drain();
    EXPECT_EQ(kernel.closed, (std::vector<int>{1, 2, 3, 4}));
}

TEST(RetirerTest, WhenItGoesNothingIsLeftOpen)
{
    SlowKernel kernel;
    kernel.open = true;
    {
        Retirer retirer(kernel);
        for (int i = 0; i < 3; i++) {
            retirer.retire(fds(kernel, {i}));
        }
    }
    EXPECT_EQ(kernel.closed, (std::vector<int>{0, 1, 2}));
}

using Clock = std::chrono::steady_clock;

TEST(RetirerTest, AVmsEndWaitsForAMoment)
{
    SlowKernel kernel;
    Retirer retirer(kernel);
    Clock::time_point given = Clock::now();
    retirer.retire(fds(kernel, {1}));
    kernel.wait_for_closing();
    EXPECT_GE(Clock::now() - given, Retirer::patience);
    kernel.let_close();
    retirer.drain();
}

TEST(RetirerTest, UnlessSomebodyWaitsForIt)
{
    SlowKernel kernel;
    kernel.open = true;
    Clock::duration quickest = Retirer::patience;
    /* The machine may be busy elsewhere, but not always. */
    for (int i = 0; i < 50 && quickest >= Retirer::patience; i++) {
        Retirer retirer(kernel);
        Clock::time_point given = Clock::now();
        retirer.retire(fds(kernel, {1}));
        retirer.drain();
        quickest = std::min(quickest, Clock::now() - given);
    }
    EXPECT_LT(quickest, Retirer::patience);
}

TEST(RetirerTest, UnusedItHasNoThread)
{
    SlowKernel kernel;
    Retirer retirer(kernel);
    retirer.drain();
    EXPECT_EQ(retirer.waiting(), 0u);
}

} /* namespace */
