/*
 * A reset into another launch, that of an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "igvm_launched_guest.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t hob_at = 0x809000; /* of TdxGuest */

template <class T> using Real = TakesFiles<T>;

/* Their firmware ends at 4 GiB. */
template <class T> struct WholeFirmware : T {
    template <class... Args> explicit WholeFirmware(Args... args) : T(args...)
    {
        T::private_slot(3, T::firmware_gpa + T::firmware_size,
                        (uint64_t(1) << 32) - T::firmware_gpa -
                            T::firmware_size);
    }
};

struct Snp : WholeFirmware<SnpGuest> {
    /* Its vCPUs are as QEMU has them. */
    Snp() { reset_vcpus(*this); }
};

using Tdx = WholeFirmware<TdxGuest>;

/* A page of each kind that SEV-SNP has; @seed makes the file another one. */
IgvmWriter snp_writer(uint8_t seed = 5, unsigned vcpus = 2,
                      uint64_t policy = 0x30000)
{
    IgvmWriter writer = igvm_writer();

    writer.add(GuestPolicy{.policy = policy, .mask = snp_mask, .reserved = 0});
    writer.add(page_at(top_page, writer.data(page_of(seed)), snp_mask));
    writer.add(page_at(0x100000, 0, snp_mask));
    writer.add(page_at(0x101000, 0, snp_mask, Unmeasured));
    writer.add(page_at(0x102000, 0, snp_mask, 0, PageType::Secrets));
    writer.add(page_at(0x103000, 0, snp_mask, 0, PageType::Cpuid));
    for (unsigned i = 0; i < vcpus; i++) {
        writer.add(context_at(uint16_t(i),
                              writer.data(save_area(0x80b000 + seed * 16)),
                              snp_mask));
    }
    return writer;
}

Blob snp_file(uint8_t seed = 5)
{
    return snp_writer(seed).build();
}

IgvmWriter tdx_writer()
{
    IgvmWriter writer = igvm_writer();

    writer.add(page_at(top_page, writer.data(page_of(9)), tdx_mask));
    writer.add(page_at(0x100000, 0, tdx_mask));
    writer.add(page_at(hob_at, 0, tdx_mask, Unmeasured));
    return writer;
}

/* --- the launch ----------------------------------------------------------- */

TEST(OtherLaunchTest, AnSnpGuestIsLaunchedFromAFile)
{
    Real<Snp> guest;
    Log first = guest.launched();
    OtherLaunch other = guest.bring(snp_file());
    EXPECT_EQ(guest.launched(), first) << "not before its reset";

    expect_reborn(guest);
    Log now = guest.launched();
    EXPECT_NE(now, first);
    EXPECT_TRUE(has_line(now, "page type 1 at 0xfffff000"));
    EXPECT_TRUE(has_line(now, "page type 3 at 0x100000: 0"));
    EXPECT_TRUE(has_line(now, "page type 4 at 0x101000"));
    EXPECT_TRUE(has_line(now, "page type 5 at 0x102000"));
    EXPECT_TRUE(has_line(now, "page type 6 at 0x103000"));
    EXPECT_FALSE(has_line(now, "page type 1 at 0xfffc0000"));
    EXPECT_TRUE(has_line(now, "finish id 0")) << "the ID block was the first's";
    EXPECT_EQ(guest.measured(), other.measurement.digest);
    EXPECT_EQ(guest.measured(), owners_digest(snp_file(), Platform::SevSnp));
    EXPECT_NE(guest.measured(), guest.recorder.first_measurement()->digest);
    EXPECT_EQ(guest.recorder.launches().in_place()->source,
              LaunchSource::Guest);
}

TEST(OtherLaunchTest, ItsCpuidPageIsTheFirstLaunchs)
{
    Real<Snp> guest;
    auto line_of = [](const Log &log) {
        for (const std::string &line : log) {
            if (line.starts_with("page type 6")) {
                return line.substr(line.find(": "));
            }
        }
        return std::string();
    };
    std::string first = line_of(guest.launched());
    EXPECT_NE(first, "");
    guest.bring(snp_file());
    expect_reborn(guest);
    EXPECT_EQ(line_of(guest.launched()), first);
}

TEST(OtherLaunchTest, ForGoodIsUntilTheRecordedOneIsAskedFor)
{
    Real<Snp> guest;
    Log first = guest.launched();
    guest.bring(snp_file());
    expect_reborn(guest);
    Log other = guest.launched();
    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), other);
    }
    guest.recorder.choose_launch(LaunchSource::Guest, nullptr, false);
    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.measured(), guest.recorder.first_measurement()->digest);
    }
    EXPECT_FALSE(guest.recorder.launches().in_place());
}

