/*
 * A confidential guest is launched again at a reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <fstream>

#include <gtest/gtest.h>

#include "confidential_guest.h"
#include "launch_commands.h"
#include "sysemu/kvm-reset.h"

using namespace kvm_reset;

namespace {

using Log = std::vector<std::string>;

void expect_reborn(Guest &guest)
{
    Result<Phases> done = guest.rebirth.run();
    ASSERT_TRUE(done) << done.error().what;
    guest.rebirth.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

/* --- Any of them ---------------------------------------------------------- */

template <class T> struct Launched : T {
    template <class... Args> explicit Launched(Args... args) : T(args...)
    {
        T::launch();
    }
};

template <class Test> void with_each_kind(Test test)
{
    {
        SCOPED_TRACE("SEV");
        Launched<SevGuest> guest(false);
        test(guest);
    }
    {
        SCOPED_TRACE("SEV-ES");
        Launched<SevGuest> guest(true);
        test(guest);
    }
    {
        SCOPED_TRACE("SEV-SNP");
        Launched<SnpGuest> guest;
        test(guest);
    }
    {
        SCOPED_TRACE("TDX");
        Launched<TdxGuest> guest;
        test(guest);
    }
}

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
        EXPECT_EQ(guest.rebirth.status().generation, 20u);
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
        if (guest.ioctls(uapi::set_regs).empty()) {
            return; /* a TDX guest's vCPUs have none from outside */
        }
        Log first = guest.launched();
        /* Plain SEV's are not locked, and what is set later is passing. */
        guest.regs(guest.vcpus[0], 99);
        size_t entries = guest.recorder.entries();
        guest.regs(guest.vcpus[0], 98);
        EXPECT_EQ(guest.recorder.entries(), entries);
        expect_reborn(guest);
        std::vector<IssuedIoctl> ioctls = guest.ioctls(uapi::set_regs);
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
    EXPECT_EQ(guest.ioctls(uapi::set_regs).size(), 2u);
    EXPECT_EQ(guest.launched(), first);
    /* Each MSR is an entry of its own. */
    EXPECT_EQ(guest.ioctls(uapi::set_msrs).size(), 2u);
}

TEST(LaunchTest, AnOrdinaryGuestsVcpuStateIsNotRecorded)
{
    Guest guest;
    int fd = guest.vcpu(0);
    size_t entries = guest.recorder.entries();
    uint8_t regs[144] = {};
    guest.ioctl(fd, uapi::set_regs, regs);
    EXPECT_EQ(guest.recorder.entries(), entries);
    EXPECT_EQ(kvm_reset_passthrough[uapi::set_regs & 0xff], uapi::set_regs);
}

TEST(LaunchTest, VcpuStateIsSeenOnlyUntilTheGuestIsLocked)
{
    uint32_t set_regs = uapi::set_regs;
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], set_regs);
    SnpGuest guest;
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], 0u);
    EXPECT_EQ(kvm_reset_passthrough[uapi::run & 0xff], uapi::run);
    guest.launch();
    EXPECT_EQ(kvm_reset_passthrough[set_regs & 0xff], set_regs);
}

TEST(LaunchTest, WhatTheGuestSharesIsForgotten)
{
    with_each_kind([](ConfidentialGuest &guest) {
        size_t before = guest.ioctls(uapi::set_memory_attributes).size();
        guest.attributes(0x100000, 0x1000, 0);
        guest.attributes(0x100000, 0x1000, 8);
        guest.attributes(0x200000, 0x1000, 0);
        expect_reborn(guest);
        EXPECT_LE(guest.ioctls(uapi::set_memory_attributes).size(), before);
        for (const IssuedIoctl &issued :
             guest.ioctls(uapi::set_memory_attributes)) {
            EXPECT_EQ(issued.bytes[16], 8);
        }
    });
}

