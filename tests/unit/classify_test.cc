/*
 * What the classifiers decide by the argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "catalogue.h"
#include "classify.h"

using namespace kvm_reset;

namespace {

/* An argument of zeros in which fields can be set. */
class Bytes {
public:
    explicit Bytes(size_t size) : bytes_(size) {}

    Bytes &set(size_t offset, size_t width, uint64_t value)
    {
        memcpy(bytes_.data() + offset, &value, width);
        return *this;
    }

    operator std::span<const uint8_t>() const { return bytes_; }

private:
    std::vector<uint8_t> bytes_;
};

Bytes cap(uint32_t number)
{
    return Bytes(104).set(0, 4, number);
}

Bytes xen_attr(uint16_t type)
{
    return Bytes(72).set(0, 2, type);
}

Bytes device_attr(uint32_t group, uint64_t attr)
{
    return Bytes(24).set(4, 4, group).set(8, 8, attr);
}

/* Says that MSR 0x345 is a feature of the CPU, and no other is. */
bool only_perf_capabilities(uint32_t index, void *)
{
    return index == 0x345;
}

const ClassifyContext knows_msrs = {.defining_msr = only_perf_capabilities};

} /* namespace */

TEST(Classifier, AFeatureMsrDefinesAndAnyOtherIsVolatile)
{
    EXPECT_EQ(classify_msr(Bytes(16).set(0, 4, 0x345), 0, knows_msrs),
              Effect::Define);
    EXPECT_EQ(classify_msr(Bytes(16).set(0, 4, 0x10), 0, knows_msrs),
              Effect::Volatile);
}

TEST(Classifier, AnMsrIsForeignWhenNobodyKnowsWhichOnesDefine)
{
    EXPECT_EQ(classify_msr(Bytes(16).set(0, 4, 0x345), 0, {}), Effect::Foreign);
}