TEST(OtherLaunchTest, OnceIsOnce)
{
    Real<Snp> guest;
    Log first = guest.launched();
    for (int i = 0; i < 3; i++) {
        guest.bring(snp_file(), true);
        expect_reborn(guest);
        EXPECT_NE(guest.launched(), first);
        EXPECT_TRUE(guest.recorder.launches().in_place());
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_FALSE(guest.recorder.launches().in_place());
    }
}

TEST(OtherLaunchTest, ATdIsLaunchedFromAFileWithItsOwnHob)
{
    Real<Tdx> guest;
    Log first = guest.launched();
    const Blob bytes = tdx_writer().build();
    guest.bring(bytes);
    expect_reborn(guest);
    Log now = guest.launched();
    EXPECT_TRUE(has_line(now, "page at 0xfffff000"));
    EXPECT_TRUE(has_line(now, "page at 0x100000"));
    auto hob = std::ranges::find_if(first, [](const std::string &line) {
        return line.starts_with("page at 0x809000");
    });
    ASSERT_NE(hob, first.end());
    EXPECT_TRUE(has_line(now, *hob));
    EXPECT_EQ(guest.measured(), owners_digest(bytes, Platform::Tdx));
    guest.recorder.choose_launch(LaunchSource::Guest, nullptr, false);
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

/* --- a spare -------------------------------------------------------------- */

/* A TD's launch changes nothing of what is defined before. */
template <class T> void bring_past_spare(const Blob &bytes, bool launched)
{
    Real<T> guest;
    Log first = guest.launched();
    guest.generations.keep_spare(true, launched);
    for (int i = 0; i < 2; i++) {
        guest.generations.drain();
        ASSERT_EQ(guest.generations.spare().launched, launched);
        OtherLaunch other = guest.bring(bytes, true);
        /* At once, before the spare follows; and when it has. */
        if (i) {
            guest.generations.drain();
        }
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        ASSERT_TRUE(guest.generations.before_run());
        EXPECT_EQ(guest.measured(), other.measurement.digest);
        EXPECT_NE(guest.launched(), first);
        guest.generations.drain();
        ASSERT_TRUE(guest.reset());
        ASSERT_TRUE(guest.generations.before_run());
        EXPECT_EQ(guest.launched(), first);
    }
}

TEST(OtherLaunchTest, ASpareThatWasLaunchedOtherwiseIsNotTaken)
{
    for (bool launched : {false, true}) {
        bring_past_spare<Snp>(snp_file(), launched);
        bring_past_spare<Tdx>(tdx_writer().build(), launched);
    }
}

/* --- failures ------------------------------------------------------------- */

TEST(OtherLaunchTest, WhatThePlatformDoesNotTakeIsFollowedByTheOldOne)
{
    Real<Snp> guest;
    Log first = guest.launched();
    guest.bring(snp_file());
    guest.kernel.not_ready.cpuid = 1;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
    EXPECT_TRUE(guest.generations.status().refused_launch.contains(
        "firmware error 0x16"))
        << guest.generations.status().refused_launch;
    EXPECT_EQ(guest.generations.status().aborted, 0u) << "the reset succeeded";
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

TEST(OtherLaunchTest, OneThatWasTakenBeforeIsTheOldOneThen)
{
    Real<Snp> guest;
    guest.bring(snp_file(5));
    expect_reborn(guest);
    Log proven = guest.launched();
    guest.bring(snp_file(6));
    guest.kernel.not_ready.cpuid = 1;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), proven);
    /* What was taken before and is not now is a failure, and stays. */
    guest.kernel.not_ready.cpuid = 1;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(guest.launched(), proven);
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), proven);
}

TEST(OtherLaunchTest, AHostThatHasNotEnoughIsNoReasonToGiveItUp)
{
    Real<Snp> guest;
    Log first = guest.launched();
    Holdings before = Holdings::of(guest);
    OtherLaunch other = guest.bring(snp_file());
    guest.kernel.fail(kvm_reset::abi::KVM_MEMORY_ENCRYPT_OP, 3, ENOMEM);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(Holdings::of(guest), before);
    EXPECT_EQ(guest.launched(), first);
    expect_reborn(guest);
    EXPECT_EQ(guest.measured(), other.measurement.digest);
}

