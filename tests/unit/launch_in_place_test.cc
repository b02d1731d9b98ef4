/*
 * A launch in the memory that the old VM leaves: SEV and SEV-ES
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstring>

#include "launched_guest.h"

using namespace kvm_reset;

namespace {

TEST(LaunchTest, MemoryEncryptedInPlaceIsPutBackAndEncryptedAnew)
{
    Launched<SevGuest> guest(true);
    std::vector<uint8_t> plain(sizeof(guest.firmware));
    for (size_t i = 0; i < plain.size(); i++) {
        plain[i] = uint8_t(i * 7 + i / 4096);
    }
    uint8_t key = guest.firmware[0] ^ plain[0];
    ASSERT_NE(key, 0);
    expect_reborn(guest);
    uint8_t other = guest.firmware[0] ^ plain[0];
    EXPECT_NE(other, 0);
    EXPECT_NE(other, key);
    EXPECT_EQ(guest.firmware[5000] ^ plain[5000], other);
}

TEST(LaunchTest, TheOldVmIsGoneBeforeMemoryIsEncryptedAnew)
{
    Launched<SevGuest> guest(false);
    size_t vms = 99;
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        if (request == KVM_MEMORY_ENCRYPT_OP) {
            vms = guest.kernel.vms();
        }
    };
    expect_reborn(guest);
    EXPECT_EQ(vms, 1u);
}

TEST(LaunchTest, AfterAFailureWithoutAWayBackTheGuestMayBeResetAgain)
{
    Launched<SevGuest> guest(true);
    Log first = guest.launched();
    guest.kernel.fail(FakeKernel::Call::WriteMemory, 1, EFAULT);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(guest.generations.status().lost);
    EXPECT_TRUE(done.error().what.contains("KVM_SEV_LAUNCH_UPDATE_DATA"));
    EXPECT_TRUE(done.error().what.contains("old VM had to go"))
        << done.error().what;
    /* Still lost after one that failed before that point. */
    guest.kernel.fail(KVM_CREATE_VM, 1, EMFILE);
    EXPECT_FALSE(guest.reset());
    EXPECT_TRUE(guest.generations.status().lost);
    expect_reborn(guest);
    EXPECT_FALSE(guest.generations.status().lost);
    EXPECT_EQ(guest.launched(), first);
}

/* Whether the @nth call was reached. */
static bool fail_in_place(unsigned nth, int code)
{
    Launched<SevGuest> guest(true);
    Log first = guest.launched();
    Holdings before = Holdings::of(guest);
    guest.kernel.fail(nth, code);
    Result<Durations> done = guest.reset();
    bool reached = guest.kernel.failed();
    guest.kernel.fail_nothing();
    if (!done && !guest.generations.status().lost) {
        EXPECT_EQ(Holdings::of(guest), before) << done.error().what;
        EXPECT_EQ(guest.launched(), first);
    }
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first) << "call " << nth;
    return reached;
}

TEST(LaunchTest, EverySingleFailureOfAnInPlaceLaunchCanBeRepeated)
{
    for (int code : codes) {
        for (unsigned nth = 1; fail_in_place(nth, code); nth++) {
            ASSERT_FALSE(HasFailure()) << strerrorname_np(code);
        }
    }
}

} /* namespace */
