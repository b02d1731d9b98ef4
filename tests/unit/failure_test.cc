/*
 * Any single call of a rebirth may fail: the guest keeps its old VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sweep fails the first call of a rebirth, then the second, and so on,
 * until one runs through without meeting the failure; for each of the errnos
 * that such calls fail with.  After each the guest has what it had, nothing
 * leaked, and the next rebirth succeeds.  With a spare that goes for the reset
 * that takes it and for the thread that makes the next one.  launch_*_test.cc
 * has the same for confidential guests.
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "guest.h"

using namespace kvm_reset;

namespace {

class FailureTest : public ::testing::TestWithParam<int> {};
class SpareFailureTest : public ::testing::TestWithParam<int> {};

void expect_one_vm_under_the_same_numbers(const Guest &guest,
                                          const Holdings &before)
{
    Holdings now = Holdings::of(guest);

    EXPECT_EQ(now.vms, 1u);
    EXPECT_EQ(now.irqfds, before.irqfds);
    EXPECT_EQ(now.watches, before.watches);
    ASSERT_EQ(now.fds.size(), before.fds.size());
    ASSERT_EQ(now.mappings.size(), before.mappings.size());
    for (auto &[fd, file] : before.fds) {
        EXPECT_TRUE(now.fds.contains(fd));
    }
    for (auto &[address, file] : before.mappings) {
        EXPECT_TRUE(now.mappings.contains(address));
    }
}

/* Returns whether the @nth call was reached. */
bool fail_one(unsigned nth, int code, unsigned &aborted)
{
    Guest guest;
    std::vector<int> vcpus = guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);

    guest.kernel.fail(nth, code);
    Result<Durations> done = guest.reset();
    bool reached = guest.kernel.failed();
    guest.kernel.fail_nothing();

    if (!done) {
        aborted++;
        EXPECT_TRUE(reached);
        EXPECT_EQ(done.error().code, code) << done.error().what;
        EXPECT_FALSE(done.error().what.contains("not whole"))
            << done.error().what;
        EXPECT_EQ(Holdings::of(guest), before) << done.error().what;
        EXPECT_EQ(guest.generations.status().aborted, 1u);
    } else {
        guest.generations.drain();
        EXPECT_NE(guest.kernel.file_at(guest.vm), before.fds.at(guest.vm));
        expect_one_vm_under_the_same_numbers(guest, before);
    }

    /* The guest goes on, on whichever VM it is. */
    EXPECT_EQ(guest.slot(11, 0x1000, 0x40000000), 0);
    EXPECT_EQ(guest.ioctl(vcpus[1], KVM_RUN), 0);

    Result<Durations> next = guest.reset();
    EXPECT_TRUE(next) << next.error().what;
    guest.generations.drain();
    expect_one_vm_under_the_same_numbers(guest, before);
    return reached;
}

unsigned calls_of_a_rebirth()
{
    Guest guest;
    guest.define_a_bit_of_everything();
    unsigned before = guest.kernel.calls();
    EXPECT_TRUE(guest.reset());
    return guest.kernel.calls() - before;
}

TEST_P(FailureTest, EverySingleFailingCallLeavesTheOldVmInPlace)
{
    unsigned nth = 1, aborted = 0;

    while (fail_one(nth, GetParam(), aborted)) {
        ASSERT_FALSE(HasFailure()) << "call " << nth;
        nth++;
    }
    EXPECT_EQ(nth - 1, calls_of_a_rebirth());
    EXPECT_GT(aborted, GetParam() == EINTR ? 9u : 40u);
}

std::string name_of(const ::testing::TestParamInfo<int> &info)
{
    return strerrorname_np(info.param);
}

INSTANTIATE_TEST_SUITE_P(, FailureTest,
                         ::testing::Values(ENOMEM, EINTR, EAGAIN, EBUSY, EMFILE,
                                           ENOSPC),
                         name_of);

/* How a sweep with a spare went. */
struct Fates {
    unsigned aborted = 0;      /* rebirths that kept the old VM */
    unsigned without_next = 0; /* after which there was no spare */
};

