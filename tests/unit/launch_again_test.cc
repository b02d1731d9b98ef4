/*
 * Answers of KVM's to a launch that are no failures, and one that is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include "launched_guest.h"

using namespace kvm_reset;

namespace {

TEST(LaunchTest, ATdWaitsForEntropyAndForTheModule)
{
    Launched<TdxGuest> guest;
    Log first = guest.launched();
    guest.kernel.not_ready = {.no_entropy = 20, .busy = 20};
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
    EXPECT_EQ(guest.kernel.not_ready.busy, 0u);
}

TEST(LaunchTest, ATdDoesNotWaitForEver)
{
    Launched<TdxGuest> guest;
    Holdings before = Holdings::of(guest);
    guest.kernel.not_ready.no_entropy = 100'000;
    uint64_t began = guest.kernel.now();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EAGAIN);
    EXPECT_TRUE(done.error().what.contains("no entropy")) << done.error().what;
    EXPECT_GT(guest.kernel.now() - began, 50'000'000u) << "it waits";
    EXPECT_GT(guest.kernel.not_ready.no_entropy, 99'000u);
    EXPECT_EQ(Holdings::of(guest), before);

    guest.kernel.not_ready = {.busy = 100'000};
    began = guest.kernel.now();
    done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EBUSY);
    EXPECT_TRUE(done.error().what.contains("is busy")) << done.error().what;
    EXPECT_GT(guest.kernel.now() - began, 50'000'000u) << "it waits";
    EXPECT_GT(guest.kernel.not_ready.busy, 99'000u);
    guest.kernel.not_ready = {};
    expect_reborn(guest);
}

TEST(LaunchTest, ASignalBeforeTheFirstPageIsNoFailure)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.kernel.most_pages = 1;
    guest.kernel.not_ready.signals = 30;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
    EXPECT_EQ(guest.kernel.not_ready.signals, 0u);

    guest.kernel.not_ready.signals = 100'000;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EIO);
    EXPECT_TRUE(done.error().what.contains("a signal")) << done.error().what;
    EXPECT_GT(guest.kernel.not_ready.signals, 99'000u);
}

TEST(LaunchTest, SignalsBeforeEachOfManyPagesAreNotWithoutEnd)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.kernel.most_pages = 1;
    guest.kernel.not_ready.early = 60;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, ASignalInACommandIsNoFailure)
{
    with_each_kind([](auto &guest) {
        Log first = guest.launched();
        guest.kernel.not_ready.interrupted = 30;
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.kernel.not_ready.interrupted, 0u);
        guest.kernel.not_ready.interrupted = 100'000;
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, EINTR);
        EXPECT_GT(guest.kernel.not_ready.interrupted, 97'000u);
    });
}

/* What KVM may answer to a call that it has done a part of. */
constexpr int parts[] = {0, -EINTR, -EAGAIN};

TEST(LaunchTest, WhatIsLeftToDoIsAskedForWhateverKvmAnswers)
{
    with_each_private_kind([](auto &guest) {
        Log first = guest.launched();
        guest.kernel.most_pages = 1;
        for (int answer : parts) {
            guest.kernel.not_ready.in_part = answer;
            expect_reborn(guest);
            EXPECT_EQ(guest.launched(), first) << answer;
        }
    });
}

TEST(LaunchTest, NoPagesAtAllAreNotWaitedForWithoutEnd)
{
    with_each_private_kind([](auto &guest) {
        for (int answer : parts) {
            guest.kernel.not_ready = {.idle = 900, .in_part = answer};
            expect_reborn(guest);
            guest.kernel.not_ready.idle = 100'000;
            Result<Durations> done = guest.reset();
            ASSERT_FALSE(done) << answer;
            EXPECT_EQ(done.error().code, answer ? -answer : EAGAIN);
            EXPECT_GT(guest.kernel.not_ready.idle, 98'000u);
        }
    });
}

TEST(LaunchTest, ACpuidPageThatIsRefusedStaysAsItWas)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.kernel.not_ready.cpuid = 1;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().what.contains("firmware error 0x16"))
        << done.error().what;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first) << "KVM was given a copy";
}

TEST(LaunchTest, ALaunchedSpareDoesNotFollowAVcpuThatIsPluggedIn)
{
    Launched<SnpGuest> guest;
    guest.generations.require_same_measurement(false);
    guest.generations.keep_spare(true, true);
    guest.generations.drain();
    ASSERT_TRUE(guest.generations.spare().launched);
    Log first = guest.launched();
    guest.add_vcpu();
    guest.generations.drain();
    SpareStatus spare = guest.generations.spare();
    EXPECT_EQ(spare.state, SpareState::Ready);
    EXPECT_FALSE(spare.launched);
    ASSERT_TRUE(guest.reset());
    EXPECT_NE(guest.launched(), first) << "it is measured, too";
}

} /* namespace */
