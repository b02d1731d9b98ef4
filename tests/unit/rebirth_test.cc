/*
 * Rebirth: the steps, their order, and the way back
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>

#include "guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class RebirthTest : public ::testing::Test {
protected:
    Guest guest;
    std::vector<std::string> log;

    void add_hook(std::string name, std::vector<Phase> phases,
                  Phase *fails_in = nullptr)
    {
        guest.registry.add(
            {.name = name,
             .owner = fails_in,
             .phases = std::move(phases),
             .run = [this, name, fails_in](Phase phase) -> Result<void> {
                 log.push_back(name + " " + to_string(phase));
                 if (fails_in && *fails_in == phase) {
                     return fail(EIO, "%s gave up", name.c_str());
                 }
                 return {};
             },
             .undo =
                 [this, name](Phase phase) {
                     log.push_back(name + " undo " + to_string(phase));
                 }});
    }

    static constexpr std::initializer_list<Phase> all_phases = {
        Phase::Quiesce, Phase::NewVm, Phase::BeforeRun, Phase::Aborted};

    using Log = std::vector<std::string>;
};

TEST_F(RebirthTest, WhoeverHoldsAnFdOrAnAddressNeedNotKnow)
{
    std::vector<int> vcpus = guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);
    ASSERT_TRUE(guest.reset());
    guest.generations.drain();
    Holdings after = Holdings::of(guest);

    auto numbers = [](const auto &map) {
        std::vector<uint64_t> all;
        for (auto &[number, file] : map) {
            all.push_back(number);
        }
        return all;
    };
    EXPECT_EQ(numbers(after.fds), numbers(before.fds));
    EXPECT_EQ(numbers(after.mappings), numbers(before.mappings));
    EXPECT_EQ(after.irqfds, before.irqfds);
    EXPECT_EQ(after.vms, 1u);
    EXPECT_NE(after.fds[guest.vm], before.fds[guest.vm]);
    EXPECT_NE(after.fds[guest.kvm], before.fds[guest.kvm]);
    for (int vcpu : vcpus) {
        EXPECT_NE(after.fds[vcpu], before.fds[vcpu]);
    }
}

TEST_F(RebirthTest, AThousandOfThemLeaveNothingBehind)
{
    guest.kernel.remembers = false;
    guest.define_a_bit_of_everything();
    ASSERT_TRUE(guest.reset());
    guest.generations.drain();
    size_t fds = guest.kernel.fds().size();
    size_t mappings = guest.kernel.mappings().size();
    size_t bytes = guest.recorder.footprint();
    for (int i = 0; i < 1000; i++) {
        ASSERT_TRUE(guest.reset());
    }
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.fds().size(), fds);
    EXPECT_EQ(guest.kernel.mappings().size(), mappings);
    EXPECT_EQ(guest.recorder.footprint(), bytes);
    EXPECT_EQ(guest.kernel.vms(), 1u);
    EXPECT_EQ(guest.generations.status().generation, 1001u);
}

TEST_F(RebirthTest, IrqfdsAndVfioFilesLeaveTheOldVmBeforeTheNewOneHasThem)
{
    guest.define_a_bit_of_everything();
    std::vector<std::pair<int, uint32_t>> calls;
    guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
        if (request == KVM_IRQFD || request == KVM_SET_DEVICE_ATTR) {
            calls.push_back({fd, request});
        }
    };
    ASSERT_TRUE(guest.reset());

    /* 3 irqfds and 2 files: first off the old fds, in their order. */
    ASSERT_EQ(calls.size(), 10u);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(calls[i], std::pair(guest.vm, KVM_IRQFD));
        EXPECT_EQ(calls[5 + i].second, KVM_IRQFD);
        EXPECT_NE(calls[5 + i].first, guest.vm);
    }
    for (int i = 3; i < 5; i++) {
        EXPECT_EQ(calls[i].second, KVM_SET_DEVICE_ATTR);
        EXPECT_EQ(calls[5 + i].second, KVM_SET_DEVICE_ATTR);
        EXPECT_NE(calls[5 + i].first, calls[i].first);
    }
}

