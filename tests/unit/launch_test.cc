/*
 * A confidential guest is launched again at a reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include "launched_guest.h"
#include "sysemu/kvm-reset.h"

using namespace kvm_reset;

namespace {

TEST(LaunchTest, IsTheSameOnEachNewVm)
{
    with_each_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        ASSERT_GT(first.size(), 3u);
        EXPECT_FALSE(guest.recorder.blocker());
        EXPECT_EQ(guest.recorder.plan().state(), LaunchState::Finished);
        for (int i = 0; i < 20; i++) {
            expect_reborn(guest);
            ASSERT_EQ(guest.launched(), first) << "rebirth " << i;
        }
        EXPECT_EQ(guest.generations.status().generation, 20u);
    });
}

TEST(LaunchTest, TakesItsOwnCopiesNotWhatLiesThereNow)
{
    with_each_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        memset(guest.firmware, 0xee, sizeof(guest.firmware));
        memset(guest.page, 0xee, sizeof(guest.page));
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), first);
    });
}

TEST(LaunchTest, VcpusGetTheStateThatTheyHadBeforeTheLaunch)
{
    with_each_kind([](ConfidentialGuest &guest) {
        if (guest.ioctls(KVM_SET_REGS).empty()) {
            return; /* a TDX guest's vCPUs have none from outside */
        }
        Log first = guest.launched();
        /* Plain SEV's are not locked, and what is set later is passing. */
        guest.regs(guest.vcpus[0], 99);
        size_t entries = guest.recorder.entries();
        guest.regs(guest.vcpus[0], 98);
        EXPECT_EQ(guest.recorder.entries(), entries);
        expect_reborn(guest);
        std::vector<IssuedIoctl> ioctls = guest.ioctls(KVM_SET_REGS);
        ASSERT_EQ(ioctls.size(), 2u);
        EXPECT_EQ(ioctls[0].bytes, std::vector<uint8_t>(144, 1));
        EXPECT_EQ(guest.launched(), first);
    });
}

TEST(LaunchTest, TheLastStateOfAVcpuBeforeTheLaunchCounts)
{
    SnpGuest guest;
    guest.regs(guest.vcpus[1], 2);
    guest.regs(guest.vcpus[1], 3);
    guest.launch();
    Log first = guest.launched();
    expect_reborn(guest);
    EXPECT_EQ(guest.ioctls(KVM_SET_REGS).size(), 2u);
    EXPECT_EQ(guest.launched(), first);
    /* Each MSR is an entry of its own. */
    EXPECT_EQ(guest.ioctls(KVM_SET_MSRS).size(), 2u);
}

TEST(LaunchTest, AnOrdinaryGuestsVcpuStateIsNotRecorded)
{
    Guest guest;
    int fd = guest.vcpu(0);
    size_t entries = guest.recorder.entries();
    uint8_t regs[144] = {};
    guest.ioctl(fd, KVM_SET_REGS, regs);
    EXPECT_EQ(guest.recorder.entries(), entries);
    EXPECT_EQ(kvm_reset_passthrough[KVM_SET_REGS & 0xff], KVM_SET_REGS);
}

TEST(LaunchTest, VcpuStateIsSeenOnlyUntilTheGuestIsLocked)
{
    uint32_t set_regs = KVM_SET_REGS;
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], set_regs);
    SnpGuest guest;
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], 0u);
    EXPECT_EQ(kvm_reset_passthrough[KVM_RUN & 0xff], KVM_RUN);
    guest.launch();
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], set_regs);
}

TEST(LaunchTest, WhatTheGuestSharesIsForgotten)
{
    with_each_kind([](ConfidentialGuest &guest) {
        size_t before = guest.ioctls(KVM_SET_MEMORY_ATTRIBUTES).size();
        guest.attributes(0x100000, 0x1000, 0);
        guest.attributes(0x100000, 0x1000, KVM_MEMORY_ATTRIBUTE_PRIVATE);
        guest.attributes(0x200000, 0x1000, 0);
        expect_reborn(guest);
        EXPECT_LE(guest.ioctls(KVM_SET_MEMORY_ATTRIBUTES).size(), before);
        for (const IssuedIoctl &issued :
             guest.ioctls(KVM_SET_MEMORY_ATTRIBUTES)) {
            EXPECT_EQ(issued.field(&kvm_memory_attributes::attributes),
                      KVM_MEMORY_ATTRIBUTE_PRIVATE);
        }
    });
}

TEST(LaunchTest, ASlotThatMovedSinceIsThereBeforeThePages)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2,
                kvm_userspace_memory_region2{.slot = 1});
    guest.private_slot(1, 0, 0x40000000);
    guest.slot(7, 0x1000, 0x90000000);
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, ASecondResetBeforeTheFirstLaunchEndsIsRefused)
{
    SnpGuest guest;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EBUSY);
    EXPECT_TRUE(done.error().what.contains("not finished"))
        << done.error().what;
    guest.launch();
    expect_reborn(guest);
}

TEST(LaunchTest, AnUnknownCommandBlocksAndIsNamed)
{
    SnpGuest guest;
    EXPECT_EQ(guest.command(guest.vm, 8), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_TRUE(why->contains("KVM_SEV_SEND_START")) << *why;
}

TEST(LaunchTest, QuestionsAreNoSteps)
{
    Launched<SevGuest> guest(true);
    size_t steps = guest.recorder.plan().steps().size();
    EXPECT_EQ(guest.command(guest.vm, 16), 0);
    EXPECT_EQ(guest.recorder.plan().steps().size(), steps);
    EXPECT_FALSE(guest.recorder.blocker());
}

TEST(LaunchTest, ARefusedStepIsNoStep)
{
    SnpGuest guest;
    EXPECT_EQ(guest.command(guest.vm, 3, guest.page), -EIO);
    EXPECT_EQ(guest.last.error, 9u);
    EXPECT_TRUE(guest.recorder.plan().steps().empty());
}

TEST(LaunchTest, ALengthThatIsWrongCostsNoMemory)
{
    SnpGuest guest;
    struct {
        uint64_t address;
        uint32_t length, pad;
    } data{uint64_t(guest.page), 0x40000000, 0};

    EXPECT_EQ(guest.command(guest.vm, 3, &data), -EIO);
    EXPECT_LE(guest.kernel.most_read, sizeof(guest.page));
}

TEST(LaunchTest, PagesThatGoInByPartsComeBackWhole)
{
    SnpGuest guest;
    guest.kernel.most_pages = 3;
    guest.launch();
    Log first = guest.launched();
    EXPECT_EQ(guest.recorder.plan().steps()[0].step->pointed().size(),
              3u * 4096);
    guest.kernel.most_pages = 2;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);

    TdxGuest td;
    td.kernel.most_pages = 1;
    td.launch();
    first = td.launched();
    td.kernel.most_pages = 3;
    expect_reborn(td);
    EXPECT_EQ(td.launched(), first);
}

} /* namespace */
