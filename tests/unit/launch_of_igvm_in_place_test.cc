/*
 * A reset into the launch of an IGVM file, in the memory that the old VM leaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstring>

#include "igvm_launched_guest.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t ram_at = 0x100000, more_ram_at = 0x108000;
constexpr uint64_t rom_at = 0xf0000;
constexpr size_t part = 0x8000;

/* QEMU's firmware is read-only, and shows below 1 MiB as well. */
template <bool is_es> struct Sev : SevGuest {
    alignas(4096) uint8_t top[0x3c000] = {};
    alignas(4096) uint8_t more_ram[part] = {};
    alignas(4096) uint8_t ram_bytes[part] = {};

    explicit Sev(bool typed = true) : SevGuest(is_es, typed)
    {
        memory(2, firmware_gpa + firmware_size, top, sizeof top,
               KVM_MEM_READONLY);
        memory(3, ram_at, ram_bytes, part);
        memory(4, more_ram_at, more_ram, part);
        memory(5, rom_at, top, 0x10000, KVM_MEM_READONLY);
        reset_vcpus(*this);
    }

    /* What is in memory at @bytes, as the guest reads it that has the key. */
    Blob seen(const uint8_t *bytes, size_t size, uint8_t key = 0)
    {
        Blob seen(bytes, bytes + size);
        for (uint8_t &byte : seen) {
            byte ^= key;
        }
        return seen;
    }
    uint8_t *last_page() { return top + sizeof top - 4096; }
};

constexpr uint32_t mask_of(bool es)
{
    return es ? sev_es_mask : sev_mask;
}

/* A page of firmware, and two of zeros where one slot follows another. */
IgvmWriter sev_writer(bool es, uint8_t seed = 5, uint64_t policy = 0,
                      bool fpu = true)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t mask = mask_of(es);

    if (policy) {
        writer.add(GuestPolicy{.policy = policy, .mask = mask, .reserved = 0});
    }
    writer.add(page_at(top_page, writer.data(page_of(seed)), mask));
    for (uint64_t gpa : {more_ram_at - 4096, more_ram_at}) {
        writer.add(page_at(gpa, 0, mask));
    }
    for (uint16_t i = 0; es && i < 2; i++) {
        writer.add(context_at(
            i, writer.data(save_area(0x80b000 + seed * 16, 0, fpu)), mask));
    }
    return writer;
}

template <bool es> void expect_launched_from_file()
{
    TakesFiles<Sev<es>> guest;
    const Log first = guest.launched();
    const Blob bytes = sev_writer(es).build();
    memset(guest.ram_bytes, 0x77, part);
    memset(guest.more_ram, 0x77, part);
    const OtherLaunch other = guest.bring(bytes);
    EXPECT_EQ(guest.launched(), first) << "not before its reset";

    for (int i = 0; i < 3; i++) {
        expect_reborn(guest);
        EXPECT_NE(guest.launched(), first);
        const uint8_t key = guest.last_page()[0] ^ page_of(5)[0];
        EXPECT_NE(key, 0);
        EXPECT_EQ(guest.seen(guest.last_page(), 4096, key), page_of(5));
        EXPECT_EQ(guest.seen(guest.ram_bytes + part - 4096, 4096, key),
                  Blob(4096));
        EXPECT_EQ(guest.seen(guest.more_ram, 4096, key), Blob(4096));
        EXPECT_EQ(guest.more_ram[4096], 0x77) << "of no page in the file";
        EXPECT_TRUE(has_line(guest.launched(), "finish"));
        EXPECT_EQ(guest.measured(), other.measurement.digest);
        EXPECT_EQ(guest.measured(),
                  owners_digest(bytes, es ? Platform::SevEs : Platform::Sev));
    }
    guest.recorder.choose_launch(LaunchSource::Guest, nullptr, false);
    for (int i = 0; i < 2; i++) {
        expect_reborn(guest);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.measured(), guest.recorder.first_measurement()->digest);
    }
}

TEST(OtherLaunchInPlaceTest, AGuestIsLaunchedFromAFile)
{
    expect_launched_from_file<false>();
    expect_launched_from_file<true>();
}

