/*
 * A host that has not enough for a second VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <atomic>
#include <cerrno>

#include "launched_guest.h"

using namespace kvm_reset;

namespace {

/* With one key: whoever has it must give it up for the next. */
template <class T> struct OnFullHost : Launched<T> {
    template <class... Args>
    explicit OnFullHost(Args... args) : Launched<T>(args...)
    {
        T::kernel.asids = 1;
        T::generations.make_room_when_full(true);
    }

    /* Takes the old VM down, and does not ask for the next one yet. */
    void make_room()
    {
        Result<Durations> done = T::reset();
        ASSERT_FALSE(done);
        ASSERT_TRUE(done.error().waits) << done.error().what;
        T::generations.drain();
        ASSERT_EQ(T::generations.presence(), Presence::MadeRoom);
    }

    /* As who asks again whenever something has gone. */
    Result<Durations> reset_in_the_end()
    {
        Result<Durations> done = T::reset();
        for (int i = 0; !done && done.error().waits && i < 1000; i++) {
            T::generations.drain();
            done = T::reset();
        }
        return done;
    }
};

template <class Guest> void expect_room_is_made(Guest &&guest)
{
    Log first = guest.launched();
    Holdings before = Holdings::of(guest);

    for (uint64_t i = 1; i <= 3; i++) {
        guest.make_room();
        EXPECT_EQ(guest.kernel.vms(), 0u);
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        guest.generations.drain();
        EXPECT_EQ(guest.generations.presence(), Presence::Present);
        EXPECT_EQ(guest.launched(), first);
        EXPECT_EQ(guest.generations.status().generation, i);
        EXPECT_EQ(guest.generations.status().aborted, 0u);
        Holdings after = Holdings::of(guest);
        EXPECT_EQ(after.irqfds, before.irqfds);
        EXPECT_EQ(after.vms, 1u);
        EXPECT_EQ(after.fds.size(), before.fds.size());
    }
}

TEST(FullHostTest, AnSnpGuestsOldVmGoesFirst)
{
    OnFullHost<SnpGuest> guest;
    guest.irqfd(guest.kernel.eventfd(), 5);
    expect_room_is_made(guest);
}

TEST(FullHostTest, ATdxGuestsOldVmGoesFirst)
{
    expect_room_is_made(OnFullHost<TdxGuest>());
}

TEST(FullHostTest, AnSevEsGuestsOldVmGoesFirst)
{
    expect_room_is_made(OnFullHost<SevGuest>(true));
}

TEST(FullHostTest, ItIsSaidWhatThereIsNotEnoughOf)
{
    OnFullHost<SnpGuest> guest;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().what.contains("KVM_SEV_INIT2"))
        << done.error().what;
    EXPECT_TRUE(done.error().what.contains("not enough for a second VM"))
        << done.error().what;
    EXPECT_FALSE(guest.generations.status().lost);
}

/* No ASID; no key id; no memory. */
TEST(FullHostTest, EachWordForItIsUnderstood)
{
    for (int code : {EBUSY, ENOSPC, ENOMEM}) {
        Launched<SnpGuest> guest;
        guest.generations.make_room_when_full(true);
        guest.kernel.fail(KVM_MEMORY_ENCRYPT_OP, 1, code);
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_TRUE(done.error().waits) << done.error().what;
        EXPECT_EQ(guest.generations.presence(), Presence::MadeRoom);
        guest.generations.drain();
        done = guest.reset();
        EXPECT_TRUE(done) << done.error().what;
    }
}

