/*
 * Rebirth of a guest that goes on: all its state comes along, and whatever
 * fails leaves it where it was
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "arch.h"
#include "field_of.h"
#include "state_pieces.h"
#include "state_without.h"
#include "stateful_guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class PreserveTest : public StatefulGuest {
protected:
    void SetUp() override
    {
        StatefulGuest::SetUp();
        uint8_t xen[56] = {};
        guest.ioctl(guest.vm, KVM_XEN_HVM_CONFIG, xen);
        define();
    }

    /* Every piece of every object says something of its own. */
    void fill()
    {
        unsigned seed = 1;
        for (int fd : {guest.vm, vcpus[0], vcpus[1]}) {
            for (const StatePiece &piece : x86_state_pieces()) {
                if ((piece.on == FdClass::Vm) == (fd == guest.vm)) {
                    fill(piece, fd, seed++);
                }
            }
        }
    }

    /* What KVM has in a newer form is not asked for in the old one. */
    static bool older(const StatePiece &piece)
    {
        return piece.unless || piece.fallback;
    }

    void fill(const StatePiece &piece, int fd, unsigned seed)
    {
        if (older(piece)) {
            return;
        }
        std::vector<uint8_t> bytes(std::max<size_t>(piece.size, 24), seed);
        if (piece.form == PieceForm::Registers) {
            std::vector<uint32_t> known = fake_registers();
            for (uint32_t index : known) {
                if (index == 0x10) {
                    continue; /* the TSC goes by its offset */
                }
                kvm_msrs_of<1> one{.entries = {{.index = index,
                                                .data = index * 0x100 + seed}}};
                guest.kernel.ioctl(fd, piece.set, uintptr_t(&one));
            }
            return;
        }
        write_field(bytes, piece.selector, piece.selected);
        if (piece.form == PieceForm::Clock) {
            write_field(bytes, field_of(&kvm_clock_data::flags),
                        KVM_CLOCK_REALTIME);
        }
        kvm_device_attr attr{.addr = uintptr_t(bytes.data())};
        guest.kernel.ioctl(fd, piece.set,
                           piece.form == PieceForm::Attribute
                               ? uintptr_t(&attr)
                               : uintptr_t(bytes.data()));
    }
};

TEST_F(PreserveTest, EveryPieceOfEveryVcpuIsThereAgain)
{
    fill();
    auto before = guest.kernel.state(guest.vm);
    uint64_t old = guest.kernel.file_at(guest.vm);
    Result<Durations> done = move();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_NE(guest.kernel.file_at(guest.vm), old);
    EXPECT_TRUE(is(before));
    EXPECT_EQ(guest.generations.status().generation, 1u);
}

TEST_F(PreserveTest, WhatIsLeftOutIsMissing)
{
    for (const StatePiece &piece : x86_state_pieces()) {
        if (older(piece)) {
            continue;
        }
        SCOPED_TRACE(piece.name);
        fill();
        auto before = guest.kernel.state(guest.vm);
        StateWithout lacking(piece.name);
        Result<Durations> done = move();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_FALSE(guest.kernel.state(guest.vm) == before);
    }
}

TEST_F(PreserveTest, TheRunPageComesAlong)
{
    uint8_t written[16], seen[16] = {};
    std::ranges::fill(written, 0x5a);
    guest.kernel.write_memory(uintptr_t(page) + 0x10, written);
    ASSERT_TRUE(move());
    guest.kernel.read_memory(uintptr_t(page) + 0x10, seen);
    EXPECT_EQ(memcmp(written, seen, 16), 0);
}

