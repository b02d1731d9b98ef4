/*
 * What the recorder does not know blocks resets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstdio>

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

static int some_caller;

TEST_F(RecorderTest, AnUnknownIoctlBlocksWithItsNumberAndItsCaller)
{
    uint8_t arg[16] = {};
    uint32_t unknown = unknown_ioctl;
    EXPECT_EQ(guest.recorder.ioctl(guest.vm, unknown, uintptr_t(arg),
                                   reinterpret_cast<void *>(&puts)),
              0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("0x4010aefe"), std::string::npos) << *why;
    EXPECT_NE(why->find("0xfe)"), std::string::npos) << *why;
    EXPECT_NE(why->find("puts"), std::string::npos) << *why;
    EXPECT_EQ(guest.listener.blocked().size(), 1u);

    Holdings before = Holdings::of(guest);
    kvm_reset::Result<kvm_reset::Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOTSUP);
    EXPECT_NE(done.error().what.find("0x4010aefe"), std::string::npos);
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST_F(RecorderTest, ACallerOutsideAnyLibraryIsAnAddressInTheProgram)
{
    uint8_t arg[16] = {};
    guest.recorder.ioctl(guest.vm, unknown_ioctl, uintptr_t(arg), &some_caller);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("unit-tests+0x"), std::string::npos) << *why;
}

TEST_F(RecorderTest, AnUnknownIoctlThatTheKernelRefusedDoesNotBlock)
{
    uint8_t arg[16] = {};
    guest.kernel.fail(unknown_ioctl, 1, ENOTTY);
    EXPECT_EQ(guest.recorder.ioctl(guest.vm, unknown_ioctl, uintptr_t(arg)),
              -ENOTTY);
    EXPECT_FALSE(guest.recorder.blocker());
}

TEST_F(RecorderTest, TheFirstReasonStays)
{
    guest.recorder.block("first");
    guest.recorder.block("second");
    EXPECT_EQ(guest.recorder.blocker(), "first");
    EXPECT_EQ(guest.listener.blocked().size(), 1u);
}

TEST_F(RecorderTest, ACapabilityThatNoRulingNamesBlocks)
{
    EXPECT_EQ(guest.enable_cap(guest.vm, 9999, 1), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("KVM_ENABLE_CAP"), std::string::npos) << *why;
}

TEST_F(RecorderTest, ACapabilityThatAddsUpBlocksOnlyWithAnotherArgument)
{
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_X2APIC_API, 1), 0);
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_X2APIC_API, 1), 0);
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_HALT_POLL, 1), 0);
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_HALT_POLL, 2), 0);
    EXPECT_FALSE(guest.recorder.blocker());

    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_X2APIC_API, 2), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("KVM_ENABLE_CAP of 129 was called twice"),
              std::string::npos)
        << *why;
}

TEST_F(RecorderTest, AGuestMemfdWithAFlagBlocks)
{
    kvm_create_guest_memfd memfd{.size = 0x10000};
    EXPECT_GE(guest.ioctl(guest.vm, KVM_CREATE_GUEST_MEMFD, &memfd), 0);
    EXPECT_FALSE(guest.recorder.blocker());

    memfd.flags = GUEST_MEMFD_FLAG_MMAP;
    EXPECT_GE(guest.ioctl(guest.vm, KVM_CREATE_GUEST_MEMFD, &memfd), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("KVM_CREATE_GUEST_MEMFD"), std::string::npos) << *why;
}

TEST_F(RecorderTest, ASecondVmBlocks)
{
    int second = guest.ioctl(guest.kvm, KVM_CREATE_VM, 0);
    EXPECT_GE(second, 0);
    EXPECT_TRUE(guest.recorder.blocker());
}

TEST_F(RecorderTest, AnIoctlOnAnFdThatWasNeverSeenBlocks)
{
    /* Another part of the program made a VM that we did not see. */
    int kvm = guest.kernel.open_kvm();
    int vm = guest.kernel.ioctl(kvm, KVM_CREATE_VM, 0);
    guest.ioctl(vm, KVM_SET_USER_MEMORY_REGION,
                kvm_userspace_memory_region{.slot = 1, .memory_size = 1});
    EXPECT_TRUE(guest.recorder.blocker());
}

TEST_F(RecorderTest, ANewVmBeginsWithoutTheOldOnesBlocker)
{
    guest.recorder.block("something");
    EXPECT_EQ(guest.recorder.close(guest.vm), 0);
    EXPECT_FALSE(guest.recorder.recording());
    EXPECT_EQ(guest.recorder.entries(), 0u);
    guest.vm = guest.ioctl(guest.kvm, KVM_CREATE_VM, 0);
    EXPECT_FALSE(guest.recorder.blocker());
    guest.slot(1, 0x1000);
    reborn();
    EXPECT_EQ(guest.ioctls(KVM_SET_USER_MEMORY_REGION).size(), 1u);
}

} /* namespace */
