/*
 * A guest is launched again on the memory slots of its first launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <functional>

#include "launched_guest.h"
#include "sysemu/kvm-reset.h"

using namespace kvm_reset;

namespace {

constexpr uint32_t ram = 1, flash = 2, bar = 5, top = FakeSlots::count - 1;

void reset(ConfidentialGuest &guest)
{
    guest.generations.drain();
    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
}

void run(ConfidentialGuest &guest)
{
    Result<void> done = guest.generations.before_run();
    ASSERT_TRUE(done) << done.error().what;
    guest.generations.drain();
}

/* Of the VM in use. */
size_t slots_set(const Guest &guest)
{
    return guest.ioctls(KVM_SET_USER_MEMORY_REGION).size() +
           guest.ioctls(KVM_SET_USER_MEMORY_REGION2).size();
}

std::vector<uint32_t> numbers(const Guest &guest)
{
    std::vector<uint32_t> numbers;

    for (const auto &[number, slot] : guest.kernel.slots(guest.vm)) {
        numbers.push_back(number);
    }
    return numbers;
}

using Numbers = std::vector<uint32_t>;

/* What the firmware launches into goes, and something else is there. */
void move_bar_over_firmware(ConfidentialGuest &guest)
{
    guest.delete_slot(flash);
    guest.slot(bar, guest.firmware_size, guest.firmware_gpa);
}

void put_firmware_back(ConfidentialGuest &guest, uint32_t number = flash)
{
    EXPECT_EQ(guest.delete_slot(bar), 0);
    EXPECT_EQ(guest.private_slot_of(guest.flash, number, guest.firmware_gpa,
                                    guest.firmware_size),
              0);
}

/* As a PC does that shadows its firmware in RAM. */
void split_ram(ConfidentialGuest &guest)
{
    EXPECT_EQ(guest.delete_slot(ram), 0);
    EXPECT_EQ(guest.private_slot_of(guest.ram, ram, 0, 0xc0000), 0);
    EXPECT_EQ(guest.slot(3, 0x40000, 0xc0000), 0);
    EXPECT_EQ(guest.private_slot_of(guest.ram, 4, 0x100000,
                                    guest.ram_size - 0x100000, 0x100000),
              0);
}

void merge_ram(ConfidentialGuest &guest)
{
    for (uint32_t number : {ram, 3u, 4u}) {
        EXPECT_EQ(guest.delete_slot(number), 0);
    }
    EXPECT_EQ(guest.private_slot_of(guest.ram, ram, 0, guest.ram_size), 0);
}

TEST(LaunchLayoutTest, ABarOverTheFirmwareDoesNotHinderTheNextLaunch)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        for (int i = 0; i < 3; i++) {
            move_bar_over_firmware(guest);
            reset(guest);
            put_firmware_back(guest);
            run(guest);
            EXPECT_EQ(guest.launched(), first);
            EXPECT_EQ(numbers(guest), (Numbers{top - 1, top}));
        }
    });
}

TEST(LaunchLayoutTest, NoSlotIsSetAfterTheLaunchIfDevicesPutAllBack)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        for (int i = 0; i < 3; i++) {
            split_ram(guest);
            reset(guest);
            size_t before = slots_set(guest);
            merge_ram(guest);
            run(guest);
            EXPECT_EQ(slots_set(guest), before);
            EXPECT_EQ(guest.launched(), first);
        }
    });
}

/* Also if they have other numbers then, or userspace sets them all again. */
TEST(LaunchLayoutTest, WhatUserspaceCallsAPrivateSlotMakesNoDifference)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        move_bar_over_firmware(guest);
        reset(guest);
        size_t before = slots_set(guest);
        put_firmware_back(guest, 9);
        EXPECT_EQ(guest.delete_slot(ram), 0);
        EXPECT_EQ(guest.private_slot_of(guest.ram, flash, 0, guest.ram_size),
                  0);
        run(guest);
        EXPECT_EQ(slots_set(guest), before);
        EXPECT_EQ(guest.launched(), first);

        EXPECT_EQ(guest.delete_slot(9), 0);
        EXPECT_EQ(numbers(guest), (Numbers{top})) << "the firmware's is gone";
        EXPECT_EQ(guest.delete_slot(ram), -EINVAL) << "there is none of it";
    });
}

