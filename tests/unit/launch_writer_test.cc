/*
 * An ordinary guest runs from what somebody brought
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "igvm_launched_guest.h"
#include "launch_writer.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t four_gib = uint64_t(1) << 32;
constexpr uint64_t ram_at = 0, more_ram_at = 0x8000, part = 0x8000;
constexpr uint64_t rom_size = 0x10000;

/* Its RAM is of two slots. */
struct Ordinary : Guest {
    alignas(4096) uint8_t ram[part], more_ram[part], rom[rom_size];
    std::vector<int> vcpus;
    LaunchWriter writer{recorder};
    LaunchHost host;

    Ordinary()
    {
        memory(0, ram_at, ram, part);
        memory(1, more_ram_at, more_ram, part);
        memory(2, four_gib - rom_size, rom, rom_size, KVM_MEM_READONLY);
        memset(ram, 0x11, part);
        memset(more_ram, 0x22, part);
        memset(rom, 0x33, rom_size);
        vcpus = {vcpu(0), vcpu(1)};
        host.ram = {{ram_at, 2 * part}};
        host.rom = {four_gib - rom_size, rom_size};
    }

    Result<OtherLaunch> try_file(const Blob &bytes)
    {
        return arch()->launch_of_igvm(kernel, recorder.recorded(), bytes, host);
    }

    void bring(const Blob &bytes, bool once = false,
               LaunchSource by = LaunchSource::Guest)
    {
        auto other = try_file(bytes);
        ASSERT_TRUE(other) << other.error().what;
        EXPECT_EQ(other->measurement.digest, "");
        recorder.choose_launch(by, std::make_shared<OtherLaunch>(*other), once);
    }

    /* Devices are reset, RAM stays. */
    Result<void> start()
    {
        expect_reborn(*this);
        return writer.write();
    }

    Blob last_page() const { return {rom + rom_size - 4096, rom + rom_size}; }
};

/* Entered at 1 MiB, in 32 bits without paging. */
Blob native_context(uint64_t cr0 = 0x11)
{
    Blob bytes(native_context_size);
    auto put = [&](size_t at, uint64_t value, size_t size) {
        memcpy(&bytes[at], &value, size);
    };

    put(8, 0xabcd, 8); /* RCX */
    put(128, 0x4000, 8);
    for (size_t segment : {168, 180}) {
        put(segment, 8, 2);
        put(segment + 2, segment == 168 ? 0xc09b : 0xc093, 2);
        put(segment + 8, 0xffffffff, 4);
    }
    put(200, cr0, 8);
    put(216, 0x40, 8); /* CR4.MCE */
    return bytes;
}

Blob native_file(uint8_t seed = 5, bool context = false)
{
    IgvmWriter writer = igvm_writer();

    writer.add(page_at(0xfffff000, writer.data(page_of(seed)), native_mask));
    writer.add(page_at(more_ram_at - 4096,
                       writer.data(page_of(uint8_t(seed + 1))), native_mask));
    writer.add(page_at(more_ram_at, writer.data(page_of(uint8_t(seed + 2))),
                       native_mask));
    writer.add(page_at(more_ram_at + 4096, 0, native_mask));
    if (context) {
        writer.add(context_at(0, writer.data(native_context()), native_mask));
    }
    return writer.build();
}

TEST(LaunchWriterTest, WritesMemoryAndPutsTheHostsFirmwareBack)
{
    Ordinary guest;
    guest.bring(native_file());
    for (int i = 0; i < 3; i++) {
        memset(guest.more_ram, 0x44, part); /* the guest does */
        ASSERT_TRUE(guest.start());
        EXPECT_EQ(guest.last_page(), page_of(5));
        EXPECT_EQ(guest.rom[0], 0x33);
        EXPECT_EQ(Blob(guest.ram + part - 4096, guest.ram + part), page_of(6));
        EXPECT_EQ(Blob(guest.more_ram, guest.more_ram + 4096), page_of(7));
        EXPECT_EQ(guest.more_ram[4096], 0);
        EXPECT_EQ(guest.more_ram[8192], 0x44);
        EXPECT_TRUE(guest.ioctls(KVM_SET_SREGS).empty()) << "as after a reset";
        EXPECT_EQ(guest.recorder.launches().in_place()->source,
                  LaunchSource::Guest);
    }
    guest.recorder.choose_launch(LaunchSource::Guest, nullptr, false);
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(guest.last_page(), Blob(4096, 0x33));
    EXPECT_FALSE(guest.recorder.launches().in_place());
}

