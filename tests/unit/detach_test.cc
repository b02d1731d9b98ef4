/*
 * A guest without KVM for a while: nothing of KVM's is left, nothing is lost,
 * and whatever fails leaves it where it was
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "arch.h"
#include "state_pieces.h"
#include "stateful_guest.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class DetachTest : public StatefulGuest {
protected:
    std::set<int> foreign; /* fds that are not KVM's */

    void SetUp() override
    {
        StatefulGuest::SetUp();
        define();
        fill();
    }

    void fill()
    {
        for (int fd : vcpus) {
            std::vector<uint8_t> regs(144, uint8_t(fd));
            guest.kernel.ioctl(fd, KVM_SET_REGS, uintptr_t(regs.data()));
            kvm_msrs_of<1> one{
                .entries = {{.index = 0x174, .data = 0x1000u + fd}}};
            guest.kernel.ioctl(fd, KVM_SET_MSRS, uintptr_t(&one));
        }
    }

    /* What is open or mapped of KVM's. */
    std::vector<std::string> left_of_kvm()
    {
        std::vector<std::string> left;
        for (auto &[fd, file] : guest.kernel.fds()) {
            std::string name = guest.kernel.describe(fd);
            if (name.contains("kvm")) {
                left.push_back(name);
            }
        }
        for (auto &[address, file] : guest.kernel.mappings()) {
            if (file) {
                left.push_back("a mapping");
            }
        }
        return left;
    }
};

TEST_F(DetachTest, NothingOfKvmIsLeftAndEveryNumberIsKept)
{
    auto before = guest.kernel.fds();
    auto mappings = guest.kernel.mappings();
    ASSERT_TRUE(detach());
    EXPECT_TRUE(guest.generations.detached());
    EXPECT_EQ(left_of_kvm(), std::vector<std::string>());
    EXPECT_EQ(guest.kernel.vms(), 0u);
    for (auto &[fd, file] : before) {
        EXPECT_NE(guest.kernel.file_at(fd), 0u) << fd;
    }
    EXPECT_EQ(guest.kernel.fds().size(), before.size());
    EXPECT_EQ(guest.kernel.mappings().size(), mappings.size());
}

TEST_F(DetachTest, ASpareIsClosedTooAndComesBack)
{
    guest.generations.keep_spare(true);
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 2u);
    ASSERT_TRUE(detach());
    EXPECT_EQ(guest.kernel.vms(), 0u);
    guest.slot(1, 0x1000, 0x200000); /* which would wake it */
    guest.generations.drain();
    EXPECT_EQ(left_of_kvm(), std::vector<std::string>());
    ASSERT_TRUE(guest.detach.attach());
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 2u);
}

TEST_F(DetachTest, AllOfItIsThereAgain)
{
    auto before = guest.kernel.state(guest.vm);
    auto fds = guest.kernel.fds();
    auto irqfds = guest.kernel.irqfds(guest.vm);
    ASSERT_TRUE(detach());
    Result<Durations> done = guest.detach.attach();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_FALSE(guest.generations.detached());
    EXPECT_TRUE(is(before));
    EXPECT_EQ(guest.kernel.irqfds(guest.vm), irqfds);
    EXPECT_EQ(guest.kernel.vms(), 1u);
    EXPECT_EQ(guest.kernel.describe(guest.vm), "anon_inode:kvm-vm");
    EXPECT_EQ(guest.kernel.fds().size(), fds.size());
    EXPECT_EQ(guest.generations.status().generation, 1u);
}

TEST_F(DetachTest, TheRunPageComesBack)
{
    uint8_t written[16], seen[16] = {};
    std::ranges::fill(written, 0x5a);
    guest.kernel.write_memory(uintptr_t(page) + 0x10, written);
    ASSERT_TRUE(detach());
    ASSERT_TRUE(guest.detach.attach());
    guest.kernel.read_memory(uintptr_t(page) + 0x10, seen);
    EXPECT_EQ(memcmp(written, seen, 16), 0);
}

TEST_F(DetachTest, ADetachThatFailsLeavesTheGuestOnItsVm)
{
    Holdings holdings = Holdings::of(guest);
    auto state = guest.kernel.state(guest.vm);
    unsigned failed = 0;

    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(nth);
        guest.kernel.fail(nth, nth % 2 ? ENOMEM : EINVAL);
        Result<Durations> done = detach();
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (done) {
            ASSERT_TRUE(guest.detach.attach());
            ASSERT_TRUE(is(state));
            holdings = Holdings::of(guest);
            if (!reached) {
                break;
            }
            continue;
        }
        failed++;
        ASSERT_FALSE(guest.generations.detached());
        ASSERT_EQ(Holdings::of(guest), holdings) << done.error().what;
        ASSERT_TRUE(is(state)) << done.error().what;
        ASSERT_GE(guest.ioctl(guest.vm, KVM_IRQ_LINE, kvm_irq_level{4, 1}), 0);
    }
    EXPECT_GT(failed, 60u);
}