TEST(LaunchLayoutTest, OnlyWhatDiffersIsDeletedAndThenAdded)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        EXPECT_EQ(guest.slot(7, 0x2000, 0x90000000), 0) << "after the launch";
        reset(guest);
        size_t before = slots_set(guest);
        EXPECT_EQ(guest.delete_slot(flash), 0);
        EXPECT_EQ(guest.slot(8, 0x1000, guest.firmware_gpa), 0);
        EXPECT_EQ(slots_set(guest), before);
        run(guest);
        EXPECT_EQ(numbers(guest), (Numbers{7, 8, top}));
        std::vector<IssuedIoctl> all = guest.ioctls();
        std::erase_if(all, [](const IssuedIoctl &issued) {
            return issued.request != KVM_SET_USER_MEMORY_REGION &&
                   issued.request != KVM_SET_USER_MEMORY_REGION2;
        });
        ASSERT_EQ(all.size(), before + 3);
        auto gone = all[before].as<kvm_userspace_memory_region2>();
        EXPECT_EQ(gone.slot, top - 1);
        EXPECT_EQ(gone.memory_size, 0u);
    });
}

TEST(LaunchLayoutTest, ASharedSlotThatIsLoggedNowIsSetAgain)
{
    Launched<SevGuest> guest(true);
    kvm_userspace_memory_region logged{
        .slot = 1,
        .flags = KVM_MEM_LOG_DIRTY_PAGES,
        .guest_phys_addr = guest.firmware_gpa,
        .memory_size = guest.firmware_size,
        .userspace_addr = uint64_t(guest.firmware)};
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION, logged), 0);
    reset(guest);
    EXPECT_EQ(guest.kernel.slots(guest.vm).at(1).region.flags, 0u);
    run(guest);
    EXPECT_EQ(guest.kernel.slots(guest.vm).at(1).region.flags,
              KVM_MEM_LOG_DIRTY_PAGES);
}

TEST(LaunchLayoutTest, ASharedSlotHasTheNumberThatUserspaceGaveItLast)
{
    Launched<SevGuest> guest(true);
    reset(guest);
    EXPECT_EQ(guest.slot(1, 0), 0);
    kvm_userspace_memory_region again{
        .slot = 4,
        .guest_phys_addr = guest.firmware_gpa,
        .memory_size = guest.firmware_size,
        .userspace_addr = uint64_t(guest.firmware)};
    EXPECT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION, again), 0);
    run(guest);
    EXPECT_EQ(numbers(guest), (Numbers{4}));
}

TEST(LaunchLayoutTest, ADeletedSlotIsTheOneThatUserspaceMeans)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        expect_reborn(guest);
        ASSERT_EQ(numbers(guest), (Numbers{top - 1, top}));
        EXPECT_EQ(guest.private_slot_of(guest.ram, ram, 0, 0x1000), -EINVAL)
            << "it cannot be changed, as ever";
        EXPECT_EQ(guest.delete_slot(flash), 0);
        EXPECT_EQ(numbers(guest), (Numbers{top}));
        EXPECT_EQ(guest.delete_slot(flash), -EINVAL);
        /* From here on it is one as any other. */
        EXPECT_EQ(guest.private_slot_of(guest.flash, flash, guest.firmware_gpa,
                                        guest.firmware_size),
                  0);
        EXPECT_EQ(numbers(guest), (Numbers{flash, top}));
        EXPECT_EQ(guest.delete_slot(flash), 0);
        EXPECT_EQ(guest.delete_slot(ram), 0);
        EXPECT_EQ(numbers(guest), Numbers());
    });
}

TEST(LaunchLayoutTest, ANumberThatIsOursIsNotUserspaces)
{
    Launched<SnpGuest> guest;
    expect_reborn(guest);
    EXPECT_EQ(guest.slot(top, 0x1000, 0x90000000), -ENOSPC);
    EXPECT_EQ(guest.delete_slot(top), -EINVAL);
    EXPECT_EQ(numbers(guest), (Numbers{top - 1, top}));
    EXPECT_EQ(guest.slot(top - 2, 0x1000, 0x90000000), 0);
}

