/*
 * What the recorder keeps of what it sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <gtest/gtest.h>

#include "guest.h"

using namespace uapi;

namespace {

class RecorderTest : public ::testing::Test {
protected:
    Guest guest;

    void reborn()
    {
        kvm_reset::Result<kvm_reset::Phases> done = guest.rebirth.run();
        ASSERT_TRUE(done) << done.error().what;
        guest.rebirth.drain();
    }

    /* How many entries the journal has beyond the VM itself. */
    size_t entries() { return guest.recorder.entries() - 1; }
};

/*
 * Nothing of so many calls may stay.  With a sanitizer each takes ten times as
 * long, and fewer must do.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned forever = 500'000;
#else
constexpr unsigned forever = 10'000'000;
#endif

class Toggled : public RecorderTest {
protected:
    template <class Toggle> void expect_nothing_stays(Toggle toggle)
    {
        guest.kernel.remembers = false;
        guest.listener.remembers = false;
        for (unsigned i = 0; i <= 2; i++) {
            ASSERT_EQ(toggle(i), 0);
        }
        size_t entries = guest.recorder.entries();
        size_t bytes = guest.recorder.footprint();
        size_t watches = guest.kernel.watches();

        for (unsigned i = 3; i <= forever; i++) {
            ASSERT_EQ(toggle(i), 0) << "call " << i;
        }
        EXPECT_EQ(guest.recorder.entries(), entries);
        EXPECT_EQ(guest.recorder.footprint(), bytes);
        EXPECT_EQ(guest.kernel.watches(), watches);
    }
};

TEST_F(Toggled, ASlotToggledForeverIsOneEntry)
{
    expect_nothing_stays(
        [&](unsigned i) { return guest.slot(1, i % 2 ? 0 : 0x1000); });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(Toggled, AnIrqfdToggledForeverIsOneEntry)
{
    int fd = guest.kernel.eventfd();
    expect_nothing_stays([&](unsigned i) {
        return guest.irqfd(fd, 5, i % 2 ? irqfd_deassign : 0);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(Toggled, RoutesChangedForeverAreOneEntry)
{
    Routing<3> routing;
    expect_nothing_stays([&](unsigned i) {
        routing.routes[2].pin = i;
        return guest.ioctl(guest.vm, set_gsi_routing, routing);
    });
    EXPECT_EQ(entries(), 1u);
}

TEST_F(RecorderTest, ReplayKeepsTheOrderOfFirstDefinition)
{
    guest.enable_cap(guest.vm, 121, 24);
    guest.slot(3, 0x1000);
    guest.ioctl(guest.vm, create_irqchip);
    guest.slot(1, 0x1000);
    guest.enable_cap(guest.vm, 121, 48);
    guest.slot(3, 0x2000);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 5u);
    EXPECT_EQ(ioctls[0].request, create_vm);
    EXPECT_EQ(ioctls[1].request, enable_cap);
    EXPECT_EQ(ioctls[1].bytes[8], 48);
    EXPECT_EQ(ioctls[2].request, set_user_memory_region);
    EXPECT_EQ(ioctls[2].bytes[0], 3);
    EXPECT_EQ(ioctls[2].bytes[17], 0x20);
    EXPECT_EQ(ioctls[3].request, create_irqchip);
    EXPECT_EQ(ioctls[4].bytes[0], 1);
}

TEST_F(RecorderTest, ADeletedSlotIsNotBuiltAgain)
{
    guest.slot(3, 0x1000);
    guest.slot(4, 0x1000);
    guest.slot(3, 0);
    reborn();

    std::vector<IssuedIoctl> slots = guest.ioctls(set_user_memory_region);
    ASSERT_EQ(slots.size(), 1u);
    EXPECT_EQ(slots[0].bytes[0], 4);
}

TEST_F(RecorderTest, BothSlotIoctlsSpeakOfTheSameSlots)
{
    guest.slot(3, 0x1000);
    guest.slot(3, 0);
    guest.ioctl(guest.vm, set_user_memory_region2,
                Region2{.slot = 3, .size = 0x3000});
    EXPECT_EQ(entries(), 1u);
    guest.slot(3, 0);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, RoutesAreReplayedWhereTheLastTableStood)
{
    Routing<1> routing;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    guest.slot(1, 0x1000);
    routing.routes[0].gsi = 9;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls();
    ASSERT_EQ(ioctls.size(), 3u);
    EXPECT_EQ(ioctls[1].request, set_user_memory_region);
    EXPECT_EQ(ioctls[2].request, set_gsi_routing);
    EXPECT_EQ(ioctls[2].bytes[8], 9);
}

TEST_F(RecorderTest, OfOverlappingMemoryAttributesTheLatestComesLast)
{
    MemoryAttributes part{.address = 0x1000, .size = 0x1000, .attributes = 8};
    MemoryAttributes whole{.address = 0, .size = 0x4000};
    guest.ioctl(guest.vm, set_memory_attributes, part);
    guest.ioctl(guest.vm, set_memory_attributes, whole);
    guest.ioctl(guest.vm, set_memory_attributes, part);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(set_memory_attributes);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].bytes[9], 0x40);
    EXPECT_EQ(ioctls[1].bytes[9], 0x10);
}

/* --- Deep copies ---------------------------------------------------------- */