/* Each call of the reset, one after the other. */
TEST(OtherLaunchTest, AnySingleFailureLeavesTheGuestWithAVm)
{
    for (int code : codes) {
        unsigned old_vm = 0, old_launch = 0, other_launch = 0;
        for (unsigned nth = 1;; nth++) {
            Real<Snp> guest;
            Log first = guest.launched();
            OtherLaunch other = guest.bring(snp_file());
            Holdings before = Holdings::of(guest);
            guest.kernel.fail(nth, code);
            Result<Durations> done = guest.reset();
            bool failed = guest.kernel.failed();
            if (!failed) {
                ASSERT_TRUE(done);
                break;
            }
            if (!done) {
                old_vm++;
                EXPECT_EQ(Holdings::of(guest), before) << nth;
                EXPECT_EQ(guest.launched(), first) << nth;
            } else if (guest.launched() == first) {
                old_launch++;
                EXPECT_NE(guest.generations.status().refused_launch, "");
            } else {
                other_launch++;
                EXPECT_EQ(guest.measured(), other.measurement.digest);
            }
            expect_reborn(guest);
            ASSERT_FALSE(testing::Test::HasFailure()) << nth << " " << code;
        }
        EXPECT_GT(old_vm, 5u) << code;
        if (code == EIO) {
            EXPECT_GT(old_launch, 0u);
        }
    }
}

TEST(OtherLaunchTest, AVcpuThatCameSinceIsNotLaunched)
{
    Real<Snp> guest;
    Log first = guest.launched();
    guest.bring(snp_file());
    guest.add_vcpu();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().what.contains("came after the guest was launched"))
        << done.error().what;
    EXPECT_EQ(guest.launched(), first);
    /* It is not the platform that did not take it. */
    EXPECT_TRUE(guest.recorder.launches().next());
    EXPECT_EQ(guest.generations.status().refused_launch, "");
}

/* --- what is next --------------------------------------------------------- */

OtherLaunchPtr numbered(uint64_t id)
{
    auto made = std::make_shared<OtherLaunch>();

    made->id = id;
    return made;
}

/* 0: the recorded one. */
uint64_t next_of(const LaunchChoice &choice)
{
    return choice.next() ? choice.next()->id : 0;
}

/* The next reset takes it, or the platform does not. */
uint64_t launched(LaunchChoice &choice)
{
    uint64_t id = next_of(choice);

    choice.launched();
    return id;
}

TEST(LaunchChoiceTest, WhatWasTakenBackDoesNotComeAgain)
{
    for (LaunchSource by : {LaunchSource::Guest, LaunchSource::Operator}) {
        LaunchChoice choice;
        choice.choose(by, numbered(1), false);
        choice.launched();
        choice.choose(by, nullptr, false);
        EXPECT_FALSE(choice.give_up());
        EXPECT_EQ(choice.next(), nullptr);
    }

    LaunchChoice choice;
    choice.choose(LaunchSource::Guest, numbered(1), false);
    choice.launched();
    choice.choose(LaunchSource::Guest, numbered(2), true);
    EXPECT_TRUE(choice.give_up());
    EXPECT_EQ(choice.next(), nullptr);
}

TEST(LaunchChoiceTest, TheHostsIsWhatTheOperatorBroughtForGood)
{
    LaunchChoice choice;
    choice.choose(LaunchSource::Operator, numbered(1), false);
    EXPECT_EQ(launched(choice), 1u);
    choice.choose(LaunchSource::Guest, numbered(2), true);
    EXPECT_EQ(launched(choice), 2u);
    EXPECT_EQ(launched(choice), 1u);
    choice.choose(LaunchSource::Guest, numbered(3), false);
    EXPECT_EQ(launched(choice), 3u);
    choice.choose(LaunchSource::Guest, nullptr, false);
    EXPECT_EQ(launched(choice), 1u);
    choice.choose(LaunchSource::Operator, nullptr, false);
    EXPECT_EQ(launched(choice), 0u);
}

TEST(LaunchChoiceTest, AnOperatorsOnceIsFollowedByWhatThereWas)
{
    LaunchChoice choice;
    choice.choose(LaunchSource::Guest, numbered(1), false);
    choice.choose(LaunchSource::Operator, numbered(2), true);
    EXPECT_TRUE(choice.once());
    EXPECT_EQ(launched(choice), 2u);
    EXPECT_EQ(launched(choice), 1u);
    EXPECT_EQ(launched(choice), 1u);
}

TEST(LaunchChoiceTest, AnOperatorsStandingChoiceTakesTheGuestsBack)
{
    for (bool back : {false, true}) {
        LaunchChoice choice;
        choice.choose(LaunchSource::Guest, numbered(1), false);
        choice.launched();
        choice.choose(LaunchSource::Operator, back ? nullptr : numbered(2),
                      false);
        EXPECT_EQ(launched(choice), back ? 0u : 2u);
        choice.choose(LaunchSource::Operator, nullptr, false);
        EXPECT_EQ(next_of(choice), 0u);
    }
}

