/*
 * The KVM device may no longer be there for this process: what is open of it
 * serves, and nobody is detached who could not come back
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include "kvm_device.h"
#include "launched_guest.h"
#include "stateful_guest.h"

using namespace kvm_reset;

namespace {

const int why_not[] = {EACCES, ENOENT, EPERM, ENODEV};

TEST(KvmDeviceTest, ADeviceThatOpensIsOpenedAnew)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    uint64_t device = guest.kernel.file_at(guest.kvm);
    ASSERT_TRUE(guest.reset());
    EXPECT_NE(guest.kernel.file_at(guest.kvm), device);
}

TEST(KvmDeviceTest, OneThatDoesNotOpenAnyMoreMakesVmsOnTheFdInUse)
{
    for (int code : why_not) {
        SCOPED_TRACE(strerrorname_np(code));
        Guest guest;
        guest.define_a_bit_of_everything();
        Holdings before = Holdings::of(guest);
        guest.kernel.device_fails = code;
        for (unsigned i = 0; i < 3; i++) {
            uint64_t vm = guest.kernel.file_at(guest.vm);
            Result<Durations> done = guest.reset();
            ASSERT_TRUE(done) << done.error().what;
            guest.generations.drain();
            Holdings after = Holdings::of(guest);
            EXPECT_NE(after.fds[guest.vm], vm);
            EXPECT_EQ(after.fds[guest.kvm], before.fds[guest.kvm]);
            EXPECT_EQ(after.fds.size(), before.fds.size());
            EXPECT_EQ(after.irqfds, before.irqfds);
            EXPECT_EQ(after.vms, 1u);
        }
        guest.kernel.device_fails = 0;
        ASSERT_TRUE(guest.reset());
        EXPECT_NE(guest.kernel.file_at(guest.kvm), before.fds[guest.kvm]);
    }
}

TEST(KvmDeviceTest, AnotherFileOfThatNameIsNotTakenForIt)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    uint64_t device = guest.kernel.file_at(guest.kvm);
    guest.kernel.device_is_kvm = false;
    ASSERT_TRUE(guest.reset());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.file_at(guest.kvm), device);
    EXPECT_EQ(open_kvm_device(guest.kernel).error().what,
              "/dev/kvm is not KVM's device");
}

TEST(KvmDeviceTest, IfNeitherWorksBothAreSaidAndTheOldVmStays)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);
    guest.kernel.device_fails = EACCES;
    guest.kernel.fail(FakeKernel::Call::Dup, 1, EMFILE);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EMFILE);
    EXPECT_TRUE(done.error().what.contains("/dev/kvm")) << done.error().what;
    EXPECT_TRUE(done.error().what.contains("EACCES")) << done.error().what;
    EXPECT_TRUE(done.error().what.contains("EMFILE")) << done.error().what;
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST(KvmDeviceTest, ASpareIsMadeOnTheFdInUseToo)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    guest.kernel.device_fails = ENOENT;
    guest.generations.keep_spare(true);
    for (unsigned i = 0; i < 3; i++) {
        guest.generations.drain();
        SpareStatus spare = guest.generations.spare();
        ASSERT_EQ(spare.state, SpareState::Ready) << spare.error;
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_TRUE(done->spare);
    }
}

TEST(KvmDeviceTest, AConfidentialGuestIsLaunchedAgainOnTheFdInUse)
{
    Launched<SevGuest> in_place(true);
    Launched<SnpGuest> beside;
    for (Guest *guest :
         {static_cast<Guest *>(&in_place), static_cast<Guest *>(&beside)}) {
        Log first = guest->kernel.launched(guest->vm);
        guest->kernel.device_fails = EACCES;
        expect_reborn(*guest);
        expect_reborn(*guest);
        EXPECT_EQ(guest->kernel.launched(guest->vm), first);
        EXPECT_FALSE(guest->generations.status().lost);
    }
}

/* --- Without KVM for a while ---------------------------------------------- */

class ReopeningTest : public StatefulGuest {
protected:
    void SetUp() override
    {
        StatefulGuest::SetUp();
        define();
        state = guest.kernel.state(guest.vm);
    }

