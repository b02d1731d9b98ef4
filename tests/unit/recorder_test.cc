/*
 * What the recorder keeps of what it sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include "recorder_guest.h"

using namespace uapi;

namespace {

/*
 * Nothing of so many calls may stay.  With a sanitizer each takes ten times as
 * long, and fewer must do.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned forever = 500'000;
#else
constexpr unsigned forever = 10'000'000;
#endif

class Toggled : public RecorderTest {
protected:
    template <class Toggle> void expect_nothing_stays(Toggle toggle)
    {
        guest.kernel.remembers = false;
        guest.listener.remembers = false;
        for (unsigned i = 0; i <= 2; i++) {
            ASSERT_EQ(toggle(i), 0);
        }
        size_t entries = guest.recorder.entries();
        size_t bytes = guest.recorder.footprint();
        size_t watches = guest.kernel.watches();

        for (unsigned i = 3; i <= forever; i++) {
            ASSERT_EQ(toggle(i), 0) << "call " << i;
        }
        EXPECT_EQ(guest.recorder.entries(), entries);
        EXPECT_EQ(guest.recorder.footprint(), bytes);
        EXPECT_EQ(guest.kernel.watches(), watches);
    }
};

TEST_F(Toggled, ASlotToggledForeverIsOneEntry)
{
    expect_nothing_stays(
        [&](unsigned i) { return guest.slot(1, i % 2 ? 0 : 0x1000); });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(Toggled, AnIrqfdToggledForeverIsOneEntry)
{
    int fd = guest.kernel.eventfd();
    expect_nothing_stays([&](unsigned i) {
        return guest.irqfd(fd, 5, i % 2 ? irqfd_deassign : 0);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(Toggled, RoutesChangedForeverAreOneEntry)
{
    Routing<3> routing;
    expect_nothing_stays([&](unsigned i) {
        routing.routes[2].pin = i;
        return guest.ioctl(guest.vm, set_gsi_routing, routing);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(RecorderTest, ReplayKeepsTheOrderOfFirstDefinition)
{
    guest.enable_cap(guest.vm, 121, 24);
    guest.slot(3, 0x1000);
    guest.ioctl(guest.vm, create_irqchip);
    guest.slot(1, 0x1000);
    guest.enable_cap(guest.vm, 121, 48);
    guest.slot(3, 0x2000);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 5u);
    EXPECT_EQ(ioctls[0].request, create_vm);
    EXPECT_EQ(ioctls[1].request, enable_cap);
    EXPECT_EQ(ioctls[1].bytes[8], 48);
    EXPECT_EQ(ioctls[2].request, set_user_memory_region);
    EXPECT_EQ(ioctls[2].bytes[0], 3);
    EXPECT_EQ(ioctls[2].bytes[17], 0x20);
    EXPECT_EQ(ioctls[3].request, create_irqchip);
    EXPECT_EQ(ioctls[4].bytes[0], 1);
}

TEST_F(RecorderTest, ADeletedSlotIsNotBuiltAgain)
{
    guest.slot(3, 0x1000);
    guest.slot(4, 0x1000);
    guest.slot(3, 0);
    reborn();

    std::vector<IssuedIoctl> slots = guest.ioctls(set_user_memory_region);
    ASSERT_EQ(slots.size(), 1u);
    EXPECT_EQ(slots[0].bytes[0], 4);
}

TEST_F(RecorderTest, BothSlotIoctlsSpeakOfTheSameSlots)
{
    guest.slot(3, 0x1000);
    guest.slot(3, 0);
    guest.ioctl(guest.vm, set_user_memory_region2,
                Region2{.slot = 3, .size = 0x3000});
    EXPECT_EQ(entries(), 1u);
    guest.slot(3, 0);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, RoutesAreReplayedWhereTheLastTableStood)
{
    Routing<1> routing;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    guest.slot(1, 0x1000);
    routing.routes[0].gsi = 9;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 3u);
    EXPECT_EQ(ioctls[1].request, set_user_memory_region);
    EXPECT_EQ(ioctls[2].request, set_gsi_routing);
    EXPECT_EQ(ioctls[2].bytes[8], 9);
}

TEST_F(RecorderTest, OfOverlappingMemoryAttributesTheLatestComesLast)
{
    MemoryAttributes part{.address = 0x1000, .size = 0x1000, .attributes = 8};
    MemoryAttributes whole{.address = 0, .size = 0x4000};
    guest.ioctl(guest.vm, set_memory_attributes, part);
    guest.ioctl(guest.vm, set_memory_attributes, whole);
    guest.ioctl(guest.vm, set_memory_attributes, part);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(set_memory_attributes);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].bytes[9], 0x40);
    EXPECT_EQ(ioctls[1].bytes[9], 0x10);
}

TEST_F(RecorderTest, ASnapshotStaysAsItWas)
{
    guest.slot(1, 0x1000);
    kvm_reset::Snapshot before = guest.recorder.snapshot();
    guest.slot(1, 0);
    guest.slot(2, 0x1000);
    EXPECT_EQ(before.entries.size(), 2u);
    EXPECT_EQ(before.entries[1]->arg.bytes()[0], 1);
    EXPECT_NE(before.version, guest.recorder.snapshot().version);
}

TEST_F(RecorderTest, SayingTheSameAgainIsNoNewVersion)
{
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, set_gsi_routing, Routing<2>{});
    uint64_t version = guest.recorder.snapshot().version;
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, set_gsi_routing, Routing<2>{});
    EXPECT_EQ(guest.recorder.snapshot().version, version);
}

TEST_F(RecorderTest, OnlyWhatIsNotQuietIsReported)
{
    guest.ioctl(guest.vm, check_extension, 3);
    guest.slot(1, 0x1000);
    EXPECT_EQ(guest.listener.seen(),
              (std::vector<std::string>{"KVM_CREATE_VM",
                                        "KVM_SET_USER_MEMORY_REGION"}));
}

} /* namespace */