TEST(FullHostTest, AnOrdinaryGuestsVmIsNotTakenDownFirst)
{
    Guest guest;
    guest.generations.make_room_when_full(true);
    guest.kernel.fail(KVM_CREATE_VM, 1, ENOMEM);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_FALSE(done.error().waits);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

/* Such an error says nothing of room. */
TEST(FullHostTest, AnotherFailureLeavesTheGuestOnItsVm)
{
    Launched<SnpGuest> guest;
    guest.generations.make_room_when_full(true);
    Holdings before = Holdings::of(guest);
    guest.kernel.fail(KVM_CREATE_VM, 1, EIO);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_FALSE(done.error().waits);
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST(FullHostTest, WhatDefinesTheGuestIsRecordedWithoutAVm)
{
    OnFullHost<SnpGuest> guest;
    guest.make_room();
    int eventfd = guest.kernel.eventfd();
    EXPECT_EQ(guest.irqfd(eventfd, 9), 0);
    EXPECT_EQ(guest.slot(7, 0x1000, 0x90000000), 0);
    EXPECT_LT(guest.ioctl(guest.vcpus[0], KVM_RUN), 0);
    ASSERT_TRUE(guest.reset());
    ASSERT_TRUE(guest.generations.before_run());
    EXPECT_EQ(guest.kernel.irqfds(guest.vm).size(), 1u);
    EXPECT_EQ(guest.ioctls(KVM_SET_USER_MEMORY_REGION).size(), 1u);
}

TEST(FullHostTest, InterruptsOfTheOldGuestAreForgotten)
{
    OnFullHost<SnpGuest> guest;
    guest.make_room();
    EXPECT_EQ(guest.ioctl(guest.vm, KVM_IRQ_LINE,
                          kvm_irq_level{.irq = 4, .level = 1}),
              0);
    ASSERT_TRUE(guest.reset());
    EXPECT_TRUE(guest.ioctls(KVM_IRQ_LINE).empty());
}

/* As with -run-with user=: the fd that is open must do. */
TEST(FullHostTest, TheDeviceIsKeptThatNobodyCanOpenAgain)
{
    OnFullHost<SnpGuest> guest;
    guest.kernel.device_fails = EACCES;
    guest.make_room();
    EXPECT_EQ(guest.kernel.describe(guest.kvm), "/dev/kvm");
    EXPECT_EQ(guest.kernel.describe(guest.vm), "anon_inode:[eventfd]");
    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
}

TEST(FullHostTest, NothingElseIsDoneWithAGuestThatHasNoVm)
{
    OnFullHost<SnpGuest> guest;
    guest.make_room();
    Result<void> done = guest.preserve.prepare();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().what.contains("no VM before it is reset"))
        << done.error().what;
    EXPECT_FALSE(guest.detach.may_detach(false));
    EXPECT_FALSE(guest.generations.detached());
    EXPECT_TRUE(guest.reset());
}

TEST(FullHostTest, IfAnotherGuestTakesTheKeyItIsTriedForAWhile)
{
    OnFullHost<SnpGuest> guest;
    Log first = guest.launched();
    guest.make_room();
    guest.kernel.asids = 0;
    for (int i = 0; i < 3; i++) {
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_TRUE(done.error().waits) << done.error().what;
    }
    guest.kernel.asids = 1;
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.launched(), first);
}

TEST(FullHostTest, AndThenTheGuestIsLostUntilItIsResetAgain)
{
    OnFullHost<SnpGuest> guest;
    Log first = guest.launched();
    guest.make_room();
    guest.kernel.asids = 0;
    for (int i = 0; i < 2; i++) {
        Result<Durations> done = guest.reset_in_the_end();
        ASSERT_FALSE(done);
        EXPECT_FALSE(done.error().waits);
        EXPECT_TRUE(done.error().what.contains("the guest has none"))
            << done.error().what;
        EXPECT_TRUE(guest.generations.status().lost);
    }
    guest.kernel.asids = 1;
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.launched(), first);
    EXPECT_FALSE(guest.generations.status().lost);
}

/* For another reason than the host's, and yet it has none. */
TEST(FullHostTest, AGuestWithoutAVmThatMayNotBeBuiltAgainIsLost)
{
    OnFullHost<SnpGuest> guest;
    guest.make_room();
    guest.recorder.block("somebody does not want it");
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(guest.generations.status().lost);
}

TEST(FullHostTest, AResetThatIsWaitedForNoLongerHasFailed)
{
    OnFullHost<SnpGuest> guest;
    give_up_reset(guest.generations, "the old VM does not go");
    EXPECT_EQ(guest.generations.status().aborted, 1u);
    EXPECT_EQ(guest.generations.status().last_error, "the old VM does not go");
    EXPECT_FALSE(guest.generations.status().lost);
    guest.make_room();
    give_up_reset(guest.generations, "the old VM does not go");
    EXPECT_TRUE(guest.generations.status().lost);
    ASSERT_TRUE(guest.reset());
    EXPECT_FALSE(guest.generations.status().lost);
}

/* No slot is set where there is no VM, which would be told as a failure. */
TEST(FullHostTest, AHookThatFailsOnTheWayBackIsAllThatIsTold)
{
    OnFullHost<SnpGuest> guest;
    bool fails = true;
    guest.registry.add({.name = "planted",
                        .phases = {Phase::NewVm},
                        .run = [&](Phase) -> Result<void> {
                            if (fails) {
                                return fail(EIO, "its card is on fire");
                            }
                            return {};
                        }});
    guest.make_room();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_FALSE(done.error().what.contains("KVM_")) << done.error().what;
    fails = false;
    EXPECT_TRUE(guest.reset());
}