/* Between the swap and that, which is when devices are reset. */
TEST(LaunchLayoutTest, NoSlotHasDirtyPagesBeforeTheGuestRuns)
{
    SevGuest guest(true);
    constexpr uint32_t get = KVM_GET_DIRTY_LOG, clear = KVM_CLEAR_DIRTY_LOG;
    uint8_t log[64] = {6};
    auto is_fast = [](uint32_t request) {
        return kvm_reset_passthrough[request & 0xff] == request;
    };

    kvm_userspace_memory_region logged{
        .slot = 6, .flags = KVM_MEM_LOG_DIRTY_PAGES, .memory_size = 0x1000};
    guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION, logged);
    guest.launch();
    bool was_fast = is_fast(get);
    EXPECT_EQ(guest.ioctl(guest.vm, get, log), 0);
    reset(guest);
    EXPECT_FALSE(is_fast(get));
    EXPECT_EQ(guest.ioctl(guest.vm, get, log), -ENOENT);
    EXPECT_EQ(guest.ioctl(guest.vm, clear, log), -ENOENT);
    EXPECT_TRUE(guest.ioctls(get).empty()) << "it may be another slot's";
    run(guest);
    EXPECT_EQ(is_fast(get), was_fast);
    EXPECT_EQ(guest.ioctl(guest.vm, get, log), 0);
    EXPECT_EQ(guest.ioctl(guest.vm, clear, log), 0);
}

TEST(LaunchLayoutTest, AMemoryModuleThatWasPluggedInIsThereAndPrivate)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        constexpr uint64_t gpa = 0x100000000, size = 0x200000;
        guest.private_slot(6, gpa, size);
        for (int i = 0; i < 2; i++) {
            expect_reborn(guest);
            EXPECT_EQ(numbers(guest), (Numbers{6, top - 1, top}));
            auto last = guest.ioctls(KVM_SET_MEMORY_ATTRIBUTES)
                            .back()
                            .as<kvm_memory_attributes>();
            EXPECT_EQ(last.address, gpa);
            EXPECT_EQ(last.size, size);
            EXPECT_EQ(last.attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
        }
    });
}

TEST(LaunchLayoutTest, AMemoryModuleThatWasPluggedOutIsNotThere)
{
    SnpGuest guest;
    int module = guest.private_slot(6, 0x100000000, 0x200000);
    guest.launch();
    Log first = guest.launched();
    EXPECT_EQ(guest.delete_slot(6), 0);
    expect_reborn(guest);
    EXPECT_EQ(numbers(guest), (Numbers{top - 1, top}));
    EXPECT_EQ(guest.recorder.close(module), 0);
    for (int i = 0; i < 2; i++) {
        expect_reborn(guest);
        EXPECT_EQ(numbers(guest), (Numbers{top - 1, top}));
        EXPECT_EQ(guest.launched(), first);
    }
}

TEST(LaunchLayoutTest, ALaunchedSpareNeedNotFollowSlots)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        Log first = guest.launched();
        guest.generations.keep_spare(true, true);
        for (int i = 0; i < 3; i++) {
            guest.generations.drain();
            ASSERT_TRUE(guest.generations.spare().launched);
            size_t built = guest.kernel.times(KVM_CREATE_VM);
            size_t set = guest.kernel.times(KVM_SET_USER_MEMORY_REGION2);
            move_bar_over_firmware(guest);
            guest.generations.drain();
            EXPECT_TRUE(guest.generations.spare().launched);
            EXPECT_EQ(guest.kernel.times(KVM_CREATE_VM), built);
            EXPECT_EQ(guest.kernel.times(KVM_SET_USER_MEMORY_REGION2), set + 1);
            Result<Durations> done = guest.reset();
            ASSERT_TRUE(done) << done.error().what;
            EXPECT_TRUE(done->spare);
            EXPECT_EQ(done->launch, 0u);
            put_firmware_back(guest);
            run(guest);
            EXPECT_EQ(guest.launched(), first);
        }
    });
}

TEST(LaunchLayoutTest, ASpareOfOldBecomesOneWithTheLayout)
{
    TdxGuest guest;
    guest.generations.keep_spare(true, true);
    guest.generations.drain();
    guest.launch();
    Log first = guest.launched();
    guest.generations.drain();
    ASSERT_TRUE(guest.generations.spare().launched);
    reset(guest);
    run(guest);
    EXPECT_EQ(numbers(guest), (Numbers{top - 1, top}));
    EXPECT_EQ(guest.launched(), first);
}

