/*
 * vCPU threads, the main loop and iothreads all issue ioctls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Meant for the thread sanitizer; and without it, the journal and the VM must
 * agree in the end.
 */

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class ThreadTest : public ::testing::Test {
protected:
    Guest guest;

    ThreadTest()
    {
        guest.kernel.remembers = false;
        guest.listener.remembers = false;
    }

    /* The slots that the VM in use has, as a rebirth shows them. */
    std::vector<uint8_t> slots_after_a_rebirth()
    {
        guest.kernel.remembers = true;
        Result<Durations> done = guest.reset();
        EXPECT_TRUE(done) << done.error().what;
        std::vector<uint8_t> slots;
        for (const IssuedIoctl &issued :
             guest.ioctls(KVM_SET_USER_MEMORY_REGION)) {
            slots.push_back(issued.field(&kvm_userspace_memory_region::slot));
        }
        std::ranges::sort(slots);
        return slots;
    }
};

TEST_F(ThreadTest, TwoThreadsRecordWhileAThirdTakesSnapshots)
{
    std::atomic<bool> stop = false;
    std::atomic<unsigned> taken = 0;
    int vcpu = guest.vcpu(0), fd = guest.kernel.eventfd();
    /* In the middle of what a thread records. */
    auto await_snapshot = [&] {
        unsigned before = taken;
        yield_until([&] { return taken != before; });
    };

    std::thread slots([&] {
        for (unsigned i = 0; i < 20000; i++) {
            if (i % 1000 == 500) {
                await_snapshot();
            }
            EXPECT_EQ(guest.slot(1 + i / 2 % 8, i % 2 ? 0 : 0x1000), 0);
        }
        guest.slot(3, 0x1000);
    });
    std::thread others([&] {
        for (uint32_t i = 0; i < 20000; i++) {
            if (i % 1000 == 500) {
                await_snapshot();
            }
            EXPECT_EQ(guest.irqfd(fd, 5, i % 2 ? KVM_IRQFD_FLAG_DEASSIGN : 0),
                      0);
            kvm_msrs_of<1> msrs{.entries = {{.index = 0x10a, .data = i}}};
            EXPECT_EQ(guest.ioctl(vcpu, KVM_SET_MSRS, msrs), 1);
            EXPECT_EQ(guest.ioctl(vcpu, KVM_RUN), 0);
        }
        guest.slot(20, 0x1000);
    });
    std::thread snapshots([&] {
        uint64_t last = 0;
        while (!stop) {
            Snapshot snapshot = guest.recorder.snapshot();
            EXPECT_GE(snapshot.version, last);
            last = snapshot.version;
            for (const EntryPtr &entry : snapshot.entries) {
                EXPECT_TRUE(snapshot.object(entry->target));
                EXPECT_FALSE(entry->arg.live().pass() == 1);
            }
            EXPECT_FALSE(guest.recorder.blocker());
            EXPECT_GT(guest.recorder.footprint(), 0u);
            taken++;
        }
    });
    slots.join();
    others.join();
    stop = true;
    snapshots.join();

    EXPECT_EQ(slots_after_a_rebirth(), (std::vector<uint8_t>{3, 20}));
}

TEST_F(ThreadTest, TwoThreadsRecordWhileAThirdRebirths)
{
    std::atomic<bool> stop = false;
    std::atomic<unsigned> toggles[2] = {};
    guest.define_a_bit_of_everything();

    auto toggle = [&](uint32_t slot, std::atomic<unsigned> &toggled) {
        while (!stop) {
            EXPECT_EQ(guest.slot(slot, 0x1000, 0x1000000ull * slot), 0);
            EXPECT_EQ(guest.slot(slot, 0), 0);
            toggled++;
        }
        EXPECT_EQ(guest.slot(slot, 0x1000, 0x1000000ull * slot), 0);
    };
    std::thread one(toggle, 40, std::ref(toggles[0]));
    std::thread other(toggle, 41, std::ref(toggles[1]));
    /* Until each has met many rebirths. */
    for (int i = 0; i < 200 || toggles[0] < 200 || toggles[1] < 200; i++) {
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        guest.generations.status();
    }
    stop = true;
    one.join();
    other.join();

    EXPECT_EQ(slots_after_a_rebirth(), (std::vector<uint8_t>{0, 1, 2, 40, 41}));
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(ThreadTest, ABlockerIsSeenFromEveryThread)
{
    std::thread other([&] { guest.recorder.block("elsewhere"); });
    while (!guest.recorder.blocker()) {
        std::this_thread::yield();
    }
    EXPECT_EQ(guest.recorder.blocker(), "elsewhere");
    other.join();
}

} /* namespace */
