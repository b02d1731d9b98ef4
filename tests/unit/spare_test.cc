/*
 * The spare: ready before anybody asks, and right whatever changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

/* What stands after everything that the VM was told, slots by id and so on. */
struct Net {
    std::map<uint32_t, std::vector<uint8_t>> slots;
    std::map<uint64_t, std::vector<uint8_t>> ioeventfds;
    std::map<uint64_t, std::vector<uint8_t>> zones;
    std::vector<uint8_t> routes;
    bool operator==(const Net &) const = default;

    static Net of(const Guest &guest)
    {
        Net net;
        for (const IssuedIoctl &issued : guest.ioctls()) {
            if (issued.request == KVM_SET_USER_MEMORY_REGION) {
                auto region = issued.as<kvm_userspace_memory_region>();
                net.slots[region.slot] = issued.bytes;
                if (region.memory_size == 0) {
                    net.slots.erase(region.slot);
                }
            } else if (issued.request == KVM_IOEVENTFD) {
                auto ioeventfd = issued.as<kvm_ioeventfd>();
                net.ioeventfds[ioeventfd.addr] = issued.bytes;
                if (ioeventfd.flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
                    net.ioeventfds.erase(ioeventfd.addr);
                }
            } else if (issued.request == KVM_REGISTER_COALESCED_MMIO) {
                net.zones[issued.field(&kvm_coalesced_mmio_zone::addr)] =
                    issued.bytes;
            } else if (issued.request == KVM_UNREGISTER_COALESCED_MMIO) {
                net.zones.erase(issued.field(&kvm_coalesced_mmio_zone::addr));
            } else if (issued.request == KVM_SET_GSI_ROUTING) {
                net.routes = issued.bytes;
            }
        }
        return net;
    }
};

class SpareTest : public ::testing::Test {
protected:
    Guest guest;
    int cpu = guest.vcpu(0);

    void SetUp() override
    {
        guest.slot(0, 0x100000);
        guest.generations.keep_spare(true);
        guest.generations.drain();
    }

    SpareStatus settled()
    {
        guest.generations.drain();
        return guest.generations.spare();
    }

    /* Batches that were followed, and replicas that were built. */
    size_t batches()
    {
        return std::ranges::count(guest.listener.steps(), "spare");
    }

    /* A change is there, and its batch not yet at its end. */
    void begin_a_batch()
    {
        size_t before = batches();
        guest.kernel.clock.hold();
        guest.slot(1, 0x2000, 0x100000);
        await_batch(before);
        ASSERT_EQ(guest.kernel.clock.next(),
                  guest.kernel.clock.now() + Spare::gathering_time);
        ASSERT_EQ(batches(), before);
    }
    /* Somebody waits for its end, or it has ended. */
    void await_batch(size_t before)
    {
        yield_until([&] {
            return guest.kernel.clock.next() != Kernel::forever ||
                   batches() != before;
        });
    }
};

TEST_F(SpareTest, AResetWithASpareBuildsNothing)
{
    EXPECT_EQ(settled().state, SpareState::Ready);
    size_t built = guest.kernel.times(KVM_CREATE_VM);

    bool during = true;
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        EXPECT_FALSE(during && request == KVM_CREATE_VM);
    };
    Result<Durations> done = guest.reset();
    during = false;
    ASSERT_TRUE(done);
    EXPECT_TRUE(done->spare);
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built + 1);
    EXPECT_EQ(guest.kernel.vms(), 2u);
}

TEST_F(SpareTest, WithoutASpareTheReplicaIsBuiltInsideTheReset)
{
    guest.generations.keep_spare(false);
    EXPECT_EQ(settled().state, SpareState::Off);
    EXPECT_EQ(guest.kernel.vms(), 1u);

    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->spare);
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(SpareTest, WhatChangesIsFollowedNotBuiltAnew)
{
    size_t built = guest.kernel.times(KVM_CREATE_VM);
    int event = guest.kernel.eventfd();

    guest.slot(1, 0x2000, 0x100000);
    guest.ioeventfd(event, 0xc000);
    EXPECT_EQ(settled().state, SpareState::Ready);
    guest.slot(1, 0);
    guest.slot(2, 0x3000, 0x100000);
    guest.ioeventfd(event, 0xc000, KVM_IOEVENTFD_FLAG_DEASSIGN);
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built);

    Net before = Net::of(guest);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(Net::of(guest), before);
    EXPECT_EQ(before.slots.size(), 2u);
}

TEST_F(SpareTest, WhatASpareCostsIsSaid)
{
    SpareStatus few = settled();
    EXPECT_EQ(few.fds, 3u); /* the device, the VM, the vCPU */
    EXPECT_GT(few.bytes, sizeof(Replica));
    for (int i = 0; i < 500; i++) {
        guest.ioeventfd(guest.kernel.eventfd(), 0xc000 + 8 * i);
    }
    SpareStatus many = settled();
    EXPECT_EQ(many.fds, few.fds);
    EXPECT_GE(many.bytes, few.bytes + 500 * sizeof(EntryPtr));
    EXPECT_LT(many.bytes, 100u << 10);
    guest.generations.keep_spare(false);
    EXPECT_EQ(settled().bytes, 0u);
    EXPECT_EQ(settled().fds, 0u);
}