TEST(OtherLaunchInPlaceTest, WhatIsNotEncryptedIsWritten)
{
    TakesFiles<Sev<true>> guest;
    IgvmWriter writer = sev_writer(true);
    writer.add(page_at(ram_at, writer.data(page_of(8)), sev_es_mask, Shared));
    writer.add(page_at(ram_at + 4096, writer.data(page_of(9)), sev_es_mask,
                       Unmeasured));
    const OtherLaunch other = guest.bring(writer.build());
    expect_reborn(guest);
    EXPECT_EQ(guest.seen(guest.ram_bytes, 4096), page_of(8));
    EXPECT_EQ(guest.seen(guest.ram_bytes + 4096, 4096), page_of(9));
    EXPECT_EQ(guest.measured(), other.measurement.digest);
    EXPECT_EQ(guest.measured(),
              owners_digest(sev_writer(true).build(), Platform::SevEs))
        << "the firmware does not hear of them";
}

/* It computes the measurement before it is needed. */
TEST(OtherLaunchInPlaceTest, ASpareThatWasMeasuredOtherwiseIsMeasuredAgain)
{
    for (bool late : {false, true}) {
        TakesFiles<Sev<true>> guest;
        guest.generations.keep_spare(true, false);
        guest.generations.drain();
        const OtherLaunch other = guest.bring(sev_writer(true).build(), true);
        if (late) {
            guest.generations.drain();
        }
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        ASSERT_TRUE(guest.generations.before_run());
        EXPECT_EQ(guest.measured(), other.measurement.digest);
        guest.generations.drain();
        ASSERT_TRUE(guest.reset());
        EXPECT_EQ(guest.measured(), guest.recorder.first_measurement()->digest);
    }
}

/* --- failures ------------------------------------------------------------- */

/* As QEMU does: again, when the old VM is down. */
Result<Durations> reset_to_its_end(Guest &guest)
{
    while (true) {
        Result<Durations> done = guest.reset();
        if (done || !done.error().waits) {
            return done;
        }
        guest.generations.drain();
    }
}

TEST(OtherLaunchInPlaceTest, WhatThePlatformDoesNotTakeIsFollowedByTheOldOne)
{
    TakesFiles<Sev<true>> guest;
    const Log first = guest.launched();
    guest.bring(sev_writer(true).build());
    /* KVM_SEV_ES_INIT, LAUNCH_START, then the first page. */
    guest.kernel.fail(KVM_MEMORY_ENCRYPT_OP, 3, EIO);
    Result<Durations> done = reset_to_its_end(guest);
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(guest.kernel.failed());
    EXPECT_EQ(guest.launched(), first);
    EXPECT_FALSE(guest.generations.status().lost);
    EXPECT_TRUE(guest.generations.status().refused_launch.contains(
        "KVM_SEV_LAUNCH_UPDATE_DATA"))
        << guest.generations.status().refused_launch;
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

/* … and then something else fails, with the old VM still in place for it. */
TEST(OtherLaunchInPlaceTest, ALostGuestIsLostUntilItHasAVm)
{
    TakesFiles<Sev<true>> guest;
    const Log first = guest.launched();
    guest.bring(sev_writer(true).build());
    bool refused = false;
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        if (guest.kernel.failed() && !std::exchange(refused, true)) {
            guest.kernel.fail_nothing();
        }
        if (refused && request == KVM_CREATE_VM) {
            guest.kernel.fail(KVM_CREATE_VM, 1, EMFILE);
        }
    };
    guest.kernel.fail(KVM_MEMORY_ENCRYPT_OP, 3, EIO);
    Result<Durations> done = reset_to_its_end(guest);
    guest.kernel.before_ioctl = nullptr;
    guest.kernel.fail_nothing();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().what.contains("KVM_CREATE_VM"))
        << done.error().what;
    EXPECT_TRUE(guest.generations.status().lost);
    expect_reborn(guest);
    EXPECT_FALSE(guest.generations.status().lost);
    EXPECT_EQ(guest.launched(), first);
}