TEST(LaunchWriterTest, OneLaunchAfterTheOtherLeavesNothingOfTheFirst)
{
    Ordinary guest;
    IgvmWriter low = igvm_writer();
    low.add(page_at(four_gib - rom_size, low.data(page_of(9)), native_mask));
    guest.bring(native_file());
    ASSERT_TRUE(guest.start());
    guest.bring(low.build(), true);
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(guest.last_page(), Blob(4096, 0x33));
    EXPECT_EQ(Blob(guest.rom, guest.rom + 4096), page_of(9));
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(guest.last_page(), Blob(4096, 0x33)) << "once is once";
    EXPECT_EQ(guest.rom[0], 0x33);
}

TEST(LaunchWriterTest, AnAcpiTableIsWhereTheFileWantsIt)
{
    Ordinary guest;
    IgvmWriter writer = igvm_writer();
    writer.add(ParameterArea{.size = 4096, .index = 0, .data = no_data});
    writer.add(Type::Madt, Parameter{.area = 0, .offset = 8});
    writer.add(
        ParameterInsert{.gpa = more_ram_at, .mask = native_mask, .area = 0});
    expect_refused(guest.try_file(writer.build()), EINVAL, "MADT");

    guest.host.madt = {'A', 'P', 'I', 'C'};
    guest.bring(writer.build());
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(Blob(guest.more_ram + 8, guest.more_ram + 13),
              Blob({'A', 'P', 'I', 'C', 0}));
}

TEST(LaunchWriterTest, TheFirstVcpuStartsAsTheFileSays)
{
    Ordinary guest;
    guest.bring(native_file(5, true));
    ASSERT_TRUE(guest.start());
    const auto sregs = guest.ioctls(KVM_SET_SREGS);
    const auto regs = guest.ioctls(KVM_SET_REGS);
    ASSERT_EQ(sregs.size(), 1u);
    ASSERT_EQ(regs.size(), 1u);
    EXPECT_EQ(sregs[0].on, "vcpu 0");
    const auto given = sregs[0].as<kvm_sregs>();
    EXPECT_EQ(given.cr0, 0x11u);
    EXPECT_EQ(given.cs.base, 0u);
    EXPECT_EQ(given.cs.selector, 8);
    EXPECT_EQ(given.cs.db, 1);
    EXPECT_EQ(given.ds.limit, 0xffffffffu);
    EXPECT_EQ(given.cr4, 0x40u) << "KVM adds nothing by itself";
    const auto general = regs[0].as<kvm_regs>();
    EXPECT_EQ(general.rip, 0x4000u);
    EXPECT_EQ(general.rcx, 0xabcdu);
}

TEST(LaunchWriterTest, TheVmAndItsSpareAreTheSame)
{
    Ordinary guest;
    guest.generations.keep_spare(true, false);
    guest.generations.drain();
    guest.bring(native_file());
    for (int i = 0; i < 2; i++) {
        const Definition definition = guest.recorder.freeze().snapshot();
        EXPECT_EQ(definition.plan.state(), LaunchState::None);
        EXPECT_EQ(definition.other, 0u);
        EXPECT_EQ(guest.generations.spare().state, SpareState::Ready);
        guest.kernel.fail(KVM_CREATE_VM, 1, EMFILE);
        Result<Durations> done = guest.reset();
        guest.kernel.fail_nothing();
        ASSERT_TRUE(done) << done.error().what;
        ASSERT_TRUE(guest.generations.before_run());
        ASSERT_TRUE(guest.writer.write());
        EXPECT_EQ(guest.last_page(), page_of(5));
        guest.generations.drain();
    }
}

/* --- failures ------------------------------------------------------------- */