TEST(Classifier, AnMsrIsTheSameThroughOneReg)
{
    const uint64_t x86_msr = 0x2030'0002'0000'0000;
    auto reg = [](uint64_t id) { return Bytes(16).set(0, 8, id); };

    EXPECT_EQ(classify_one_reg(reg(x86_msr | 0x345), 0, knows_msrs),
              Effect::Define);
    EXPECT_EQ(classify_one_reg(reg(x86_msr | 0x10), 0, knows_msrs),
              Effect::Volatile);
    EXPECT_EQ(classify_one_reg(reg(0x2030'0003'0000'0000), 0, knows_msrs),
              Effect::Volatile)
        << "the guest's shadow stack pointer";
    EXPECT_EQ(classify_one_reg(reg(0x6030'0000'0010'0000), 0, knows_msrs),
              Effect::Foreign)
        << "arm64's";
    EXPECT_EQ(classify_one_reg(reg(0x2030'0009'0000'0000), 0, knows_msrs),
              Effect::Foreign)
        << "a type of register to come";
}

TEST(Classifier, ACapabilityThatIsKnownDefines)
{
    EXPECT_EQ(classify_vm_cap(cap(121), 0, {}), Effect::Define);
    EXPECT_EQ(classify_vm_cap(cap(196), 0, {}), Effect::Define);
    EXPECT_EQ(classify_vcpu_cap(cap(148), 0, {}), Effect::Define);
}

TEST(Classifier, ACapabilityThatIsNotKnownIsForeign)
{
    EXPECT_EQ(classify_vm_cap(cap(60000), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_vcpu_cap(cap(60000), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_vm_cap(cap(148), 0, {}), Effect::Foreign)
        << "SynIC is a vCPU's";
    EXPECT_EQ(classify_vcpu_cap(cap(121), 0, {}), Effect::Foreign)
        << "a split irqchip is a VM's";
}

TEST(Classifier, ACapabilityThatNeedsAnotherVmIsForeign)
{
    EXPECT_EQ(classify_vm_cap(cap(197), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_vm_cap(cap(206), 0, {}), Effect::Foreign);
}

TEST(Classifier, WhatAXenGuestRegisteredIsVolatileAndItsVectorDefines)
{
    EXPECT_EQ(classify_xen_hvm(xen_attr(2), 0, {}), Effect::Define);
    EXPECT_EQ(classify_xen_hvm(xen_attr(1), 0, {}), Effect::Volatile);
    EXPECT_EQ(classify_xen_hvm(xen_attr(3), 0, {}), Effect::Volatile);
    EXPECT_EQ(classify_xen_hvm(xen_attr(4), 0, {}), Effect::Define);
    EXPECT_EQ(classify_xen_hvm(xen_attr(999), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_xen_vcpu(xen_attr(0), 0, {}), Effect::Volatile);
    EXPECT_EQ(classify_xen_vcpu(xen_attr(6), 0, {}), Effect::Define);
    EXPECT_EQ(classify_xen_vcpu(xen_attr(8), 0, {}), Effect::Define);
    EXPECT_EQ(classify_xen_vcpu(xen_attr(999), 0, {}), Effect::Foreign);
}

TEST(Classifier, MemoryAttributesDefineUntilTheLaunch)
{
    EXPECT_EQ(classify_memory_attributes(Bytes(32), 0, {}), Effect::Define);
    EXPECT_EQ(classify_memory_attributes(Bytes(32), 0, {.launched = true}),
              Effect::Volatile);
}

TEST(Classifier, TestingForADeviceCreatesNone)
{
    EXPECT_EQ(classify_create_device(Bytes(12).set(8, 4, 1), 0, {}),
              Effect::Query);
    EXPECT_EQ(classify_create_device(Bytes(12).set(0, 4, 4), 0, {}),
              Effect::Create);
}

TEST(Classifier, AVfioFileIsAddedAndTakenAway)
{
    EXPECT_EQ(classify_device_attr(device_attr(1, 1), 0, {}), Effect::Add);
    EXPECT_EQ(classify_device_attr(device_attr(1, 2), 0, {}), Effect::Add)
        << "the row's removal tells it from adding";
    EXPECT_EQ(classify_device_attr(device_attr(1, 3), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_device_attr(device_attr(2, 1), 0, {}), Effect::Foreign);

    const Removal &removal = find_row(FdClass::Device, 0x4018aee1)->removal;
    EXPECT_EQ(removal.when, Removal::When::FieldIs);
    EXPECT_EQ(removal.value, 2u);
}

TEST(Classifier, TheTscOffsetIsVolatileAndNoOtherAttributeOfAVcpuIsKnown)
{
    EXPECT_EQ(classify_vcpu_attr(device_attr(0, 0), 0, {}), Effect::Volatile);
    EXPECT_EQ(classify_vcpu_attr(device_attr(0, 1), 0, {}), Effect::Foreign);
    EXPECT_EQ(classify_vcpu_attr(device_attr(1, 0), 0, {}), Effect::Foreign);
}

TEST(Classifier, AskingWhetherMemoryCanBeEncryptedIsNoLaunch)
{
    EXPECT_EQ(classify_encrypt_op({}, 0, {}), Effect::Query);
    EXPECT_EQ(classify_encrypt_op(Bytes(24), 0x1000, {}), Effect::Launch);
}

TEST(Classifier, AnArgumentThatIsTooShortIsForeign)
{
    const Classifier by_argument[] = {
        classify_vm_cap,        classify_vcpu_cap,
        classify_xen_hvm,       classify_xen_vcpu,
        classify_msr,           classify_one_reg,
        classify_device_attr,   classify_vcpu_attr,
        classify_create_device, classify_create_guest_memfd,
    };
    for (Classifier classify : by_argument) {
        EXPECT_EQ(classify({}, 0, knows_msrs), Effect::Foreign);
        EXPECT_EQ(classify(Bytes(1), 0, knows_msrs), Effect::Foreign);
    }
}

TEST(Classifier, NoValueHasTwoRules)
{
    for (auto rules : {vm_cap_rules(), vcpu_cap_rules(), xen_hvm_rules(),
                       xen_vcpu_rules()}) {
        std::set<uint64_t> values;
        for (const ArgumentRule &rule : rules) {
            EXPECT_TRUE(values.insert(rule.value).second) << rule.name;
            if (rule.effect == Effect::Foreign) {
                EXPECT_NE(rule.note, nullptr) << rule.name;
            }
        }
    }
}
