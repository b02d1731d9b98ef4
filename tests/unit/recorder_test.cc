/*
 * What the recorder keeps of what it sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include "recorder_guest.h"

using namespace kvm_reset::abi;

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
        return guest.irqfd(fd, 5, i % 2 ? KVM_IRQFD_FLAG_DEASSIGN : 0);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(Toggled, RoutesChangedForeverAreOneEntry)
{
    kvm_irq_routing_of<3> routing;
    expect_nothing_stays([&](unsigned i) {
        routing.entries[2].u.irqchip.pin = i;
        return guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, routing);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(RecorderTest, ReplayKeepsTheOrderOfFirstDefinition)
{
    guest.enable_cap(guest.vm, KVM_CAP_SPLIT_IRQCHIP, 24);
    guest.slot(3, 0x1000);
    guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP);
    guest.slot(1, 0x1000);
    guest.enable_cap(guest.vm, KVM_CAP_SPLIT_IRQCHIP, 48);
    guest.slot(3, 0x2000);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 5u);
    EXPECT_EQ(ioctls[0].request, KVM_CREATE_VM);
    EXPECT_EQ(ioctls[1].request, KVM_ENABLE_CAP);
    EXPECT_EQ(ioctls[1].as<kvm_enable_cap>().args[0], 48u);
    EXPECT_EQ(ioctls[2].request, KVM_SET_USER_MEMORY_REGION);
    EXPECT_EQ(ioctls[2].field(&kvm_userspace_memory_region::slot), 3u);
    EXPECT_EQ(ioctls[2].field(&kvm_userspace_memory_region::memory_size),
              0x2000u);
    EXPECT_EQ(ioctls[3].request, KVM_CREATE_IRQCHIP);
    EXPECT_EQ(ioctls[4].field(&kvm_userspace_memory_region::slot), 1u);
}

TEST_F(RecorderTest, ADeletedSlotIsNotBuiltAgain)
{
    guest.slot(3, 0x1000);
    guest.slot(4, 0x1000);
    guest.slot(3, 0);
    reborn();

    std::vector<IssuedIoctl> slots = guest.ioctls(KVM_SET_USER_MEMORY_REGION);
    ASSERT_EQ(slots.size(), 1u);
    EXPECT_EQ(slots[0].field(&kvm_userspace_memory_region::slot), 4u);
}

TEST_F(RecorderTest, BothSlotIoctlsSpeakOfTheSameSlots)
{
    guest.slot(3, 0x1000);
    guest.slot(3, 0);
    guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2,
                kvm_userspace_memory_region2{.slot = 3, .memory_size = 0x3000});
    EXPECT_EQ(entries(), 1u);
    guest.slot(3, 0);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, RoutesAreReplayedWhereTheLastTableStood)
{
    kvm_irq_routing_of<1> routing;
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, routing);
    guest.slot(1, 0x1000);
    routing.entries[0].gsi = 9;
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, routing);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 3u);
    EXPECT_EQ(ioctls[1].request, KVM_SET_USER_MEMORY_REGION);
    EXPECT_EQ(ioctls[2].request, KVM_SET_GSI_ROUTING);
    EXPECT_EQ(ioctls[2].as<kvm_irq_routing_of<1>>().entries[0].gsi, 9u);
}

TEST_F(RecorderTest, OfOverlappingMemoryAttributesTheLatestComesLast)
{
    kvm_memory_attributes part{.address = 0x1000,
                               .size = 0x1000,
                               .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
    kvm_memory_attributes whole{.address = 0, .size = 0x4000};
    guest.ioctl(guest.vm, KVM_SET_MEMORY_ATTRIBUTES, part);
    guest.ioctl(guest.vm, KVM_SET_MEMORY_ATTRIBUTES, whole);
    guest.ioctl(guest.vm, KVM_SET_MEMORY_ATTRIBUTES, part);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_SET_MEMORY_ATTRIBUTES);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].field(&kvm_memory_attributes::size), 0x4000u);
    EXPECT_EQ(ioctls[1].field(&kvm_memory_attributes::size), 0x1000u);
}

TEST_F(RecorderTest, ASnapshotStaysAsItWas)
{
    guest.slot(1, 0x1000);
    kvm_reset::Snapshot before = guest.recorder.snapshot();
    guest.slot(1, 0);
    guest.slot(2, 0x1000);
    EXPECT_EQ(before.entries.size(), 2u);
    EXPECT_EQ(before.entries[1]->arg.read(
                  kvm_reset::field_of(&kvm_userspace_memory_region::slot)),
              1u);
    EXPECT_NE(before.version, guest.recorder.snapshot().version);
}

TEST_F(RecorderTest, SayingTheSameAgainIsNoNewVersion)
{
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, kvm_irq_routing_of<2>{});
    uint64_t version = guest.recorder.snapshot().version;
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, kvm_irq_routing_of<2>{});
    EXPECT_EQ(guest.recorder.snapshot().version, version);
}

TEST_F(RecorderTest, OnlyWhatIsNotQuietIsReported)
{
    guest.ioctl(guest.vm, KVM_CHECK_EXTENSION, 3);
    guest.slot(1, 0x1000);
    EXPECT_EQ(guest.listener.seen(),
              (std::vector<std::string>{"KVM_CREATE_VM",
                                        "KVM_SET_USER_MEMORY_REGION"}));
}

} /* namespace */