TEST(LaunchTest, ASlotThatMovedSinceIsThereBeforeThePages)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.ioctl(guest.vm, uapi::set_user_memory_region2,
                uapi::Region2{.slot = 1});
    guest.private_slot(1, 0, 0x40000000);
    guest.slot(7, 0x1000, 0x90000000);
    expect_reborn(guest);
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, ASecondResetBeforeTheFirstLaunchEndsIsRefused)
{
    SnpGuest guest;
    Result<Phases> done = guest.rebirth.run();
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

/* --- Two VMs at once ------------------------------------------------------ */

TEST(LaunchTest, WithoutAFreeKeyTheGuestKeepsItsVm)
{
    Launched<SnpGuest> guest;
    Holdings before = Holdings::of(guest);
    guest.kernel.asids = 1;
    Result<Phases> done = guest.rebirth.run();
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
        Result<Phases> done = guest.rebirth.run();
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (!done) {
            ASSERT_EQ(Holdings::of(guest), before) << done.error().what;
            ASSERT_FALSE(guest.rebirth.status().lost);
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

/* What system calls fail with, and firmware. */
const int codes[] = {ENOMEM, EINTR, EAGAIN, EBUSY, EMFILE, ENOSPC, EIO};

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
    guest.rebirth.keep_spare(true);
    guest.rebirth.drain();
    ASSERT_EQ(guest.rebirth.spare().state, SpareState::Ready);
    Result<Phases> done = guest.rebirth.run();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(done->spare);
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, ASpareThatIsLaunchedAheadNeedsTheSwapAlone)
{
    Launched<SnpGuest> guest;
    Log first = guest.launched();
    guest.rebirth.keep_spare(true, true);
    for (int i = 0; i < 3; i++) {
        guest.rebirth.drain();
        ASSERT_TRUE(guest.rebirth.spare().launched);
        guest.slot(5 + i, 0x1000, 0x90000000 + i * 0x1000);
        guest.rebirth.drain();
        ASSERT_TRUE(guest.rebirth.spare().launched);
        Result<Phases> done = guest.rebirth.run();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_TRUE(done->spare);
        EXPECT_EQ(done->launch, 0u);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.rebirth.status().measurement,
                  guest.recorder.first_measurement());
    }
}

TEST(LaunchTest, ASpareThatWasThereFirstIsLaunchedWhenTheGuestIs)
{
    SnpGuest guest;
    guest.rebirth.keep_spare(true, true);
    guest.rebirth.drain();
    EXPECT_FALSE(guest.rebirth.spare().launched);
    guest.launch();
    guest.rebirth.drain();
    EXPECT_TRUE(guest.rebirth.spare().launched);
    Log first = guest.launched();
    Result<Phases> done = guest.rebirth.run();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, WhatIsEncryptedInPlaceIsNeverLaunchedAhead)
{
    Launched<SevGuest> guest(true);
    guest.rebirth.keep_spare(true, true);
    guest.rebirth.drain();
    EXPECT_EQ(guest.rebirth.spare().state, SpareState::Ready);
    EXPECT_FALSE(guest.rebirth.spare().launched);
    Log first = guest.launched();
    ASSERT_TRUE(guest.rebirth.run());
    EXPECT_EQ(guest.launched(), first);
}

TEST(LaunchTest, WithoutAFreeKeyForASpareTheResetIsTriedWithoutIt)
{
    Launched<SnpGuest> guest;
    guest.kernel.asids = 1;
    guest.rebirth.keep_spare(true, true);
    guest.rebirth.drain();
    EXPECT_EQ(guest.rebirth.spare().state, SpareState::Failed);
    guest.kernel.asids = 2;
    Result<Phases> done = guest.rebirth.run();
    EXPECT_TRUE(done) << done.error().what;
}

/* --- One VM at a time ----------------------------------------------------- */

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
        if (request == uapi::memory_encrypt_op) {
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
    Result<Phases> done = guest.rebirth.run();
    ASSERT_FALSE(done);
    EXPECT_TRUE(guest.rebirth.status().lost);
    EXPECT_TRUE(done.error().what.contains("KVM_SEV_LAUNCH_UPDATE_DATA"));
    EXPECT_TRUE(done.error().what.contains("old VM had to go"))
        << done.error().what;
    /* Still lost after one that failed before that point. */
    guest.kernel.fail(FakeKernel::Call::Open, 1, EMFILE);
    EXPECT_FALSE(guest.rebirth.run());
    EXPECT_TRUE(guest.rebirth.status().lost);
    expect_reborn(guest);
    EXPECT_FALSE(guest.rebirth.status().lost);
    EXPECT_EQ(guest.launched(), first);
}

/* Whether the @nth call was reached. */
static bool fail_in_place(unsigned nth, int code)
{
    Launched<SevGuest> guest(true);
    Log first = guest.launched();
    Holdings before = Holdings::of(guest);
    guest.kernel.fail(nth, code);
    Result<Phases> done = guest.rebirth.run();
    bool reached = guest.kernel.failed();
    guest.kernel.fail_nothing();
    if (!done && !guest.rebirth.status().lost) {
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

/* --- The owner's secret --------------------------------------------------- */

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
        EXPECT_FALSE(guest.rebirth.run());

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
    const LaunchAnswer *start = nullptr, *measure = nullptr;
    for (const LaunchAnswer &answer : guest.rebirth.answers()) {
        std::string name = answer.command->name;
        start = name == "KVM_SEV_LAUNCH_START" ? &answer : start;
        measure = name == "KVM_SEV_LAUNCH_MEASURE" ? &answer : measure;
    }
    ASSERT_TRUE(start && measure);
    uint8_t key = measure->pointed[0].bytes()[0];
    EXPECT_NE(key, guest.measurement[0]);
    EXPECT_EQ(read_field(start->argument.bytes(), {0, 4}), 40u + key);
}

/* --- Memory --------------------------------------------------------------- */

TEST(SecretMemoryTest, IsInNoCoreDump)
{
    SecretMemory memory = SecretMemory::make(10000);
    ASSERT_TRUE(memory);
    std::string wanted = format("%lx-", (unsigned long)memory.data());
    std::ifstream maps("/proc/self/smaps");
    std::string line;
    bool inside = false, found = false;
    while (std::getline(maps, line)) {
        if (line.starts_with(wanted)) {
            inside = true;
        } else if (inside && line.starts_with("VmFlags:")) {
            EXPECT_TRUE(line.contains(" dd")) << line;
            EXPECT_TRUE(line.contains(" dc")) << line;
            found = true;
            break;
        }
    }
    EXPECT_TRUE(found);
}

TEST(SecretMemoryTest, IsWipedWhereItIsCutOff)
{
    SecretMemory memory = SecretMemory::make(3000);
    memset(memory.data(), 0xaa, 3000);
    const volatile uint8_t *rest = memory.data() + 1000;
    memory.shorten(1000);
    EXPECT_EQ(memory.size(), 1000u);
    EXPECT_EQ(memory.bytes()[999], 0xaa);
    EXPECT_EQ(rest[0], 0);
    EXPECT_EQ(rest[1999], 0);
}

TEST(LaunchCommandTest, NumbersAreUniqueAndForeignOnesSayWhy)
{
    for (auto commands : {sev_commands(), tdx_commands()}) {
        std::set<std::pair<FdClass, uint32_t>> seen;
        for (const LaunchCommand &command : commands) {
            EXPECT_TRUE(seen.insert({command.on, command.id}).second)
                << command.name;
            EXPECT_TRUE(command.effect != LaunchEffect::Foreign || command.note)
                << command.name;
            for (const LaunchPointer &pointer : command.pointers) {
                EXPECT_LE(pointer.offset + (pointer.unit ? 8 : 0), command.size)
                    << command.name;
            }
        }
    }
    EXPECT_STREQ(x86_launch_command(4, FdClass::Vm, 100)->name,
                 "KVM_SEV_SNP_LAUNCH_START");
    EXPECT_STREQ(x86_launch_command(5, FdClass::Vcpu, 3)->name,
                 "KVM_TDX_INIT_MEM_REGION");
    EXPECT_EQ(x86_launch_command(5, FdClass::Vm, 3), nullptr);
    EXPECT_EQ(x86_launch_command(4, FdClass::Vm, 99), nullptr);
}

} /* namespace */