TEST_F(PreserveTest, AnyCallThatFailsLeavesTheGuestWhereItWas)
{
    fill();
    Holdings holdings = Holdings::of(guest);
    auto state = guest.kernel.state(guest.vm);
    unsigned aborted = 0;

    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(nth);
        guest.kernel.fail(nth, nth % 2 ? ENOMEM : EINVAL);
        Result<Durations> done = move();
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (done) {
            if (!reached) {
                break;
            }
            guest.generations.drain();
            ASSERT_TRUE(is(state));
            holdings = Holdings::of(guest);
            continue;
        }
        aborted++;
        guest.generations.drain();
        ASSERT_EQ(Holdings::of(guest), holdings) << done.error().what;
        ASSERT_TRUE(is(state)) << done.error().what;
        EXPECT_FALSE(guest.generations.status().last_error.empty());
    }
    EXPECT_GT(aborted, 60u);
}

/* It would tell the guest, in memory, what the new VM's guest is to be told. */
TEST_F(PreserveTest, WhatActsByItselfActsOnOneVmOnly)
{
    constexpr const char *timer = "XEN_TIMER";
    fill();
    auto before = guest.kernel.state(guest.vm);
    uint64_t old = guest.kernel.file_at(guest.vm);
    FakeState::Values kept;
    guest.registry.add({.name = "looks",
                        .phases = {Phase::NewVm},
                        .preserves = true,
                        .run = [&](Phase) -> Result<void> {
                            for (auto [fd, file] : guest.kernel.fds()) {
                                if (file == old) {
                                    kept = guest.kernel.state(fd);
                                }
                            }
                            return {};
                        }});
    ASSERT_TRUE(move());
    ASSERT_TRUE(is(before));
    ASSERT_FALSE(kept.empty());
    for (const auto &[what, value] : kept) {
        std::vector<uint8_t> none(value.size());
        write_field(none, field_of(&kvm_xen_vcpu_attr::type),
                    KVM_XEN_VCPU_ATTR_TYPE_TIMER);
        EXPECT_EQ(value == none, what.second == timer) << what.second;
    }
}

TEST_F(PreserveTest, ATimerIsReadBeforeWhatItWouldInterrupt)
{
    std::vector<std::string> order;
    guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
        if (fd == vcpus[0] && request == KVM_GET_LAPIC) {
            order.push_back("LAPIC");
        } else if (fd == vcpus[0] && request == KVM_XEN_VCPU_SET_ATTR) {
            order.push_back("KVM_XEN_VCPU_SET_ATTR");
        }
    };
    fill();
    ASSERT_TRUE(guest.preserve.prepare());
    order.clear();
    ASSERT_TRUE(guest.preserve.run());
    EXPECT_EQ(order,
              (std::vector<std::string>{"KVM_XEN_VCPU_SET_ATTR", "LAPIC"}));
}

TEST_F(PreserveTest, ARegisterThatKvmDoesNotTakeIsNamed)
{
    fill();
    guest.kernel.fail(KVM_SET_MSRS, 1, EINVAL);
    Result<Durations> done = move();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("FEATURE_CONTROL"), std::string::npos)
        << done.error().what;
}

TEST_F(PreserveTest, InterruptsWaitWhileTheStateIsCarried)
{
    std::vector<std::string> order;
    guest.kernel.before_ioctl = [&](int, uint32_t request) {
        if (request == KVM_IRQFD) {
            order.push_back("irqfd");
        } else if (request == KVM_GET_LAPIC) {
            order.push_back("get");
        } else if (request == KVM_SET_LAPIC) {
            order.push_back("put");
        }
    };
    ASSERT_TRUE(guest.preserve.prepare());
    order.clear();
    ASSERT_TRUE(guest.preserve.run());
    EXPECT_EQ(order, (std::vector<std::string>{"irqfd", "get", "get", "put",
                                               "put", "irqfd"}));
}

TEST_F(PreserveTest, AnInterruptThatTheNewVmTookIsRungAgainOnTheOldOne)
{
    ASSERT_TRUE(guest.preserve.prepare());
    guest.kernel.fail(FakeKernel::Call::DupOnto, 2, EMFILE);
    ASSERT_FALSE(guest.preserve.run());
    EXPECT_EQ(guest.kernel.rung(),
              std::vector<uint64_t>{guest.kernel.file_at(eventfd)});
}

