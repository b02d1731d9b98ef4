/*
 * Copies of arguments
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cstring>

#include <gtest/gtest.h>

#include "argument.h"
#include "kvm_abi.h"

using namespace kvm_reset;

namespace {

const Row &row(FdClass on, uint32_t request)
{
    return *find_row(on, request);
}

const Row &msr_filter_row()
{
    return row(FdClass::Vm, uapi::set_msr_filter);
}

TEST(ArgumentTest, AReplayPointsIntoItsOwnCopy)
{
    uint8_t bitmap[16] = {1, 2, 3};
    uapi::MsrFilter filter;
    filter.ranges[4] = {.flags = 1, .count = 128, .base = 9, .bitmap = bitmap};
    Argument copy = Argument::copy(msr_filter_row(), uintptr_t(&filter));

    LiveArgument one = copy.live(), two = copy.live();
    uapi::MsrFilter seen, other;
    memcpy(&seen, reinterpret_cast<void *>(one.pass()), sizeof(seen));
    memcpy(&other, reinterpret_cast<void *>(two.pass()), sizeof(other));
    EXPECT_EQ(seen.ranges[3].bitmap, nullptr);
    ASSERT_NE(seen.ranges[4].bitmap, nullptr);
    EXPECT_NE(seen.ranges[4].bitmap, bitmap);
    EXPECT_NE(seen.ranges[4].bitmap, other.ranges[4].bitmap);
    EXPECT_EQ(memcmp(seen.ranges[4].bitmap, bitmap, sizeof(bitmap)), 0);
    EXPECT_EQ(seen.ranges[4].base, 9u);
}

TEST(ArgumentTest, TwoCopiesOfTheSameAreEqualWhereverTheyCameFrom)
{
    uint8_t here[8] = {7}, there[8] = {7};
    uapi::MsrFilter a, b;
    a.ranges[0] = {.count = 64, .bitmap = here};
    b.ranges[0] = {.count = 64, .bitmap = there};
    Argument one = Argument::copy(msr_filter_row(), uintptr_t(&a));
    EXPECT_EQ(one, Argument::copy(msr_filter_row(), uintptr_t(&b)));
    there[7] = 1;
    EXPECT_NE(one, Argument::copy(msr_filter_row(), uintptr_t(&b)));
}

TEST(ArgumentTest, ACountOfZeroIsNotFollowed)
{
    uapi::MsrFilter filter;
    filter.ranges[0].bitmap = reinterpret_cast<const uint8_t *>(16);
    Argument copy = Argument::copy(msr_filter_row(), uintptr_t(&filter));
    EXPECT_TRUE(copy.pointed().empty());
    LiveArgument live = copy.live();
    EXPECT_EQ(read_field(live.bytes, {.offset = 24, .width = 8}), 0u);
}

TEST(ArgumentTest, APointerThatDependsOnAFieldIsFollowedOnlyThen)
{
    const Row &cap = row(FdClass::Vcpu, uapi::enable_cap);
    uint16_t version = 0x1234;
    uapi::EnableCap arg{.cap = 163, .args = {uint64_t(&version)}};
    EXPECT_EQ(Argument::copy(cap, uintptr_t(&arg)).pointed().size(), 2u);
    arg.cap = 123;
    arg.args[0] = 77;
    Argument copy = Argument::copy(cap, uintptr_t(&arg));
    EXPECT_TRUE(copy.pointed().empty());
    EXPECT_EQ(copy.read({.offset = 8, .width = 8}), 77u);
}

TEST(ArgumentTest, AnElementIsAnArgumentWithThatOneAlone)
{
    const Row &msrs = row(FdClass::Vcpu, uapi::set_msrs);
    uapi::Msrs<3> arg{.msrs = {{1, 0, 10}, {2, 0, 20}, {3, 0, 30}}};
    Argument copy = Argument::copy(msrs, uintptr_t(&arg));
    EXPECT_EQ(copy.elements(msrs), 3u);
    uapi::Msrs<1> second{.msrs = {{2, 0, 20}}};
    EXPECT_EQ(copy.element(msrs, 1), Argument::copy(msrs, uintptr_t(&second)));
}

TEST(ArgumentTest, AValueIsNoPointer)
{
    const Row &vcpu = row(FdClass::Vm, uapi::create_vcpu);
    Argument copy = Argument::copy(vcpu, 7);
    EXPECT_EQ(copy.live().pass(), 7u);
    EXPECT_TRUE(copy.bytes().empty());
}

TEST(ArgumentTest, ANullPointerStaysNull)
{
    const Row &mask = row(FdClass::Vcpu, uapi::set_signal_mask);
    EXPECT_EQ(Argument::copy(mask, 0).live().pass(), 0u);
}

TEST(ArgumentTest, AFieldOutsideTheBytesReadsAsZeroAndIsNotWritten)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    EXPECT_EQ(read_field(bytes, {.offset = 2, .width = 4}), 0u);
    write_field(bytes, {.offset = 2, .width = 4}, ~0ull);
    EXPECT_EQ(bytes[3], 4);
    EXPECT_EQ(read_field(bytes, {.offset = 2, .width = 2}), 0x0403u);
}

TEST(ArgumentTest, AFieldInsideIsReadAndWrittenWhereThePointerLeads)
{
    const Row &attr = row(FdClass::Device, uapi::set_device_attr);
    int32_t fd = 42;
    uapi::DeviceAttr arg{.group = 1, .attr = 1, .addr = &fd};
    Argument copy = Argument::copy(attr, uintptr_t(&arg));
    Field inside{.offset = 0, .width = 4, .inside = true};
    EXPECT_EQ(copy.read(inside), 42u);
    copy.write(inside, 43);
    EXPECT_EQ(copy.pointed()[0], 43);
    EXPECT_EQ(fd, 42);

    arg.addr = nullptr;
    EXPECT_EQ(Argument::copy(attr, uintptr_t(&arg)).read(inside), 0u);
}

} /* namespace */