TEST(OtherLaunchInPlaceTest, AnySingleFailureLeavesTheGuestWithAVm)
{
    for (int code : codes) {
        unsigned old_vm = 0, lost = 0, old_launch = 0;
        for (unsigned nth = 1;; nth++) {
            TakesFiles<Sev<true>> guest;
            const Log first = guest.launched();
            const OtherLaunch other = guest.bring(sev_writer(true).build());
            const Holdings before = Holdings::of(guest);
            guest.kernel.fail(nth, code);
            Result<Durations> done = reset_to_its_end(guest);
            if (!guest.kernel.failed()) {
                ASSERT_TRUE(done);
                break;
            }
            guest.kernel.fail_nothing();
            if (done) {
                old_launch += guest.launched() == first;
            } else if (guest.generations.status().lost) {
                lost++;
            } else {
                old_vm++;
                EXPECT_EQ(Holdings::of(guest), before) << nth;
                EXPECT_EQ(guest.launched(), first) << nth;
            }
            expect_reborn(guest);
            EXPECT_FALSE(guest.generations.status().lost);
            EXPECT_TRUE(guest.launched() == first ||
                        guest.measured() == other.measurement.digest);
            ASSERT_FALSE(testing::Test::HasFailure()) << nth << " " << code;
        }
        EXPECT_GT(old_vm, 3u) << code;
        if (code == EIO) {
            EXPECT_GT(old_launch, 0u);
        }
        if (code == ENOMEM) {
            EXPECT_GT(lost, 0u);
        }
    }
}

/* --- files that are not for this guest ------------------------------------ */

TEST(OtherLaunchInPlaceTest, AFileForAnotherGuestIsRefused)
{
    TakesFiles<Sev<true>> es;
    TakesFiles<Sev<false>> sev;
    LaunchHost host;
    host.ram = {{0, 0x90000000}};

    IgvmWriter outside = sev_writer(true);
    outside.add(page_at(0x200000, 0, sev_es_mask));
    expect_refused(es.try_file(outside.build(), host), EINVAL,
                   "no memory to be encrypted");

    IgvmWriter alias = sev_writer(true);
    alias.add(page_at(rom_at, 0, sev_es_mask));
    expect_refused(es.try_file(alias.build(), host), EINVAL,
                   "no memory to be encrypted");

    for (bool is_es : {false, true}) {
        auto refused = [&](auto &guest) {
            expect_refused(guest.try_file(sev_writer(is_es, 5, 7).build()),
                           EINVAL, "started with 0x5 (sev-guest,policy=)");
            EXPECT_TRUE(guest.try_file(sev_writer(is_es, 5, 5).build()));
        };
        is_es ? refused(es) : refused(sev);
    }

    /* With KVM_SEV_ES_INIT the FPU is not in what is measured. */
    TakesFiles<Sev<true>> before(false);
    expect_refused(before.try_file(sev_writer(true).build()), EINVAL,
                   "would have 0x00 at 0x408 of its save area");
    EXPECT_TRUE(before.try_file(sev_writer(true, 5, 0, false).build()));
    expect_refused(es.try_file(sev_writer(true, 5, 0, false).build()), EINVAL,
                   "would have 0x80 at 0x408 of its save area");

    IgvmWriter registers = sev_writer(false);
    registers.add(
        context_at(0, registers.data(save_area(reset_vector, 0)), sev_mask));
    expect_refused(sev.try_file(registers.build()), ENOTSUP,
                   "gives such a guest no registers");

    /* Each is for the one that it is. */
    expect_refused(es.try_file(sev_writer(false).build()), EINVAL, "no page");
    expect_refused(sev.try_file(sev_writer(true).build()), EINVAL, "no page");
}

TEST(OtherLaunchInPlaceTest, AnOwnerWhoHasASayKeepsIt)
{
    TakesFiles<Sev<true>> guest;
    ASSERT_TRUE(guest.try_file(sev_writer(true).build()));

    struct Secret : Sev<true> {
        void launch()
        {
            launch_until_measured();
            secret();
            finish();
        }
    };
    TakesFiles<Secret> with;
    expect_refused(with.try_file(sev_writer(true).build()), ENOTSUP,
                   "has a say before it runs");
}

} /* namespace */
