/*
 * A launch that waits for the guest's owner
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "field_of.h"
#include "launch_abi.h"
#include "launched_guest.h"

using namespace kvm_reset;

namespace {

TEST(LaunchTest, ASecretIsNotKeptAndMustComeAgain)
{
    SevGuest guest(true);
    guest.launch_until_measured();
    guest.secret();
    guest.finish();
    Log first = guest.launched();
    LaunchPlan plan = guest.recorder.plan();
    for (const PlannedStep &planned : plan.steps()) {
        if (planned.step->command().effect == LaunchEffect::Secret) {
            EXPECT_TRUE(planned.step->argument().empty());
        }
    }

    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
        EXPECT_EQ(guest.recorder.plan().state(), LaunchState::Begun);
        Log part(first.begin(), first.end() - 2);
        EXPECT_EQ(guest.launched(), part);
        EXPECT_FALSE(guest.reset());

        EXPECT_EQ(guest.secret(), 0);
        EXPECT_EQ(guest.finish(), 0);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.recorder.plan().state(), LaunchState::Finished);
    }
}

TEST(LaunchTest, AGuestThatWasAttestedBeforeItRanWaitsEachTime)
{
    SevGuest guest(true);
    guest.launch_until_measured();
    guest.recorder.measurement_told();
    guest.finish();
    Log first = guest.launched();

    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
        EXPECT_EQ(guest.recorder.plan().state(), LaunchState::Begun);
        EXPECT_EQ(guest.launched(), Log(first.begin(), first.end() - 1));
        EXPECT_EQ(guest.finish(), 0);
        EXPECT_EQ(guest.launched(), first);
    }
}

TEST(LaunchTest, AMeasurementThatIsLookedAtWhileTheGuestRunsMakesNobodyWait)
{
    Launched<SevGuest> guest(true);
    guest.recorder.measurement_told();
    expect_reborn(guest);
    EXPECT_EQ(guest.recorder.plan().state(), LaunchState::Finished);
}

TEST(LaunchTest, TheAnswersOfTheNewPlatformAreKept)
{
    Launched<SevGuest> guest(false);
    expect_reborn(guest);
    const Answer *start = nullptr, *measure = nullptr;
    for (const Answer &answer : guest.generations.answers()) {
        std::string name = answer.name;
        start = name == "KVM_SEV_LAUNCH_START" ? &answer : start;
        measure = name == "KVM_SEV_LAUNCH_MEASURE" ? &answer : measure;
    }
    ASSERT_TRUE(start && measure);
    uint8_t key = measure->pointed[0].bytes()[0];
    EXPECT_NE(key, guest.measurement[0]);
    EXPECT_EQ(read_field(start->argument.bytes(),
                         field_of(&kvm_sev_launch_start::handle)),
              40u + key);
}

} /* namespace */