TEST_F(RecorderTest, TheCallersCpuidMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    Cpuid2<3> cpuid;
    cpuid.entries[2].eax = 0x12345678;
    guest.ioctl(vcpu, set_cpuid2, cpuid);
    std::vector<IssuedIoctl> before = guest.ioctls(set_cpuid2);
    cpuid = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 8 + 3 * 40u);
    EXPECT_EQ(guest.ioctls(set_cpuid2), before);
}

TEST_F(RecorderTest, TheCallersMsrFilterMayChangeAfterTheCall)
{
    std::vector<uint8_t> first(8, 0x55), second(16, 0xaa);
    MsrFilter filter{.flags = 1};
    filter.ranges[0] = {
        .flags = 1, .count = 60, .base = 0x10, .bitmap = first.data()};
    filter.ranges[5] = {
        .flags = 2, .count = 65, .base = 0x400, .bitmap = second.data()};
    guest.ioctl(guest.vm, set_msr_filter, filter);
    std::vector<IssuedIoctl> before = guest.ioctls(set_msr_filter);
    first.assign(8, 0);
    second.assign(16, 0);
    filter = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    ASSERT_EQ(before[0].pointed.size(), 2u);
    EXPECT_EQ(before[0].pointed[1], std::vector<uint8_t>(16, 0xaa));
    EXPECT_EQ(guest.ioctls(set_msr_filter), before);
}

TEST_F(RecorderTest, TheCallersRoutesMayChangeAfterTheCall)
{
    Routing<4> routing;
    routing.routes[3].pin = 11;
    guest.ioctl(guest.vm, set_gsi_routing, routing);
    std::vector<IssuedIoctl> before = guest.ioctls(set_gsi_routing);
    routing = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 8 + 4 * 48u);
    EXPECT_EQ(guest.ioctls(set_gsi_routing), before);
}

TEST_F(RecorderTest, TheCallersSignalMaskMayChangeAfterTheCall)
{
    int vcpu = guest.vcpu(0);
    SignalMask mask;
    mask.set[3] = 0x80;
    guest.ioctl(vcpu, set_signal_mask, mask);
    std::vector<IssuedIoctl> before = guest.ioctls(set_signal_mask);
    mask = {};
    reborn();

    ASSERT_EQ(before.size(), 1u);
    EXPECT_EQ(before[0].bytes.size(), 12u);
    EXPECT_EQ(guest.ioctls(set_signal_mask), before);
}

TEST_F(RecorderTest, ASignalMaskThatWasTakenAwayStaysAway)
{
    int vcpu = guest.vcpu(0);
    guest.ioctl(vcpu, set_signal_mask, SignalMask{});
    guest.ioctl(vcpu, set_signal_mask, 0u);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(set_signal_mask);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_TRUE(ioctls[0].bytes.empty());
}

/* --- What defines --------------------------------------------------------- */