TEST_F(RebirthTest, AMoveThatFailsIsUndoneInReverse)
{
    guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);
    std::vector<std::pair<bool, uint32_t>> calls;
    guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
        if (request == KVM_IRQFD || request == KVM_SET_DEVICE_ATTR) {
            calls.push_back({before.fds.contains(fd), request});
        }
    };
    /* Taken: 3 irqfds, 2 files; given: 3 irqfds, 1 file; the 2nd fails. */
    guest.kernel.fail(KVM_SET_DEVICE_ATTR, 4, EBUSY);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EBUSY);
    EXPECT_NE(done.error().what.find("KVM_SET_DEVICE_ATTR"), std::string::npos)
        << done.error().what;

    std::vector<std::pair<bool, uint32_t>> expected = {
        {true, KVM_IRQFD},
        {true, KVM_IRQFD},
        {true, KVM_IRQFD},
        {true, KVM_SET_DEVICE_ATTR},
        {true, KVM_SET_DEVICE_ATTR},
        {false, KVM_IRQFD},
        {false, KVM_IRQFD},
        {false, KVM_IRQFD},
        {false, KVM_SET_DEVICE_ATTR},
        {false, KVM_SET_DEVICE_ATTR},
        /* … and back. */
        {false, KVM_SET_DEVICE_ATTR},
        {false, KVM_IRQFD},
        {false, KVM_IRQFD},
        {false, KVM_IRQFD},
        {true, KVM_SET_DEVICE_ATTR},
        {true, KVM_SET_DEVICE_ATTR},
        {true, KVM_IRQFD},
        {true, KVM_IRQFD},
        {true, KVM_IRQFD},
    };
    EXPECT_EQ(calls, expected);
    EXPECT_EQ(Holdings::of(guest), before);
    guest.kernel.before_ioctl = nullptr;
    EXPECT_TRUE(guest.reset());
}

TEST_F(RebirthTest, WhatCannotBePutBackIsSaid)
{
    guest.define_a_bit_of_everything();
    int seen = 0;
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        /* Three are taken away; then none can be given to anybody. */
        if (request == KVM_IRQFD && ++seen == 4) {
            guest.kernel.fail_always(KVM_IRQFD, ENOMEM);
        }
    };
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("the old VM is not whole"),
              std::string::npos)
        << done.error().what;
}

TEST_F(RebirthTest, TheNewVmIsNotCreatedUnderTheOldOnesNumber)
{
    std::vector<uint64_t> numbers;
    guest.slot(1, 0x1000);
    /* debugfs would have both under one name, and so only one of them. */
    for (int i = 0; i < 4; i++) {
        std::map<int, uint64_t> before = guest.kernel.fds();
        int created = -1;
        guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
            if (request == KVM_SET_USER_MEMORY_REGION && !before.contains(fd)) {
                created = fd;
            }
        };
        ASSERT_TRUE(guest.reset());
        guest.generations.drain();
        ASSERT_NE(created, -1);
        EXPECT_NE(created, guest.vm);
        if (!numbers.empty()) {
            EXPECT_NE(uint64_t(created), numbers.back());
        }
        numbers.push_back(created);
    }
}

/* --- Hooks ---------------------------------------------------------------- */

TEST_F(RebirthTest, HooksSeeTheOldVmThenTheNewOne)
{
    uint64_t old = guest.kernel.file_at(guest.vm);
    std::vector<std::pair<Phase, bool>> seen;
    guest.registry.add(
        {.name = "looks",
         .phases = all_phases,
         .run = [&](Phase phase) -> Result<void> {
             seen.push_back({phase, guest.kernel.file_at(guest.vm) != old});
             return {};
         }});
    ASSERT_TRUE(guest.reset());
    ASSERT_TRUE(guest.generations.before_run());
    EXPECT_EQ(seen,
              (std::vector<std::pair<Phase, bool>>{{Phase::Quiesce, false},
                                                   {Phase::NewVm, true},
                                                   {Phase::BeforeRun, true}}));
}

TEST_F(RebirthTest, AHookThatFailsBeforeAnythingIsTouchedTouchesNothing)
{
    guest.define_a_bit_of_everything();
    Phase fails = Phase::Quiesce;
    add_hook("a", all_phases);
    add_hook("b", all_phases, &fails);
    Holdings before = Holdings::of(guest);
    unsigned calls = guest.kernel.calls();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EIO);
    EXPECT_EQ(guest.kernel.calls(), calls);
    EXPECT_EQ(Holdings::of(guest), before);
    EXPECT_EQ(log, (Log{"a quiesce", "b quiesce", "a undo quiesce", "a aborted",
                        "b aborted"}));
}

TEST_F(RebirthTest, AHookThatFailsOnTheNewVmBringsTheOldOneBack)
{
    guest.define_a_bit_of_everything();
    Holdings before = Holdings::of(guest);
    Phase fails = Phase::NewVm;
    add_hook("a", all_phases);
    add_hook("b", all_phases, &fails);
    for (int i = 0; i < 2; i++) {
        log.clear();
        Result<Durations> done = guest.reset();
        ASSERT_FALSE(done);
        EXPECT_NE(done.error().what.find("hook 'b' failed"), std::string::npos);
        EXPECT_EQ(Holdings::of(guest), before);
        EXPECT_EQ(log, (Log{"a quiesce", "b quiesce", "a new-vm", "b new-vm",
                            "a undo new-vm", "b undo quiesce", "a undo quiesce",
                            "a aborted", "b aborted"}));
    }
    EXPECT_EQ(guest.generations.status().aborted, 2u);

    guest.registry.remove_owned(&fails);
    EXPECT_TRUE(guest.reset());
    EXPECT_EQ(guest.generations.status().generation, 1u);
}