TEST(LaunchChoiceTest, WhatThePlatformRefusesIsGivenUpOneAfterTheOther)
{
    LaunchChoice choice;
    choice.choose(LaunchSource::Operator, numbered(1), false);
    EXPECT_EQ(launched(choice), 1u);
    choice.choose(LaunchSource::Operator, numbered(2), false);
    choice.choose(LaunchSource::Guest, numbered(3), false);
    EXPECT_EQ(launched(choice), 3u);
    choice.choose(LaunchSource::Guest, numbered(4), false);
    choice.choose(LaunchSource::Operator, numbered(5), true);
    for (uint64_t left : {4, 3}) {
        EXPECT_TRUE(choice.give_up());
        EXPECT_EQ(next_of(choice), left);
    }
    /* That one was launched, so it is not its fault. */
    EXPECT_FALSE(choice.give_up());

    choice.choose(LaunchSource::Guest, nullptr, false);
    EXPECT_EQ(next_of(choice), 2u);
    EXPECT_TRUE(choice.give_up());
    EXPECT_EQ(next_of(choice), 1u);
    EXPECT_FALSE(choice.give_up());
}

/* --- files that are not for this guest ------------------------------------ */

TEST(OtherLaunchTest, AFileForAnotherGuestIsRefused)
{
    Real<Snp> guest;
    auto refused = [&](const IgvmWriter &writer, int code, const char *what,
                       const LaunchHost &host = {}) {
        expect_refused(guest.try_file(writer.build(), host), code, what);
    };

    IgvmWriter outside = snp_writer();
    outside.add(page_at(0x90000000, outside.data(page_of(1)), snp_mask));
    refused(outside, EINVAL, "0x90000000");

    /* RAM, as QEMU says, but none that was launched into. */
    LaunchHost more;
    more.ram = {{0, 0x90001000}};
    refused(outside, EINVAL, "no private memory", more);

    IgvmWriter shared = snp_writer();
    shared.add(page_at(0x200000, shared.data(page_of(1)), snp_mask, Shared));
    refused(shared, ENOTSUP, "shared pages at the address 0x200000");

    refused(snp_writer(5, 2, 0xb0000), EINVAL,
            "policy is 0xb0000, and this guest was started with 0x30000");
    EXPECT_TRUE(guest.try_file(snp_file()));

    refused(snp_writer(5, 1), EINVAL, "no VP context for vCPU 1");
    refused(snp_writer(5, 3), EINVAL, "vCPU 2");

    IgvmWriter feature = snp_writer(5, 0);
    for (uint16_t i = 0; i < 2; i++) {
        feature.add(context_at(i, feature.data(save_area(reset_vector, 0x21)),
                               snp_mask));
    }
    refused(feature, EINVAL, "of its save area");

    LaunchHost little;
    little.most_bytes = 0x3000;
    refused(snp_writer(), EFBIG, "raise kvm-reset-launch-memory", little);

    IgvmWriter many = snp_writer();
    for (uint64_t i = 0; i < 1100; i++) {
        many.add(page_at(0x1000000 + i * 0x2000, 0, snp_mask));
    }
    refused(many, EFBIG, "1024 separate regions");

    refused(tdx_writer(), EINVAL, "no page");
    expect_refused(guest.try_file(Blob{1, 2, 3}), EINVAL, "IGVM");
    EXPECT_FALSE(guest.recorder.launches().next());
}

TEST(OtherLaunchTest, ACpuidPageNeedsTheHostsFirmwareToHaveOne)
{
    struct Without : Snp {
        void launch()
        {
            update(firmware_gpa, firmware, sizeof(firmware), 1);
            finish();
        }
    };
    Real<Without> guest;
    expect_refused(guest.try_file(snp_file()), EINVAL, "CPUID pages");
}

TEST(OtherLaunchTest, ATdsHobHasToBeWhereItsVcpusLook)
{
    Real<Tdx> guest;
    IgvmWriter writer = igvm_writer();
    writer.add(page_at(top_page, writer.data(page_of(9)), tdx_mask));
    writer.add(page_at(0x900000, 0, tdx_mask, Unmeasured));
    expect_refused(guest.try_file(writer.build()), EINVAL, "this TD's HOB");
}

TEST(OtherLaunchTest, AGuestThatWasNotLaunchedYetHasNone)
{
    SnpGuest guest;
    guest.private_slot(3, 0xfffc4000, 0x3c000);
    reset_vcpus(guest);
    expect_refused(arch()->launch_of_igvm(
                       guest.kernel, guest.recorder.recorded(), snp_file(), {}),
                   EAGAIN, "not launched yet");
}

} /* namespace */