TEST_F(RecorderTest, FeatureMsrsDefineAndOthersAreVolatile)
{
    int vcpu = guest.vcpu(0);
    Msrs<3> msrs{.msrs = {{.index = 0x10, .data = 1},
                          {.index = 0x10a, .data = 2},
                          {.index = 0x174, .data = 3}}};
    guest.ioctl(vcpu, set_msrs, msrs);
    msrs.msrs[1].data = 4;
    guest.ioctl(vcpu, set_msrs, msrs);
    Msrs<1> other{.msrs = {{.index = 0x480, .data = 9}}};
    guest.ioctl(vcpu, set_msrs, other);
    reborn();

    std::vector<IssuedIoctl> ioctls = guest.ioctls(set_msrs);
    ASSERT_EQ(ioctls.size(), 2u);
    Msrs<1> first{.msrs = {{.index = 0x10a, .data = 4}}};
    ASSERT_EQ(ioctls[0].bytes.size(), sizeof(first));
    EXPECT_EQ(memcmp(ioctls[0].bytes.data(), &first, sizeof(first)), 0);
    ASSERT_EQ(ioctls[1].bytes.size(), sizeof(other));
    EXPECT_EQ(memcmp(ioctls[1].bytes.data(), &other, sizeof(other)), 0);
}

TEST_F(RecorderTest, AnMsrThatTheKernelDidNotTakeIsNotRecorded)
{
    int vcpu = guest.vcpu(0);
    size_t before = entries();
    guest.kernel.takes_msrs = 1;
    Msrs<2> msrs{
        .msrs = {{.index = 0x10a, .data = 2}, {.index = 0x480, .data = 3}}};
    EXPECT_EQ(guest.ioctl(vcpu, set_msrs, msrs), 1);
    EXPECT_EQ(entries(), before + 1);
}

TEST_F(RecorderTest, WhatAResetPutsBackByItselfIsNotRecorded)
{
    int vcpu = guest.vcpu(0);
    size_t before = guest.recorder.footprint();
    uint8_t regs[144] = {}, clock[48] = {}, line[8] = {};
    guest.ioctl(vcpu, set_regs, regs);
    guest.ioctl(guest.vm, set_clock, clock);
    guest.ioctl(guest.vm, irq_line, line);
    guest.ioctl(vcpu, run);
    guest.ioctl(guest.vm, check_extension, 5u);
    EXPECT_EQ(guest.recorder.footprint(), before);
    reborn();
    EXPECT_EQ(guest.ioctls().size(), 2u);
}

TEST_F(RecorderTest, AnIoctlThatFailedIsNotRecorded)
{
    size_t before = entries();
    guest.kernel.fail(set_user_memory_region, 1, ENOMEM);
    EXPECT_EQ(guest.slot(1, 0x1000), -ENOMEM);
    guest.kernel.fail(set_gsi_routing, 1, EINVAL);
    EXPECT_EQ(guest.ioctl(guest.vm, set_gsi_routing, Routing<1>{}), -EINVAL);
    guest.kernel.fail(create_vcpu, 1, EBUSY);
    EXPECT_EQ(guest.vcpu(0), -EBUSY);
    EXPECT_EQ(entries(), before);
    reborn();
    EXPECT_EQ(guest.ioctls().size(), 1u);
}

TEST_F(RecorderTest, AFailedRemovalKeepsTheEntry)
{
    guest.slot(1, 0x1000);
    guest.kernel.fail(set_user_memory_region, 1, EBUSY);
    EXPECT_EQ(guest.slot(1, 0), -EBUSY);
    EXPECT_EQ(entries(), 1u);
}

/* --- Fail closed ---------------------------------------------------------- */

static int some_caller;