TEST_F(SpareTest, WhatKvmCannotUndoMakesANewOne)
{
    int other = guest.vcpu(1);
    ASSERT_EQ(settled().state, SpareState::Ready);
    size_t built = guest.kernel.times(KVM_CREATE_VM);

    guest.recorder.close(other);
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built + 1);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.ioctls(KVM_CREATE_VCPU).size(), 1u);
}

TEST_F(SpareTest, ABurstOfChangesIsOneBatch)
{
    uint64_t before = batches();
    begin_a_batch();
    for (int i = 0; i < 10000; i++) {
        guest.slot(1, i % 2 ? 0x1000 : 0, 0x100000);
    }
    guest.slot(1, 0);
    guest.slot(1, 0x4000, 0x100000);
    EXPECT_EQ(batches(), before);
    guest.kernel.clock.release();
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_EQ(batches(), before + 1);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(Net::of(guest).slots.size(), 2u);
}

TEST_F(SpareTest, ABatchEndsWhenNothingChangedForAWhile)
{
    uint64_t before = batches();
    begin_a_batch();
    guest.kernel.clock.advance(Spare::gathering_time);
    await_batch(before);
    EXPECT_EQ(batches(), before + 1);
}

TEST_F(SpareTest, ABatchEndsThoughChangesDoNot)
{
    uint64_t before = batches();
    unsigned times = 0;
    begin_a_batch();
    for (; batches() == before && times < 1000; times++) {
        guest.slot(1, times % 2 ? 0x2000 : 0, 0x100000);
        guest.kernel.clock.advance(Spare::gathering_time);
        await_batch(before);
    }
    EXPECT_EQ(times, Spare::most_gathering_times);
    guest.kernel.clock.release();
    EXPECT_EQ(settled().state, SpareState::Ready);
}

TEST_F(SpareTest, ASpareThatCannotBeBuiltSaysWhyAndIsTriedAgain)
{
    guest.kernel.fail_always(KVM_CREATE_VCPU, EBUSY);
    ASSERT_TRUE(guest.reset());
    SpareStatus spare = settled();
    EXPECT_EQ(spare.state, SpareState::Failed);
    EXPECT_NE(spare.error.find("KVM_CREATE_VCPU"), std::string::npos);
    EXPECT_FALSE(guest.reset());

    guest.kernel.fail_nothing();
    guest.slot(1, 0x1000, 0x100000);
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_TRUE(guest.reset());
}

TEST_F(SpareTest, AFailedSwapCostsTheSpareAndNothingElse)
{
    Holdings before = Holdings::of(guest);
    guest.kernel.fail(FakeKernel::Call::DupOnto, 2, ENOMEM);
    EXPECT_FALSE(guest.reset());
    EXPECT_TRUE(guest.kernel.failed());
    EXPECT_EQ(settled().state, SpareState::Ready);
    EXPECT_EQ(Holdings::of(guest).fds.size(), before.fds.size());
    EXPECT_EQ(guest.kernel.vms(), before.vms);
    EXPECT_TRUE(guest.reset());
}

TEST_F(SpareTest, AVmThatIsClosedTakesItsSpareAlong)
{
    guest.recorder.close(cpu);
    guest.recorder.close(guest.vm);
    EXPECT_EQ(settled().state, SpareState::Failed);
    EXPECT_EQ(guest.kernel.vms(), 0u);
}

TEST_F(SpareTest, WhateverChangesTheNewVmIsAsTheOldOne)
{
    std::mt19937 random(20260101);
    std::vector<int> events;
    for (int i = 0; i < 8; i++) {
        events.push_back(guest.kernel.eventfd());
    }
    for (int round = 0; round < 60; round++) {
        for (unsigned i = random() % 12; i > 0; i--) {
            unsigned n = random() % 8;
            switch (random() % 5) {
            case 0:
                guest.slot(n + 1, 0);
                break;
            case 1:
                guest.slot(n + 1, 0);
                guest.slot(n + 1, 0x1000 * (1 + random() % 4),
                           0x1000000 * (n + 1));
                break;
            case 2:
                guest.ioeventfd(events[n], 0xc000 + 4 * n,
                                random() % 2 ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0);
                break;
            case 3:
                guest.ioctl(guest.vm,
                            random() % 2 ? KVM_REGISTER_COALESCED_MMIO
                                         : KVM_UNREGISTER_COALESCED_MMIO,
                            kvm_coalesced_mmio_zone{
                                .addr = 0xa0000 + 0x1000 * n, .size = 0x1000});
                break;
            case 4: {
                kvm_irq_routing_of<3> routing;
                routing.entries[0].u.irqchip.pin = random() % 16;
                guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, routing);
                break;
            }
            }
        }
        if (random() % 3 == 0) {
            guest.generations.drain();
        }
        Net before = Net::of(guest);
        ASSERT_TRUE(guest.reset());
        ASSERT_EQ(Net::of(guest), before) << "round " << round;
    }
}

} /* namespace */