TEST_F(PreserveTest, OnlyHooksThatSaySoRun)
{
    std::vector<std::string> ran;
    guest.generations.exclude_with([&ran] { ran.push_back("begin"); },
                                   [&ran] { ran.push_back("end"); });
    for (bool preserves : {false, true}) {
        std::string name = preserves ? "yes" : "no";
        guest.registry.add(
            {.name = name,
             .phases = {Phase::Quiesce, Phase::NewVm, Phase::BeforeRun},
             .preserves = preserves,
             .run = [&ran, name](Phase phase) -> Result<void> {
                 ran.push_back(name + " " + to_string(phase));
                 return {};
             }});
    }
    ASSERT_TRUE(move());
    EXPECT_EQ(ran, (std::vector<std::string>{"yes quiesce", "begin",
                                             "yes new-vm", "end"}));
}

TEST_F(PreserveTest, AHookThatFailsBringsTheOldVmBack)
{
    fill();
    auto state = guest.kernel.state(guest.vm);
    uint64_t old = guest.kernel.file_at(guest.vm);
    guest.registry.add(
        {.name = "fails",
         .owner = this,
         .phases = {Phase::NewVm},
         .preserves = true,
         .run = [](Phase) -> Result<void> { return fail(EIO, "on purpose"); }});
    ASSERT_FALSE(move());
    EXPECT_EQ(guest.kernel.file_at(guest.vm), old);
    EXPECT_TRUE(is(state));
    guest.registry.remove_owned(this);
    EXPECT_TRUE(move());
}

TEST_F(PreserveTest, AVcpuThatCameMeanwhileComesAlong)
{
    ASSERT_TRUE(guest.preserve.prepare());
    vcpus.push_back(guest.vcpu(7));
    for (const StatePiece &piece : x86_state_pieces()) {
        if (piece.on == FdClass::Vcpu) {
            fill(piece, vcpus.back(), 77);
        }
    }
    auto before = guest.kernel.state(guest.vm);
    ASSERT_TRUE(guest.preserve.run());
    auto after = guest.kernel.state(guest.vm);
    std::pair<std::string, std::string> regs = {"vcpu 7", "REGS"};
    EXPECT_EQ(after[regs], before[regs]);
    EXPECT_FALSE(after[regs].empty());
}

TEST_F(PreserveTest, ASpareIsUsedAndTheNextOneFollows)
{
    guest.generations.keep_spare(true);
    guest.generations.drain();
    for (int i = 0; i < 3; i++) {
        Result<Durations> done = move();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_TRUE(done->spare);
        guest.generations.drain();
    }
}

TEST_F(PreserveTest, AGuestWithAGuestMemfdIsRefusedBeforeAnythingIsTouched)
{
    guest.guest_memfd();
    guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
        EXPECT_NE(request, KVM_IRQFD) << fd;
    };
    Result<void> ready = guest.preserve.prepare();
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ENOTSUP);
    EXPECT_NE(ready.error().what.find("guest_memfd"), std::string::npos);
}

TEST_F(PreserveTest, WhatWasNotPreparedIsRefused)
{
    EXPECT_FALSE(guest.preserve.run());
    EXPECT_TRUE(move());
}

TEST(StatePieces, AreReadAndPutByIoctlsThatDefineNothing)
{
    for (const StatePiece &piece : x86_state_pieces()) {
        for (uint32_t request : {piece.get, piece.set}) {
            const Row *row = find_row(piece.on, request);
            ASSERT_TRUE(row) << piece.name;
            bool passes = row->effect == Effect::Query ||
                          row->effect == Effect::Volatile || row->classify;
            EXPECT_TRUE(passes) << piece.name << " by " << row->name;
        }
    }
}

} /* namespace */