TEST_F(RecorderTest, AnUnknownIoctlBlocksWithItsNumberAndItsCaller)
{
    uint8_t arg[16] = {};
    uint32_t unknown = in(0xfe, 16);
    EXPECT_EQ(guest.recorder.ioctl(guest.vm, unknown, uintptr_t(arg),
                                   reinterpret_cast<void *>(&puts)),
              0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("0x4010aefe"), std::string::npos) << *why;
    EXPECT_NE(why->find("0xfe)"), std::string::npos) << *why;
    EXPECT_NE(why->find("puts"), std::string::npos) << *why;
    EXPECT_EQ(guest.listener.blocked().size(), 1u);

    Holdings before = Holdings::of(guest);
    kvm_reset::Result<kvm_reset::Phases> done = guest.rebirth.run();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ENOTSUP);
    EXPECT_NE(done.error().what.find("0x4010aefe"), std::string::npos);
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST_F(RecorderTest, ACallerOutsideAnyLibraryIsAnAddressInTheProgram)
{
    uint8_t arg[16] = {};
    guest.recorder.ioctl(guest.vm, in(0xfe, 16), uintptr_t(arg), &some_caller);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("unit-tests+0x"), std::string::npos) << *why;
}

TEST_F(RecorderTest, AnUnknownIoctlThatTheKernelRefusedDoesNotBlock)
{
    uint8_t arg[16] = {};
    guest.kernel.fail(in(0xfe, 16), 1, ENOTTY);
    EXPECT_EQ(guest.recorder.ioctl(guest.vm, in(0xfe, 16), uintptr_t(arg)),
              -ENOTTY);
    EXPECT_FALSE(guest.recorder.blocker());
}

TEST_F(RecorderTest, TheFirstReasonStays)
{
    guest.recorder.block("first");
    guest.recorder.block("second");
    EXPECT_EQ(guest.recorder.blocker(), "first");
    EXPECT_EQ(guest.listener.blocked().size(), 1u);
}

TEST_F(RecorderTest, ACapabilityThatNoRulingNamesBlocks)
{
    EXPECT_EQ(guest.enable_cap(guest.vm, 9999, 1), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("KVM_ENABLE_CAP"), std::string::npos) << *why;
}

TEST_F(RecorderTest, ASecondVmBlocks)
{
    int second = guest.ioctl(guest.kvm, create_vm, 0);
    EXPECT_GE(second, 0);
    EXPECT_TRUE(guest.recorder.blocker());
}

TEST_F(RecorderTest, AnIoctlOnAnFdThatWasNeverSeenBlocks)
{
    /* Another part of the program made a VM that we did not see. */
    int kvm = guest.kernel.open_kvm();
    int vm = guest.kernel.ioctl(kvm, create_vm, 0);
    guest.ioctl(vm, set_user_memory_region, Region{.slot = 1, .size = 1});
    EXPECT_TRUE(guest.recorder.blocker());
}

TEST_F(RecorderTest, ANewVmBeginsWithoutTheOldOnesBlocker)
{
    guest.recorder.block("something");
    EXPECT_EQ(guest.recorder.close(guest.vm), 0);
    EXPECT_FALSE(guest.recorder.recording());
    EXPECT_EQ(guest.recorder.entries(), 0u);
    guest.vm = guest.ioctl(guest.kvm, create_vm, 0);
    EXPECT_FALSE(guest.recorder.blocker());
    guest.slot(1, 0x1000);
    reborn();
    EXPECT_EQ(guest.ioctls(set_user_memory_region).size(), 1u);
}

/* --- Files ---------------------------------------------------------------- */

TEST_F(RecorderTest, AClosedEventfdWhoseNumberIsAnotherFileIsDropped)
{
    int gone = guest.kernel.eventfd(), kept = guest.kernel.eventfd();
    guest.irqfd(gone, 5);
    guest.irqfd(kept, 6);
    guest.kernel.close(gone);
    ASSERT_EQ(guest.kernel.eventfd(), gone);
    reborn();

    EXPECT_EQ(guest.kernel.irqfds(guest.vm),
              (std::set<std::pair<uint64_t, uint32_t>>{
                  {guest.kernel.file_at(kept), 6}}));
    EXPECT_EQ(guest.listener.stale().size(), 1u);
    EXPECT_EQ(entries(), 1u);
}