/* Who waits for an ioctl may hold a lock that a hook wants. */
TEST_F(RebirthTest, OthersIoctlsWaitOnceTheGuestIsQuiet)
{
    Phase fails = Phase::Aborted;
    guest.generations.exclude_with([this] { log.push_back("begin"); },
                                   [this] { log.push_back("end"); });
    add_hook("a", all_phases, &fails);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(log, (Log{"a quiesce", "begin", "a new-vm", "end"}));
    for (Phase phase : {Phase::Quiesce, Phase::NewVm}) {
        fails = phase;
        log.clear();
        ASSERT_FALSE(guest.reset());
        EXPECT_EQ(log[0], "a quiesce");
        EXPECT_EQ(log[1], "begin");
        EXPECT_EQ(log.back(), "end");
        EXPECT_EQ(std::ranges::count(log, "begin"), 1);
    }
}

TEST_F(RebirthTest, AFailureToAbortIsSaidToo)
{
    Phase aborted = Phase::Aborted, quiesce = Phase::Quiesce;
    add_hook("a", {Phase::Aborted}, &aborted);
    add_hook("b", {Phase::Quiesce}, &quiesce);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("hook 'b'"), std::string::npos);
    EXPECT_NE(done.error().what.find("hook 'a'"), std::string::npos);
}

/* --- Meanwhile ------------------------------------------------------------ */

TEST_F(RebirthTest, WhatIsDefinedWhileTheImageIsBuiltIsInIt)
{
    bool once = true;
    guest.slot(1, 0x1000);
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        if (request == KVM_CREATE_VM && std::exchange(once, false)) {
            guest.slot(2, 0x1000);
            guest.slot(1, 0);
        }
    };
    ASSERT_TRUE(guest.reset());
    guest.generations.drain();
    std::vector<IssuedIoctl> slots = guest.ioctls(KVM_SET_USER_MEMORY_REGION);
    ASSERT_EQ(slots.size(), 3u);
    auto gone = slots[1].as<kvm_userspace_memory_region>();
    EXPECT_EQ(gone.slot, 1u) << "the slot that went";
    EXPECT_EQ(gone.memory_size, 0u);
    EXPECT_EQ(slots[2].field(&kvm_userspace_memory_region::slot), 2u);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RebirthTest, WhatBlocksWhileTheImageIsBuiltStopsTheRebirth)
{
    bool once = true;
    Holdings before = Holdings::of(guest);
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        if (request == KVM_CREATE_VM && std::exchange(once, false)) {
            uint8_t arg[16] = {};
            guest.recorder.ioctl(guest.vm, unknown_ioctl, uintptr_t(arg));
        }
    };
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOTSUP);
    EXPECT_EQ(Holdings::of(guest), before);
}

/* --- What it says --------------------------------------------------------- */

TEST_F(RebirthTest, WithoutAVmItSaysSo)
{
    guest.recorder.close(guest.vm);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENODEV);
}

TEST_F(RebirthTest, TheStatusTellsOfTheLastOne)
{
    EXPECT_EQ(guest.generations.status().generation, 0u);
    guest.vcpu(3);
    guest.kernel.fail(KVM_CREATE_VCPU, 1, EBUSY);
    ASSERT_FALSE(guest.reset());
    Status status = guest.generations.status();
    EXPECT_EQ(status.aborted, 1u);
    EXPECT_NE(status.last_error.find("KVM_CREATE_VCPU 0x3"), std::string::npos)
        << status.last_error;
    EXPECT_NE(status.last_error.find("EBUSY"), std::string::npos);

    ASSERT_TRUE(guest.reset());
    guest.generations.drain();
    status = guest.generations.status();
    EXPECT_EQ(status.generation, 1u);
    EXPECT_EQ(status.last_error, "");
    EXPECT_EQ(status.retiring, 0u);
    EXPECT_GT(status.retire, 0u);
    EXPECT_GT(status.last.prepare, 0u);
    EXPECT_GT(status.last.commit, 0u);
    EXPECT_GE(status.last.total, status.last.quiesce + status.last.prepare +
                                     status.last.commit + status.last.hooks);
}

TEST_F(RebirthTest, EachStepIsReported)
{
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.listener.steps(),
              (Log{"quiesce", "prepare", "commit", "hooks"}));
}

TEST_F(RebirthTest, AnElementThatTheNewVmDoesNotTakeFailsIt)
{
    int vcpu = guest.vcpu(0);
    guest.ioctl(vcpu, KVM_SET_MSRS,
                kvm_msrs_of<1>{.entries = {{.index = 0x10a}}});
    guest.kernel.takes_msrs = 0;
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("KVM_SET_MSRS 0x10a"), std::string::npos)
        << done.error().what;
}

} /* namespace */