    /* The device, from somebody who may open it. */
    int given()
    {
        int closed = std::exchange(guest.kernel.device_fails, 0);
        int fd = guest.kernel.open_kvm();
        guest.kernel.device_fails = closed;
        return fd;
    }

    FakeState::Values state;
};

TEST_F(ReopeningTest, ARunningGuestMovesOnTheFdInUse)
{
    guest.kernel.device_fails = EACCES;
    Result<Durations> done = move();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(is(state));
}

TEST_F(ReopeningTest, WhoCouldNotComeBackIsNotDetached)
{
    Holdings before = Holdings::of(guest);
    for (int code : why_not) {
        guest.kernel.device_fails = code;
        Result<Durations> done = detach();
        ASSERT_FALSE(done) << strerrorname_np(code);
        EXPECT_EQ(done.error().code, code);
        EXPECT_TRUE(done.error().what.contains("attach-by-fd"))
            << done.error().what;
        EXPECT_FALSE(guest.generations.detached());
        EXPECT_EQ(guest.generations.status().last_error, done.error().what);
        EXPECT_EQ(Holdings::of(guest), before);
    }
    guest.kernel.device_fails = 0;
    guest.kernel.device_is_kvm = false;
    EXPECT_FALSE(detach());
    EXPECT_FALSE(guest.generations.detached());
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST_F(ReopeningTest, WhetherItCouldIsToldAndNothingIsDone)
{
    Holdings before = Holdings::of(guest);
    EXPECT_TRUE(guest.detach.may_detach(false));
    guest.kernel.device_fails = EACCES;
    EXPECT_FALSE(guest.detach.may_detach(false));
    EXPECT_TRUE(guest.detach.may_detach(true));
    EXPECT_EQ(Holdings::of(guest), before);
    EXPECT_EQ(guest.generations.status().aborted, 0u);
    guest.guest_memfd();
    EXPECT_EQ(guest.detach.may_detach(true).error().code, ENOTSUP);
}

TEST_F(ReopeningTest, WhoIsGivenADescriptorComesBackOnIt)
{
    guest.kernel.device_fails = EACCES;
    ASSERT_TRUE(detach(true));
    Result<Durations> done = guest.detach.attach();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EACCES);
    EXPECT_TRUE(done.error().what.contains("descriptor")) << done.error().what;
    EXPECT_TRUE(guest.generations.detached());

    int fd = given();
    uint64_t file = guest.kernel.file_at(fd);
    done = guest.detach.attach(fd);
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(is(state));
    EXPECT_EQ(guest.kernel.file_at(guest.kvm), file);
    /* It is still the caller's. */
    EXPECT_EQ(guest.kernel.close(fd), 0);
    EXPECT_EQ(guest.kernel.vms(), 1u);
    /* The next VMs are made on it, too. */
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.kernel.file_at(guest.kvm), file);
}

TEST_F(ReopeningTest, ADescriptorOfSomethingElseIsRefused)
{
    ASSERT_TRUE(detach(true));
    auto fds = guest.kernel.fds();
    Result<Durations> done = guest.detach.attach(eventfd);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().what,
              "the descriptor that was given is not KVM's device");
    EXPECT_EQ(guest.kernel.fds(), fds);
    EXPECT_TRUE(guest.generations.detached());
    EXPECT_TRUE(guest.detach.attach());
    EXPECT_TRUE(is(state));
}

TEST_F(ReopeningTest, WhateverFailsWithADescriptorLeavesItDetached)
{
    unsigned failed = 0;

    guest.kernel.device_fails = EACCES;
    ASSERT_TRUE(detach(true));
    int fd = given();
    auto fds = guest.kernel.fds();
    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(nth);
        guest.kernel.fail(nth, nth % 2 ? ENOMEM : EINVAL);
        Result<Durations> done = guest.detach.attach(fd);
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (done && !reached) {
            break;
        }
        if (done) {
            ASSERT_TRUE(detach(true));
            fds = guest.kernel.fds();
            continue;
        }
        failed++;
        ASSERT_TRUE(reached) << done.error().what;
        ASSERT_TRUE(guest.generations.detached());
        ASSERT_EQ(guest.kernel.fds(), fds) << done.error().what;
    }
    EXPECT_TRUE(is(state));
    EXPECT_GT(failed, 60u);
}

} /* namespace */