TEST_F(RecorderTest, AClosedEventfdIsDropped)
{
    int gone = guest.kernel.eventfd();
    guest.irqfd(gone, 5);
    guest.kernel.close(gone);
    reborn();
    EXPECT_TRUE(guest.kernel.irqfds(guest.vm).empty());
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AReusedNumberMayBeAnIrqfdAgain)
{
    int fd = guest.kernel.eventfd();
    guest.irqfd(fd, 5);
    guest.kernel.close(fd);
    ASSERT_EQ(guest.kernel.eventfd(), fd);
    EXPECT_EQ(guest.irqfd(fd, 8), 0);
    reborn();
    EXPECT_EQ(guest.kernel.irqfds(guest.vm),
              (std::set<std::pair<uint64_t, uint32_t>>{
                  {guest.kernel.file_at(fd), 8}}));
}

TEST_F(RecorderTest, AnEventfdInTwoPlacesStaysWatchedUntilItLeavesBoth)
{
    int fd = guest.kernel.eventfd();
    guest.irqfd(fd, 5);
    guest.ioeventfd(fd, 0x1000);
    guest.irqfd(fd, 5, irqfd_deassign);
    reborn();
    EXPECT_EQ(guest.ioctls(ioeventfd).size(), 1u);
    guest.ioeventfd(fd, 0x1000, ioeventfd_deassign);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AnEventfdThatCannotBeWatchedBlocks)
{
    int fd = guest.kernel.eventfd();
    guest.kernel.fail(FakeKernel::Call::Watch, 1, ENOSPC);
    EXPECT_EQ(guest.irqfd(fd, 5), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why) << "the irqfd would be lost without a word";
    EXPECT_NE(why->find("ENOSPC"), std::string::npos) << *why;
}

TEST_F(RecorderTest, ASlotNamesTheNewGuestMemfd)
{
    int memfd = guest.guest_memfd();
    Region2 region{.slot = 2,
                   .flags = mem_guest_memfd,
                   .size = 0x200000,
                   .memfd = uint32_t(memfd)};
    ASSERT_EQ(guest.ioctl(guest.vm, set_user_memory_region2, region), 0);
    uint64_t old = guest.kernel.file_at(memfd);
    std::vector<IssuedIoctl> before = guest.ioctls(set_user_memory_region2);
    reborn();

    EXPECT_NE(guest.kernel.file_at(memfd), old);
    /* The fake takes no memfd but the VM's own. */
    EXPECT_EQ(guest.ioctls(set_user_memory_region2), before);
    /* And userspace goes on with the old number. */
    EXPECT_EQ(guest.ioctl(guest.vm, set_user_memory_region2, region), 0);
}

TEST_F(RecorderTest, ADeviceIsFoundThroughTheFdInItsStruct)
{
    int device = guest.vfio_device();
    ASSERT_GE(device, 0);
    int file = guest.kernel.file("/dev/vfio/7");
    EXPECT_EQ(guest.vfio_file(device, file), 0);
    uint64_t old = guest.kernel.file_at(device);
    std::vector<IssuedIoctl> before = guest.ioctls(set_device_attr);
    reborn();

    EXPECT_NE(guest.kernel.file_at(device), old);
    EXPECT_EQ(guest.kernel.describe(device), "anon_inode:kvm-vfio");
    EXPECT_EQ(guest.ioctls(set_device_attr), before);
    EXPECT_EQ(guest.vfio_file(device, file, 2), 0);
    reborn();
    EXPECT_TRUE(guest.ioctls(set_device_attr).empty());
}

