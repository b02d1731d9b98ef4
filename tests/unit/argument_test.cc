/*
 * Copies of arguments
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cstring>

#include <gtest/gtest.h>

#include "argument.h"
#include "field_of.h"
#include "kvm_abi.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

const Row &row(FdClass on, uint32_t request)
{
    return *find_row(on, request);
}

const Row &msr_filter_row()
{
    return row(FdClass::Vm, KVM_X86_SET_MSR_FILTER);
}

TEST(ArgumentTest, AReplayPointsIntoItsOwnCopy)
{
    uint8_t bitmap[16] = {1, 2, 3};
    kvm_msr_filter filter;
    filter.ranges[4] = {.flags = 1, .nmsrs = 128, .base = 9, .bitmap = bitmap};
    Argument copy = Argument::copy(msr_filter_row(), uintptr_t(&filter));

    LiveArgument one = copy.live(), two = copy.live();
    kvm_msr_filter seen, other;
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
    kvm_msr_filter a, b;
    a.ranges[0] = {.nmsrs = 64, .bitmap = here};
    b.ranges[0] = {.nmsrs = 64, .bitmap = there};
    Argument one = Argument::copy(msr_filter_row(), uintptr_t(&a));
    EXPECT_EQ(one, Argument::copy(msr_filter_row(), uintptr_t(&b)));
    there[7] = 1;
    EXPECT_NE(one, Argument::copy(msr_filter_row(), uintptr_t(&b)));
}

TEST(ArgumentTest, ACountOfZeroIsNotFollowed)
{
    kvm_msr_filter filter;
    filter.ranges[0].bitmap = reinterpret_cast<uint8_t *>(16);
    Argument copy = Argument::copy(msr_filter_row(), uintptr_t(&filter));
    EXPECT_TRUE(copy.pointed().empty());
    LiveArgument live = copy.live();
    EXPECT_EQ(read_field(live.bytes, field_of(&kvm_msr_filter::ranges,
                                              &kvm_msr_filter_range::bitmap)),
              0u);
}

TEST(ArgumentTest, APointerThatDependsOnAFieldIsFollowedOnlyThen)
{
    const Row &cap = row(FdClass::Vcpu, KVM_ENABLE_CAP);
    uint16_t version = 0x1234;
    kvm_enable_cap arg{.cap = KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
                       .args = {uint64_t(&version)}};
    EXPECT_EQ(Argument::copy(cap, uintptr_t(&arg)).pointed().size(), 2u);
    arg.cap = KVM_CAP_HYPERV_SYNIC;
    arg.args[0] = 77;
    Argument copy = Argument::copy(cap, uintptr_t(&arg));
    EXPECT_TRUE(copy.pointed().empty());
    EXPECT_EQ(copy.read(field_of(&kvm_enable_cap::args)), 77u);
}

TEST(ArgumentTest, AnElementIsAnArgumentWithThatOneAlone)
{
    const Row &msrs = row(FdClass::Vcpu, KVM_SET_MSRS);
    kvm_msrs_of<3> arg{.entries = {{1, 0, 10}, {2, 0, 20}, {3, 0, 30}}};
    Argument copy = Argument::copy(msrs, uintptr_t(&arg));
    EXPECT_EQ(copy.elements(msrs), 3u);
    kvm_msrs_of<1> second{.entries = {{2, 0, 20}}};
    EXPECT_EQ(copy.element(msrs, 1), Argument::copy(msrs, uintptr_t(&second)));
}

TEST(ArgumentTest, AValueIsNoPointer)
{
    const Row &vcpu = row(FdClass::Vm, KVM_CREATE_VCPU);
    Argument copy = Argument::copy(vcpu, 7);
    EXPECT_EQ(copy.live().pass(), 7u);
    EXPECT_TRUE(copy.bytes().empty());
}

TEST(ArgumentTest, ANullPointerStaysNull)
{
    const Row &mask = row(FdClass::Vcpu, KVM_SET_SIGNAL_MASK);
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
    const Row &attr = row(FdClass::Device, KVM_SET_DEVICE_ATTR);
    int32_t fd = 42;
    kvm_device_attr arg{.group = KVM_DEV_VFIO_FILE,
                        .attr = KVM_DEV_VFIO_FILE_ADD,
                        .addr = uintptr_t(&fd)};
    Argument copy = Argument::copy(attr, uintptr_t(&arg));
    Field inside = pointed<int32_t>();
    EXPECT_EQ(copy.read(inside), 42u);
    copy.write(inside, 43);
    EXPECT_EQ(copy.pointed()[0], 43);
    EXPECT_EQ(fd, 42);

    arg.addr = 0;
    EXPECT_EQ(Argument::copy(attr, uintptr_t(&arg)).read(inside), 0u);
}

} /* namespace */