/* Returns whether the @nth call was reached, by the reset or behind it. */
bool fail_one_with_a_spare(unsigned nth, int code, Fates &fates)
{
    Guest guest;
    std::vector<int> vcpus = guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);
    guest.generations.keep_spare(true);
    guest.generations.drain();
    EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);

    guest.kernel.fail(nth, code);
    Result<Durations> done = guest.reset();
    guest.generations.drain();
    bool reached = guest.kernel.failed();
    guest.kernel.fail_nothing();

    SpareStatus spare = guest.generations.spare();
    if (spare.state != SpareState::Ready) {
        fates.without_next++;
        EXPECT_EQ(spare.state, SpareState::Failed);
        EXPECT_NE(spare.error.find(strerrorname_np(code)), std::string::npos)
            << spare.error;
        EXPECT_TRUE(reached);
    }
    guest.generations.keep_spare(false);
    guest.generations.drain();
    if (!done) {
        fates.aborted++;
        EXPECT_TRUE(reached);
        EXPECT_EQ(done.error().code, code) << done.error().what;
        EXPECT_EQ(Holdings::of(guest), before) << done.error().what;
    } else {
        EXPECT_NE(guest.kernel.file_at(guest.vm), before.fds.at(guest.vm));
        expect_one_vm_under_the_same_numbers(guest, before);
    }

    guest.generations.keep_spare(true);
    EXPECT_EQ(guest.slot(11, 0x1000, 0x40000000), 0);
    EXPECT_EQ(guest.ioctl(vcpus[1], KVM_RUN), 0);
    guest.generations.drain();
    EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);
    Result<Durations> next = guest.reset();
    EXPECT_TRUE(next) << next.error().what;
    EXPECT_TRUE(!next || next->spare);
    guest.generations.keep_spare(false);
    guest.generations.drain();
    expect_one_vm_under_the_same_numbers(guest, before);
    return reached;
}

TEST_P(SpareFailureTest, EverySingleFailingCallCostsTheSpareAtMost)
{
    unsigned nth = 1;
    Fates fates;

    while (fail_one_with_a_spare(nth, GetParam(), fates)) {
        ASSERT_FALSE(HasFailure()) << "call " << nth;
        nth++;
    }
    EXPECT_GT(fates.aborted, 5u);
    /* An interrupted call is made again, or done without. */
    if (GetParam() == EINTR) {
        EXPECT_EQ(fates.without_next, 0u);
    } else {
        EXPECT_GT(fates.without_next, 5u);
    }
    EXPECT_GT(nth, calls_of_a_rebirth());
}

INSTANTIATE_TEST_SUITE_P(, SpareFailureTest,
                         ::testing::Values(ENOMEM, EINTR, EAGAIN, EBUSY, EMFILE,
                                           ENOSPC),
                         name_of);

TEST(FdLimitTest, WhereverTheFdsRunOutTheOldVmStaysInPlace)
{
    for (bool spare : {false, true}) {
        for (int more = 1;; more++) {
            SCOPED_TRACE(more);
            Guest guest;
            guest.define_a_bit_of_everything();
            Holdings before = Holdings::of(guest);
            guest.generations.keep_spare(spare);
            guest.generations.drain();

            guest.kernel.fd_limit = guest.kernel.fds().rbegin()->first + more;
            Result<Durations> done = guest.reset();
            guest.generations.drain();
            guest.kernel.fd_limit = 1 << 20;
            guest.generations.keep_spare(false);
            guest.generations.drain();
            if (done) {
                EXPECT_GT(more, spare ? 5 : 10);
                expect_one_vm_under_the_same_numbers(guest, before);
                break;
            }
            EXPECT_EQ(done.error().code, EMFILE) << done.error().what;
            EXPECT_EQ(Holdings::of(guest), before) << done.error().what;
            EXPECT_TRUE(guest.reset());
            guest.generations.drain();
            expect_one_vm_under_the_same_numbers(guest, before);
        }
    }
}

/* As dup2(2) has it, when another thread is about to open that number. */
TEST(BusyNumberTest, OneThatStaysBusyIsGivenUpAndNothingIsLost)
{
    Guest first;
    first.define_a_bit_of_everything();
    std::vector<int> numbers;
    for (const Object &object : first.recorder.snapshot().objects) {
        numbers.push_back(object.fd);
    }
    EXPECT_GT(numbers.size(), 5u);
    for (int number : numbers) {
        SCOPED_TRACE(number);
        Guest guest;
        guest.define_a_bit_of_everything();
        Holdings before = Holdings::of(guest);

        guest.kernel.busy_numbers = {number};
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, EBUSY) << done.error().what;
        EXPECT_FALSE(done.error().what.contains("not whole"));
        EXPECT_EQ(Holdings::of(guest), before);
        guest.kernel.busy_numbers.clear();
        EXPECT_TRUE(guest.reset());
    }
}

/* A hook fails on the new VM, and then a call of the way back does. */
TEST(WayBackTest, EveryFailureOfTheWayBackIsSaid)
{
    for (unsigned nth = 1;; nth++) {
        Guest guest;
        guest.define_a_bit_of_everything();
        guest.registry.add({.name = "fails",
                            .phases = {Phase::NewVm},
                            .run = [&](Phase) -> Result<void> {
                                guest.kernel.fail(nth, ENOMEM);
                                return fail(EIO, "no");
                            }});
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, EIO);
        if (!guest.kernel.failed()) {
            EXPECT_GT(nth, 10u);
            break;
        }
        EXPECT_NE(done.error().what.find("ENOMEM"), std::string::npos)
            << done.error().what;
    }
}

} /* namespace */