TEST_F(RecorderTest, AskingWhetherADeviceExistsCreatesNone)
{
    CreateDevice test{.flags = 1};
    EXPECT_EQ(guest.ioctl(guest.vm, create_device, test), 0);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AStatsFdReadsTheNewVm)
{
    int stats = guest.ioctl(guest.vm, get_stats_fd);
    int vcpu = guest.vcpu(0);
    int vcpu_stats = guest.ioctl(vcpu, get_stats_fd);
    uint64_t old = guest.kernel.file_at(stats);
    uint64_t old_vcpu = guest.kernel.file_at(vcpu_stats);
    reborn();

    EXPECT_NE(guest.kernel.file_at(stats), old);
    EXPECT_EQ(guest.kernel.describe(stats), "anon_inode:kvm-vm-stats");
    EXPECT_NE(guest.kernel.file_at(vcpu_stats), old_vcpu);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AStatsFdOutlivesItsVcpu)
{
    int vcpu = guest.vcpu(0);
    int stats = guest.ioctl(vcpu, get_stats_fd);
    EXPECT_EQ(guest.recorder.close(vcpu), 0);
    reborn();
    EXPECT_NE(guest.kernel.file_at(stats), 0u);
    EXPECT_EQ(guest.recorder.close(stats), 0);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AFileThatUserspaceClosesAtOnceIsHeld)
{
    int provision = guest.kernel.file("/dev/sgx_provision");
    EXPECT_EQ(guest.enable_cap(guest.vm, 196, provision), 0);
    std::vector<IssuedIoctl> before = guest.ioctls(enable_cap);
    guest.kernel.close(provision);
    reborn();
    EXPECT_EQ(guest.ioctls(enable_cap), before);
}

TEST_F(RecorderTest, AFileThatCannotBeHeldBlocks)
{
    int provision = guest.kernel.file("/dev/sgx_provision");
    guest.kernel.fail(FakeKernel::Call::Dup, 1, EMFILE);
    EXPECT_EQ(guest.enable_cap(guest.vm, 196, provision), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("EMFILE"), std::string::npos) << *why;
}

/* --- Removal -------------------------------------------------------------- */

TEST_F(RecorderTest, UnregisteringPartOfACoalescedZoneTakesItAway)
{
    auto zone = [&](uint32_t request, uint64_t addr, uint32_t size,
                    uint32_t pio = 0) {
        return guest.ioctl(guest.vm, request,
                           Zone{.addr = addr, .size = size, .pio = pio});
    };
    zone(register_coalesced_mmio, 0xa0000, 0x20000);
    zone(register_coalesced_mmio, 0xa0000, 0x20000, 1);
    zone(register_coalesced_mmio, 0xd0000, 0x1000);
    EXPECT_EQ(entries(), 3u);
    zone(unregister_coalesced_mmio, 0xa8000, 0x1000);
    EXPECT_EQ(entries(), 2u);
    /* A range that is larger than the zone does not lie in it. */
    zone(unregister_coalesced_mmio, 0xc0000, 0x100000);
    EXPECT_EQ(entries(), 2u);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(register_coalesced_mmio);
    ASSERT_EQ(ioctls.size(), 2u);
    EXPECT_EQ(ioctls[0].bytes[12], 1);
    EXPECT_EQ(ioctls[1].bytes[2], 0xd);
}

TEST_F(RecorderTest, AnIoeventfdIsTakenAwayByItsAddressAndMatch)
{
    int a = guest.kernel.eventfd(), b = guest.kernel.eventfd();
    guest.ioeventfd(a, 0x1000, ioeventfd_datamatch, 1);
    guest.ioeventfd(b, 0x1000, ioeventfd_datamatch, 2);
    guest.ioeventfd(a, 0x1000, ioeventfd_datamatch | ioeventfd_deassign, 1);
    reborn();
    std::vector<IssuedIoctl> ioctls = guest.ioctls(ioeventfd);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_EQ(ioctls[0].bytes[0], 2);
}

TEST_F(RecorderTest, GuestDebuggingThatEndedIsNotReplayed)
{
    int vcpu = guest.vcpu(0);
    uint32_t debug[18] = {1};
    guest.ioctl(vcpu, set_guest_debug, debug);
    EXPECT_EQ(entries(), 2u);
    debug[0] = 0;
    guest.ioctl(vcpu, set_guest_debug, debug);
    EXPECT_EQ(entries(), 1u);
}

/* --- vCPUs and mappings --------------------------------------------------- */