/* A hook on the new VM may set slots, too. */
TEST(LaunchLayoutTest, AnUndoneResetLeavesTheOldVmsSlots)
{
    with_each_private_kind([](ConfidentialGuest &guest) {
        bool fails = false;
        guest.registry.add({.name = "gives up",
                            .phases = {Phase::NewVm},
                            .run = [&](Phase) -> Result<void> {
                                if (fails) {
                                    guest.slot(8, 0x1000, 0x90000000);
                                    return fail(EIO, "no");
                                }
                                return {};
                            }});
        expect_reborn(guest);
        move_bar_over_firmware(guest);
        Log before = guest.launched();
        fails = true;
        EXPECT_FALSE(guest.reset());
        EXPECT_EQ(numbers(guest), (Numbers{bar, 8, top}));
        EXPECT_EQ(guest.launched(), before) << "nothing more was lost";
        EXPECT_EQ(guest.slot(7, 0x1000, 0xa0000000), 0);
        EXPECT_EQ(guest.delete_slot(8), 0);
        EXPECT_EQ(numbers(guest), (Numbers{bar, 7, top})) << "at once";
        EXPECT_EQ(guest.delete_slot(ram), 0);
        EXPECT_EQ(numbers(guest), (Numbers{bar, 7}));
        fails = false;
        reset(guest);
        run(guest);
        EXPECT_EQ(numbers(guest), (Numbers{bar, 7}));
    });
}

/* Fails one call after the other; whether the @nth was reached. */
bool fail_to_apply(unsigned nth, int code)
{
    Launched<TdxGuest> guest;
    Log first = guest.launched();
    move_bar_over_firmware(guest);
    guest.private_slot(6, 0x100000000, 0x200000);
    reset(guest);
    guest.kernel.fail(nth, code);
    Result<void> done = guest.generations.before_run();
    bool reached = guest.kernel.failed();
    guest.kernel.fail_nothing();
    if (!done) {
        EXPECT_EQ(done.error().code, code);
        EXPECT_TRUE(done.error().what.contains("guest memory"))
            << done.error().what;
        EXPECT_EQ(guest.delete_slot(77), 0) << "calls go on waiting";
    }
    reset(guest);
    put_firmware_back(guest);
    run(guest);
    EXPECT_EQ(numbers(guest), (Numbers{6, top - 1, top}));
    EXPECT_EQ(guest.launched(), first);
    return reached;
}

TEST(LaunchLayoutTest, AfterAFailureToApplyTheNextResetMendsAll)
{
    for (int code : {ENOMEM, EINVAL}) {
        unsigned nth = 1;
        while (fail_to_apply(nth, code)) {
            ASSERT_FALSE(HasFailure()) << "call " << nth;
            nth++;
        }
        EXPECT_GE(nth, 4u);
    }
}

TEST(LaunchLayoutTest, IsThatOfTheFirstLaunchIfTheOwnerLaunchesAgain)
{
    SevGuest guest(true);
    guest.launch_until_measured();
    guest.secret();
    guest.finish();
    guest.slot(8, 0x1000, 0x90000000);
    expect_reborn(guest);
    guest.secret();
    guest.finish();
    EXPECT_EQ(numbers(guest), (Numbers{1, 8}));
    reset(guest);
    EXPECT_EQ(numbers(guest), (Numbers{1})) << "before devices are reset";
    run(guest);
    EXPECT_EQ(numbers(guest), (Numbers{1, 8}));
}

TEST(LaunchLayoutTest, IsNothingToAnOrdinaryGuest)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    ASSERT_TRUE(guest.reset());
    ASSERT_EQ(numbers(guest), (Numbers{0, 1, 2, 9}));
    EXPECT_EQ(guest.slot(7, 0x1000, 0x90000000), 0);
    EXPECT_EQ(numbers(guest), (Numbers{0, 1, 2, 7, 9}));
    ASSERT_TRUE(guest.generations.before_run());
    EXPECT_EQ(numbers(guest), (Numbers{0, 1, 2, 7, 9}));
}

TEST(LaunchLayoutTest, WithoutANumberOfSlotsTheGuestIsNotRestartable)
{
    SnpGuest guest;
    guest.kernel.fail(KVM_CHECK_EXTENSION, 1, EIO);
    guest.launch();
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_TRUE(why->contains("KVM_CAP_NR_MEMSLOTS")) << *why;
}

} /* namespace */