TEST(LaunchWriterTest, WhatCannotBeWrittenIsFollowedByTheHosts)
{
    for (bool registers : {false, true}) {
        Ordinary guest;
        guest.bring(native_file(5, true));
        expect_reborn(guest);
        if (registers) {
            guest.kernel.fail(KVM_SET_REGS, 1, EINVAL);
        } else {
            guest.kernel.fail(FakeKernel::Call::WriteMemory, 2, EFAULT);
        }
        Result<void> done = guest.writer.write();
        ASSERT_FALSE(done);
        EXPECT_TRUE(done.error().what.contains(
            registers ? "KVM_SET_REGS" : "at the address 0x7000"))
            << done.error().what;
        EXPECT_EQ(guest.last_page(), Blob(4096, 0x33));
        EXPECT_FALSE(guest.recorder.launches().in_place());
        EXPECT_FALSE(guest.recorder.launches().next()) << "not again, either";
        ASSERT_TRUE(guest.start());
        EXPECT_EQ(guest.last_page(), Blob(4096, 0x33));
    }
}

TEST(LaunchWriterTest, MemoryThatIsGoneByThenIsNoticedBeforeAnyIsWritten)
{
    Ordinary guest;
    guest.bring(native_file());
    expect_reborn(guest);
    guest.memory(1, more_ram_at, guest.more_ram, 0);
    expect_refused(guest.writer.write(), EINVAL,
                   "where this guest has no memory any more");
    EXPECT_EQ(guest.last_page(), Blob(4096, 0x33));
    EXPECT_EQ(guest.ram[part - 4096], 0x11);
}

TEST(LaunchWriterTest, AnOperatorsStandsWhereTheGuestsIsDropped)
{
    Ordinary guest;
    guest.bring(native_file(5), false, LaunchSource::Operator);
    guest.bring(native_file(8));
    expect_reborn(guest);
    guest.kernel.fail(FakeKernel::Call::WriteMemory, 1, EFAULT);
    ASSERT_FALSE(guest.writer.write());
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(guest.last_page(), page_of(5));
}

/* --- files that are not for this guest ------------------------------------ */

TEST(LaunchWriterTest, AFileForAnotherGuestIsRefused)
{
    Ordinary guest;
    auto refused = [&](const IgvmWriter &writer, int code, const char *what) {
        expect_refused(guest.try_file(writer.build()), code, what);
    };

    IgvmWriter other = igvm_writer();
    other.add(page_at(0x1000, other.data(page_of(1)), snp_mask));
    refused(other, EINVAL, "no page for this platform");

    IgvmWriter outside = igvm_writer();
    outside.add(page_at(2 * part, outside.data(page_of(1)), native_mask));
    refused(outside, EINVAL, "0x10000");

    IgvmWriter second = igvm_writer();
    second.add(page_at(0x1000, second.data(page_of(1)), native_mask));
    second.add(context_at(1, second.data(native_context()), native_mask));
    refused(second, EINVAL, "vCPU 1");

    IgvmWriter mode = igvm_writer();
    mode.add(page_at(0x1000, mode.data(page_of(1)), native_mask));
    mode.add(context_at(0, mode.data(native_context(0x80000010)), native_mask));
    refused(mode, EINVAL, "CR0");

    /* RAM, as QEMU says, and no slot. */
    guest.host.ram = {{0, 0x20000}};
    refused(outside, EINVAL, "where this guest has no memory");

    /* What only SMM has is none of it. */
    guest.memory(1 << 16 | 3, 2 * part, guest.ram, part);
    refused(outside, EINVAL, "where this guest has no memory");

    guest.host.most_bytes = 0x3000;
    EXPECT_TRUE(guest.try_file(native_file()));
    guest.host.most_bytes = 0x2fff;
    expect_refused(guest.try_file(native_file()), EFBIG,
                   "raise kvm-reset-launch-memory");

    guest.host.most_bytes = 1 << 20;
    guest.host.rom = {};
    expect_refused(guest.try_file(native_file()), ENOTSUP,
                   "in flash, which is neither written over");
}

} /* namespace */