TEST_F(RecorderTest, AClosedVcpuIsNotCreatedAgain)
{
    int kept = guest.vcpu(0), gone = guest.vcpu(1);
    guest.ioctl(gone, set_cpuid2, Cpuid2<1>{});
    guest.ioctl(gone, set_signal_mask, SignalMask{});
    EXPECT_EQ(guest.recorder.close(gone), 0);
    EXPECT_EQ(entries(), 1u);
    reborn();
    EXPECT_EQ(guest.ioctls(create_vcpu).size(), 1u);
    EXPECT_EQ(guest.kernel.describe(kept), "anon_inode:kvm-vcpu:0");
}

TEST_F(RecorderTest, AVcpuClosedUnseenIsNotCreatedAgain)
{
    guest.vcpu(0);
    int gone = guest.vcpu(1);
    guest.ioctl(gone, set_cpuid2, Cpuid2<1>{});
    guest.kernel.close(gone);
    ASSERT_EQ(guest.kernel.file("/etc/passwd"), gone);
    uint64_t other = guest.kernel.file_at(gone);
    reborn();
    EXPECT_EQ(guest.ioctls(create_vcpu).size(), 1u);
    EXPECT_EQ(guest.kernel.file_at(gone), other);
    EXPECT_EQ(guest.listener.stale().size(), 1u);
}

TEST_F(RecorderTest, AParkedVcpuKeepsItsNumberAndIsMappedNoMore)
{
    int vcpu = guest.vcpu(3);
    void *run = guest.map(vcpu);
    EXPECT_EQ(guest.recorder.munmap(run, 0x3000), 0);
    reborn();
    EXPECT_TRUE(guest.kernel.mappings().empty());
    EXPECT_EQ(guest.kernel.describe(vcpu), "anon_inode:kvm-vcpu:3");
    EXPECT_EQ(guest.ioctls(create_vcpu).size(), 1u);

    run = guest.map(vcpu);
    reborn();
    EXPECT_EQ(guest.kernel.mappings().at(uintptr_t(run)),
              guest.kernel.file_at(vcpu));
}

TEST_F(RecorderTest, EveryMappingOfAVcpuIsOfTheNewOne)
{
    int vcpu = guest.vcpu(0);
    void *run = guest.map(vcpu), *ring = guest.map(vcpu, 0x10000, 0x40000);
    reborn();
    std::map<uintptr_t, uint64_t> now = guest.kernel.mappings();
    EXPECT_EQ(now.size(), 2u);
    EXPECT_EQ(now.at(uintptr_t(run)), guest.kernel.file_at(vcpu));
    EXPECT_EQ(now.at(uintptr_t(ring)), guest.kernel.file_at(vcpu));
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AnAnonymousMappingIsNobodys)
{
    void *at;
    EXPECT_EQ(guest.recorder.mmap(nullptr, 0x1000, PROT_READ,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &at),
              0);
    reborn();
    EXPECT_EQ(guest.kernel.mappings().at(uintptr_t(at)), 0u);
}

TEST_F(RecorderTest, ASnapshotStaysAsItWas)
{
    guest.slot(1, 0x1000);
    kvm_reset::Snapshot before = guest.recorder.snapshot();
    guest.slot(1, 0);
    guest.slot(2, 0x1000);
    EXPECT_EQ(before.entries.size(), 2u);
    EXPECT_EQ(before.entries[1]->arg.bytes()[0], 1);
    EXPECT_NE(before.version, guest.recorder.snapshot().version);
}

TEST_F(RecorderTest, SayingTheSameAgainIsNoNewVersion)
{
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, set_gsi_routing, Routing<2>{});
    uint64_t version = guest.recorder.snapshot().version;
    guest.slot(1, 0x1000);
    guest.ioctl(guest.vm, set_gsi_routing, Routing<2>{});
    EXPECT_EQ(guest.recorder.snapshot().version, version);
}

TEST_F(RecorderTest, OnlyWhatIsNotQuietIsReported)
{
    guest.ioctl(guest.vm, check_extension, 3);
    guest.slot(1, 0x1000);
    EXPECT_EQ(guest.listener.seen(),
              (std::vector<std::string>{"KVM_CREATE_VM",
                                        "KVM_SET_USER_MEMORY_REGION"}));
}

} /* namespace */