TEST_F(DetachTest, AnAttachThatFailsLeavesItDetachedAndCanBeTriedAgain)
{
    auto state = guest.kernel.state(guest.vm);
    ASSERT_TRUE(detach());
    guest.ioctl(guest.vm, KVM_IRQ_LINE, kvm_irq_level{4, 1});
    auto fds = guest.kernel.fds();
    size_t watches = guest.kernel.watches();
    unsigned failed = 0;

    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(nth);
        guest.kernel.fail(nth, nth % 2 ? ENOMEM : EINVAL);
        Result<Durations> done = guest.detach.attach();
        bool reached = guest.kernel.failed();
        guest.kernel.fail_nothing();
        if (done) {
            ASSERT_TRUE(is(state));
            ASSERT_EQ(guest.ioctls(KVM_IRQ_LINE).size(), 1u);
            if (!reached) {
                break;
            }
            /* Something whose failure is none of anybody's. */
            ASSERT_TRUE(detach());
            guest.ioctl(guest.vm, KVM_IRQ_LINE, kvm_irq_level{4, 1});
            fds = guest.kernel.fds();
            continue;
        }
        failed++;
        ASSERT_TRUE(guest.generations.detached());
        ASSERT_EQ(left_of_kvm(), std::vector<std::string>())
            << done.error().what;
        ASSERT_EQ(guest.kernel.vms(), 0u);
        ASSERT_EQ(guest.kernel.fds(), fds) << done.error().what;
        ASSERT_EQ(guest.kernel.watches(), watches);
        ASSERT_EQ(guest.generations.status().last_error, done.error().what);
    }
    EXPECT_GT(failed, 60u);
}

TEST_F(DetachTest, AFailureIsToldAndCountedAndASpareIsReadyAgain)
{
    std::vector<std::string> phases;
    guest.registry.add({.name = "listens",
                        .phases = {Phase::Quiesce, Phase::Aborted},
                        .preserves = true,
                        .run = [&phases](Phase phase) -> Result<void> {
                            phases.push_back(to_string(phase));
                            return {};
                        },
                        .undo =
                            [&phases](Phase phase) {
                                phases.push_back(
                                    format("undo %s", to_string(phase)));
                            }});
    guest.generations.keep_spare(true);
    for (bool moves : {true, false}) {
        uint64_t aborted = guest.generations.status().aborted;
        ASSERT_TRUE(guest.preserve.prepare());
        guest.kernel.fail(1, ENOMEM);
        Result<Durations> done = moves ? guest.preserve.run()
                                       : guest.detach.detach();
        guest.kernel.fail_nothing();
        ASSERT_FALSE(done);
        EXPECT_EQ(phases, (std::vector<std::string>{"quiesce", "undo quiesce",
                                                    "aborted"}));
        EXPECT_EQ(guest.generations.status().aborted, aborted + 1);
        EXPECT_EQ(guest.generations.status().last_error, done.error().what);
        guest.generations.drain();
        EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);
        phases.clear();
    }
}

TEST_F(DetachTest, AHookThatFailsLeavesItDetached)
{
    guest.registry.add(
        {.name = "fails",
         .owner = this,
         .phases = {Phase::NewVm},
         .preserves = true,
         .run = [](Phase) -> Result<void> { return fail(EIO, "on purpose"); }});
    auto state = guest.kernel.state(guest.vm);
    ASSERT_TRUE(detach());
    ASSERT_FALSE(guest.detach.attach());
    EXPECT_TRUE(guest.generations.detached());
    EXPECT_EQ(left_of_kvm(), std::vector<std::string>());
    guest.registry.remove_owned(this);
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_TRUE(is(state));
}

TEST_F(DetachTest, HooksSpeakToTheVmThatIsInPlace)
{
    int ret = -1;
    guest.registry.add({.name = "asks",
                        .phases = {Phase::NewVm},
                        .preserves = true,
                        .run = [&](Phase) -> Result<void> {
                            uint8_t regs[144];
                            ret = guest.ioctl(vcpus[0], KVM_GET_REGS, regs);
                            return {};
                        }});
    ASSERT_TRUE(detach());
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_EQ(ret, 0);
}

TEST_F(DetachTest, WhatDefinesMeanwhileIsInTheNextVm)
{
    ASSERT_TRUE(detach());
    int other = guest.kernel.eventfd();
    EXPECT_EQ(guest.irqfd(other, 6), 0);
    EXPECT_EQ(guest.irqfd(eventfd, 5, KVM_IRQFD_FLAG_DEASSIGN), 0);
    EXPECT_EQ(guest.slot(7, 0x2000, 0x300000), 0);
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_EQ(guest.kernel.irqfds(guest.vm),
              (std::set<std::pair<uint64_t, uint32_t>>{
                  {guest.kernel.file_at(other), 6}}));
    EXPECT_EQ(guest.ioctls(KVM_SET_USER_MEMORY_REGION).size(), 2u);
}