/* Each call of both halves fails once, with an error that is not of room. */
template <class Guest> void sweep()
{
    unsigned nth = 1, lost = 0;
    bool reached = true;

    for (; reached; nth++) {
        Guest guest;
        Log first = guest.launched();
        guest.kernel.fail(nth, EIO);
        Result<Durations> done = guest.reset_in_the_end();
        reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        lost += guest.generations.status().lost;
        done = guest.reset_in_the_end();
        ASSERT_TRUE(done) << done.error().what << ", call " << nth;
        guest.generations.drain();
        ASSERT_EQ(guest.launched(), first) << "call " << nth;
        ASSERT_EQ(guest.kernel.vms(), 1u);
    }
    EXPECT_GT(nth, 30u);
    EXPECT_GT(lost, 10u);
}

TEST(FullHostTest, AfterAnySingleFailureAnSnpGuestMayBeResetAgain)
{
    sweep<OnFullHost<SnpGuest>>();
}

TEST(FullHostTest, AfterAnySingleFailureATdxGuestMayBeResetAgain)
{
    sweep<OnFullHost<TdxGuest>>();
}

struct SevEsOnFullHost : OnFullHost<SevGuest> {
    SevEsOnFullHost() : OnFullHost<SevGuest>(true) {}
};

TEST(FullHostTest, AfterAnySingleFailureAnSevEsGuestMayBeResetAgain)
{
    sweep<SevEsOnFullHost>();
}

/* --- An old VM that is slow to go ----------------------------------------- */

TEST(OldVmTest, AConfidentialGuestsNextResetWaitsForIt)
{
    Launched<SnpGuest> guest;
    std::atomic<bool> may_close = false;
    ASSERT_TRUE(guest.reset());
    guest.kernel.before_punch = [&](int, uint64_t, uint64_t) {
        yield_until([&] { return may_close.load(); });
    };
    guest.generations.release_old_vm();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().waits);
    EXPECT_EQ(guest.kernel.vms(), 2u);
    EXPECT_EQ(guest.generations.status().generation, 1u);
    EXPECT_EQ(guest.generations.status().aborted, 0u);
    may_close = true;
    guest.generations.drain();
    EXPECT_TRUE(guest.reset());
}

TEST(OldVmTest, ItsPrivateMemoryIsKnownUntilItIsGivenBack)
{
    Launched<SnpGuest> guest;
    std::atomic<bool> may_close = false;
    guest.kernel.before_punch = [&](int, uint64_t, uint64_t) {
        yield_until([&] { return may_close.load(); });
    };
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.generations.status().private_left, 0u);
    guest.generations.release_old_vm();
    EXPECT_EQ(guest.generations.status().private_left, 2 * 0x200000u);
    may_close = true;
    guest.generations.drain();
    EXPECT_EQ(guest.generations.status().private_left, 0u);
}

/* --- Regions that are encrypted in place ---------------------------------- */

struct RegisteredGuest : Launched<SevGuest> {
    std::vector<std::pair<int, uint32_t>> calls;

    RegisteredGuest() : Launched<SevGuest>(true)
    {
        for (uint64_t i = 0; i < 2; i++) {
            kvm_enc_region region{.addr = 0x10000 * (i + 1), .size = 0x8000};
            ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, region);
        }
        kernel.before_ioctl = [this](int fd, uint32_t request) {
            if (request == KVM_MEMORY_ENCRYPT_UNREG_REGION ||
                request == KVM_MEMORY_ENCRYPT_OP) {
                calls.emplace_back(fd, request);
            }
        };
    }
};

/* The old VM may live on, whoever has it: that is not waited for. */
TEST(OldVmTest, ItsRegionsGoBeforeTheyAreEncryptedAnew)
{
    RegisteredGuest guest;
    ASSERT_TRUE(guest.reset());
    size_t first_update = 0, gone = 0;
    for (size_t i = 0; i < guest.calls.size(); i++) {
        auto [fd, request] = guest.calls[i];
        if (request == KVM_MEMORY_ENCRYPT_UNREG_REGION) {
            EXPECT_NE(fd, guest.vm) << "that is the new VM's number";
            gone++;
        } else if (fd == guest.vm && !first_update) {
            first_update = i;
            EXPECT_EQ(gone, 2u);
        }
    }
    EXPECT_EQ(gone, 2u);
    EXPECT_GT(first_update, 0u);
    EXPECT_EQ(guest.ioctls(KVM_MEMORY_ENCRYPT_REG_REGION).size(), 2u);
}

TEST(OldVmTest, RegionsThatStayLoseTheGuestUntilItIsResetAgain)
{
    RegisteredGuest guest;
    guest.kernel.fail(KVM_MEMORY_ENCRYPT_UNREG_REGION, 2, EINVAL);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_TRUE(guest.generations.status().lost);
    EXPECT_TRUE(done.error().what.contains("KVM_MEMORY_ENCRYPT_REG_REGION"))
        << done.error().what;
    guest.generations.drain();
    expect_reborn(guest);
    EXPECT_FALSE(guest.generations.status().lost);
}

} /* namespace */
