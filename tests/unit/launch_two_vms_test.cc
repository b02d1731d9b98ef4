/*
 * A launch beside the old VM: SEV-SNP and TDX
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include "launched_guest.h"

using namespace kvm_reset;

namespace {

TEST(LaunchTest, WithoutAFreeKeyTheGuestKeepsItsVm)
{
    Launched<SnpGuest> guest;
    Holdings before = Holdings::of(guest);
    guest.kernel.asids = 1;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EBUSY);
    EXPECT_TRUE(done.error().what.contains("KVM_SEV_INIT2"))
        << done.error().what;
    EXPECT_EQ(Holdings::of(guest), before);
    guest.kernel.asids = 2;
    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
    }
}

/* Fails one call of the rebirth after the other. */
template <class T> void sweep(int code)
{
    unsigned nth = 1;

    while (true) {
        Launched<T> guest;
        Log first = guest.launched();
        Holdings before = Holdings::of(guest);
        guest.kernel.fail(nth, code);
        Result<Durations> done = guest.reset();
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (!done) {
            ASSERT_EQ(Holdings::of(guest), before) << done.error().what;
            ASSERT_FALSE(guest.generations.status().lost);
            ASSERT_EQ(done.error().code, code);
        }
        ASSERT_EQ(guest.launched(), first);
        expect_reborn(guest);
        ASSERT_EQ(guest.launched(), first);
        if (!reached) {
            break;
        }
        nth++;
    }
    EXPECT_GT(nth, 20u);
}

TEST(LaunchTest, AnySingleFailureLeavesAnSnpGuestOnItsOldVm)
{
    for (int code : codes) {
        sweep<SnpGuest>(code);
    }
}

TEST(LaunchTest, AnySingleFailureLeavesATdxGuestOnItsOldVm)
{
    for (int code : codes) {
        sweep<TdxGuest>(code);
    }
}

TEST(LaunchTest, TheSpareIsNotLaunchedBeforeItIsWanted)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.generations.keep_spare(true);
    guest.generations.drain();
    ASSERT_EQ(guest.generations.spare().state, SpareState::Ready);
    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(done->spare);
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, ASpareThatIsLaunchedAheadNeedsTheSwapAlone)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.generations.keep_spare(true, true);
    for (int i = 0; i < 3; i++) {
        guest.generations.drain();
        ASSERT_TRUE(guest.generations.spare().launched);
        guest.slot(5 + i, 0x1000, 0x90000000 + i * 0x1000);
        guest.generations.drain();
        ASSERT_TRUE(guest.generations.spare().launched);
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_TRUE(done->spare);
        EXPECT_EQ(done->launch, 0u);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.generations.status().measurement,
                  guest.recorder.first_measurement());
    }
}

TEST(LaunchTest, ASpareThatWasThereFirstIsLaunchedWhenTheGuestIs)
{
    SnpGuest guest;
    guest.generations.keep_spare(true, true);
    guest.generations.drain();
    EXPECT_FALSE(guest.generations.spare().launched);
    guest.launch();
    guest.generations.drain();
    EXPECT_TRUE(guest.generations.spare().launched);
    Log first = guest.launched();
    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, WhatIsEncryptedInPlaceIsNeverLaunchedAhead)
{
    Launched<SevGuest> guest(true);
    guest.generations.keep_spare(true, true);
    guest.generations.drain();
    EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);
    EXPECT_FALSE(guest.generations.spare().launched);
    Log first = guest.launched();
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, WithoutAFreeKeyForASpareTheResetIsTriedWithoutIt)
{
    Launched<SnpGuest> guest;
    guest.kernel.asids = 1;
    guest.generations.keep_spare(true, true);
    guest.generations.drain();
    EXPECT_EQ(guest.generations.spare().state, SpareState::Failed);
    guest.kernel.asids = 2;
    Result<Durations> done = guest.reset();
    EXPECT_TRUE(done) << done.error().what;
}

} /* namespace */