TEST_F(DetachTest, InterruptsWait)
{
    ASSERT_TRUE(detach());
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_IRQ_LINE, kvm_irq_level{4, i % 2}),
                  0);
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_IRQ_LINE, kvm_irq_level{9, 1}), 0);
    }
    ASSERT_TRUE(guest.detach.attach());
    std::vector<std::pair<int, int>> levels;
    for (const IssuedIoctl &issued : guest.ioctls(KVM_IRQ_LINE)) {
        auto line = issued.as<kvm_irq_level>();
        levels.push_back({line.irq, line.level});
    }
    EXPECT_EQ(levels, (std::vector<std::pair<int, int>>{
                          {9, 1}, {4, 1}, {4, 0}, {4, 1}}));
}

TEST_F(DetachTest, WhatNeedsKvmIsRefused)
{
    uint8_t bytes[1024] = {};
    ASSERT_TRUE(detach());
    EXPECT_EQ(guest.ioctl(vcpus[0], KVM_GET_REGS, bytes), -ENODEV);
    EXPECT_EQ(guest.ioctl(vcpus[0], KVM_SET_REGS, bytes), -ENODEV);
    EXPECT_EQ(guest.ioctl(vcpus[0], KVM_RUN), -ENODEV);
    EXPECT_EQ(guest.vcpu(9), -ENODEV);
    EXPECT_EQ(guest.ioctl(guest.vm, KVM_GET_DIRTY_LOG, bytes), -ENOENT);
    EXPECT_EQ(kvm_reset_passthrough[0x80], 0u);
    EXPECT_FALSE(guest.recorder.blocker());
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_EQ(kvm_reset_passthrough[0x80], KVM_RUN);
    EXPECT_GE(guest.vcpu(9), 0);
}

TEST_F(DetachTest, NoOtherRebirthIsBegunMeanwhile)
{
    EXPECT_FALSE(guest.detach.attach());
    ASSERT_TRUE(detach());
    EXPECT_FALSE(guest.reset());
    EXPECT_FALSE(guest.preserve.prepare());
    EXPECT_FALSE(detach());
    EXPECT_TRUE(guest.generations.detached());
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_TRUE(guest.reset());
}

TEST_F(DetachTest, AKvmThatLacksACapabilityIsRefusedAndItIsNamed)
{
    auto state = guest.kernel.state(guest.vm);
    ASSERT_TRUE(detach());
    guest.kernel.lacks_caps = {157};
    Result<Durations> done = guest.detach.attach();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOTSUP);
    EXPECT_NE(done.error().what.find("KVM_CAP_NESTED_STATE"), std::string::npos)
        << done.error().what;
    EXPECT_EQ(left_of_kvm(), std::vector<std::string>());
    guest.kernel.lacks_caps = {};
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_TRUE(is(state));
}

TEST_F(DetachTest, AFeatureThatTheGuestDoesNotKnowOfIsNotMissed)
{
    kvm_cpuid2_of<1> cpuid{.entries = {{.function = 1, .ecx = 1 << 21}}};
    guest.ioctl(vcpus[0], KVM_SET_CPUID2, cpuid);
    guest.kernel.supported_cpuid = {{{0x80000001, 2}, 4}, {{1, 2}, 1 << 21}};
    ASSERT_TRUE(detach());
    guest.kernel.supported_cpuid = {{{1, 2}, 1 << 21}};
    EXPECT_TRUE(guest.detach.attach());
}

TEST_F(DetachTest, AFeatureThatTheGuestKnowsOfIsMissedAndNamed)
{
    kvm_cpuid2_of<1> cpuid{
        .entries = {{.function = 0x80000001, .ecx = 1 << 2}}};
    guest.ioctl(vcpus[0], KVM_SET_CPUID2, cpuid);
    guest.kernel.supported_cpuid = {{{0x80000001, 2}, 4}};
    ASSERT_TRUE(detach());
    guest.kernel.supported_cpuid = {};
    Result<Durations> done = guest.detach.attach();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("CPUID 0x80000001.0 ECX bit 2 (SVM)"),
              std::string::npos)
        << done.error().what;
    guest.kernel.supported_cpuid = {{{0x80000001, 2}, 4}};
    EXPECT_TRUE(guest.detach.attach());
}

TEST_F(DetachTest, ARegisterThatKvmNoLongerHasIsNamedIfItSaysSomething)
{
    ASSERT_TRUE(detach());
    guest.kernel.lacks_registers = {0x174};
    Result<Durations> done = guest.detach.attach();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().what.find("register 0x174"), std::string::npos)
        << done.error().what;
    guest.kernel.lacks_registers = {0x38f};
    EXPECT_TRUE(guest.detach.attach());
}

TEST_F(DetachTest, AGuestWithAGuestMemfdIsRefusedBeforeAnythingIsTouched)
{
    guest.guest_memfd();
    Result<Durations> done = detach();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOTSUP);
    EXPECT_FALSE(guest.generations.detached());
}

TEST_F(DetachTest, AVcpuThatIsClosedMeanwhileStaysAway)
{
    ASSERT_TRUE(detach());
    guest.recorder.close(vcpus[1]);
    ASSERT_TRUE(guest.detach.attach());
    EXPECT_EQ(guest.ioctls(KVM_CREATE_VCPU).size(), 1u);
}

} /* namespace */
