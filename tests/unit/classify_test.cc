/*
 * What the classifiers decide by the argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <set>

#include <gtest/gtest.h>

#include "catalogue.h"
#include "classify.h"
#include "kvm_abi.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

template <class Struct> std::span<const uint8_t> bytes(const Struct &arg)
{
    return {reinterpret_cast<const uint8_t *>(&arg), sizeof(arg)};
}

Effect vm_cap(uint32_t cap)
{
    return classify_vm_cap(bytes(kvm_enable_cap{.cap = cap}), 0, {});
}

Effect vcpu_cap(uint32_t cap)
{
    return classify_vcpu_cap(bytes(kvm_enable_cap{.cap = cap}), 0, {});
}

Effect xen_hvm(uint16_t type)
{
    kvm_xen_hvm_attr attr;

    attr.type = type;
    return classify_xen_hvm(bytes(attr), 0, {});
}

Effect xen_vcpu(uint16_t type)
{
    kvm_xen_vcpu_attr attr;

    attr.type = type;
    return classify_xen_vcpu(bytes(attr), 0, {});
}

Effect attr_of(Classifier classify, uint32_t group, uint64_t attr)
{
    return classify(bytes(kvm_device_attr{.group = group, .attr = attr}), 0,
                    {});
}

Effect msr(uint32_t index, const ClassifyContext &context)
{
    return classify_msr(bytes(kvm_msr_entry{.index = index}), 0, context);
}

constexpr uint32_t perf_capabilities = 0x345; /* an MSR */
constexpr uint32_t tsc = 0x10;

/* Says that one MSR is a feature of the CPU, and no other is. */
bool only_perf_capabilities(uint32_t index, void *)
{
    return index == perf_capabilities;
}

const ClassifyContext knows_msrs = {.defining_msr = only_perf_capabilities};

} /* namespace */

TEST(Classifier, AFeatureMsrDefinesAndAnyOtherIsVolatile)
{
    EXPECT_EQ(msr(perf_capabilities, knows_msrs), Effect::Define);
    EXPECT_EQ(msr(tsc, knows_msrs), Effect::Volatile);
}

TEST(Classifier, AnMsrIsForeignWhenNobodyKnowsWhichOnesDefine)
{
    EXPECT_EQ(msr(perf_capabilities, {}), Effect::Foreign);
}

TEST(Classifier, AnMsrIsTheSameThroughOneReg)
{
    constexpr uint64_t arm64 = 0x6000'0000'0000'0000;
    constexpr uint64_t x86_u64 = KVM_REG_X86 | KVM_REG_SIZE_U64;
    auto reg = [](uint64_t id) {
        return classify_one_reg(bytes(kvm_one_reg{.id = id}), 0, knows_msrs);
    };
    auto type = [](uint64_t number) { return x86_u64 | number << 32; };

    EXPECT_EQ(reg(type(KVM_X86_REG_TYPE_MSR) | perf_capabilities),
              Effect::Define);
    EXPECT_EQ(reg(type(KVM_X86_REG_TYPE_MSR) | tsc), Effect::Volatile);
    EXPECT_EQ(reg(type(KVM_X86_REG_TYPE_KVM)), Effect::Volatile)
        << "the guest's shadow stack pointer";
    EXPECT_EQ(reg(arm64 | KVM_REG_SIZE_U64 | 0x100000), Effect::Foreign);
    EXPECT_EQ(reg(type(9)), Effect::Foreign) << "a type of register to come";
}

TEST(Classifier, ACapabilityThatIsKnownDefines)
{
    EXPECT_EQ(vm_cap(KVM_CAP_SPLIT_IRQCHIP), Effect::Define);
    EXPECT_EQ(vm_cap(KVM_CAP_SGX_ATTRIBUTE), Effect::Define);
    EXPECT_EQ(vcpu_cap(KVM_CAP_HYPERV_SYNIC2), Effect::Define);
}

TEST(Classifier, ACapabilityThatIsNotKnownIsForeign)
{
    EXPECT_EQ(vm_cap(60000), Effect::Foreign);
    EXPECT_EQ(vcpu_cap(60000), Effect::Foreign);
    EXPECT_EQ(vm_cap(KVM_CAP_HYPERV_SYNIC2), Effect::Foreign) << "a vCPU's";
    EXPECT_EQ(vcpu_cap(KVM_CAP_SPLIT_IRQCHIP), Effect::Foreign) << "a VM's";
}

TEST(Classifier, ACapabilityThatNeedsAnotherVmIsForeign)
{
    EXPECT_EQ(vm_cap(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM), Effect::Foreign);
    EXPECT_EQ(vm_cap(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), Effect::Foreign);
}

TEST(Classifier, WhatAXenGuestRegisteredIsVolatileAndItsVectorDefines)
{
    EXPECT_EQ(xen_hvm(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR), Effect::Define);
    EXPECT_EQ(xen_hvm(KVM_XEN_ATTR_TYPE_SHARED_INFO), Effect::Volatile);
    EXPECT_EQ(xen_hvm(KVM_XEN_ATTR_TYPE_EVTCHN), Effect::Volatile);
    EXPECT_EQ(xen_hvm(KVM_XEN_ATTR_TYPE_XEN_VERSION), Effect::Define);
    EXPECT_EQ(xen_hvm(999), Effect::Foreign);
    EXPECT_EQ(xen_vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO), Effect::Volatile);
    EXPECT_EQ(xen_vcpu(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID), Effect::Define);
    EXPECT_EQ(xen_vcpu(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR), Effect::Define);
    EXPECT_EQ(xen_vcpu(999), Effect::Foreign);
}

TEST(Classifier, MemoryAttributesDefineUntilTheLaunch)
{
    kvm_memory_attributes attributes;

    EXPECT_EQ(classify_memory_attributes(bytes(attributes), 0, {}),
              Effect::Define);
    EXPECT_EQ(
        classify_memory_attributes(bytes(attributes), 0, {.launched = true}),
        Effect::Volatile);
}

TEST(Classifier, TestingForADeviceCreatesNone)
{
    kvm_create_device test{.flags = KVM_CREATE_DEVICE_TEST};
    kvm_create_device vfio{.type = KVM_DEV_TYPE_VFIO};

    EXPECT_EQ(classify_create_device(bytes(test), 0, {}), Effect::Query);
    EXPECT_EQ(classify_create_device(bytes(vfio), 0, {}), Effect::Create);
}

TEST(Classifier, AVfioFileIsAddedAndTakenAway)
{
    auto vfio = [](uint32_t group, uint64_t attr) {
        return attr_of(classify_device_attr, group, attr);
    };
    EXPECT_EQ(vfio(KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD), Effect::Add);
    EXPECT_EQ(vfio(KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL), Effect::Add)
        << "the row's removal tells it from adding";
    EXPECT_EQ(vfio(KVM_DEV_VFIO_FILE, 3), Effect::Foreign);
    EXPECT_EQ(vfio(2, KVM_DEV_VFIO_FILE_ADD), Effect::Foreign);

    const Removal &removal =
        find_row(FdClass::Device, KVM_SET_DEVICE_ATTR)->removal;
    EXPECT_EQ(removal.when, Removal::When::FieldIs);
    EXPECT_EQ(removal.value, KVM_DEV_VFIO_FILE_DEL);
}

TEST(Classifier, TheTscOffsetIsVolatileAndNoOtherAttributeOfAVcpuIsKnown)
{
    auto vcpu = [](uint32_t group, uint64_t attr) {
        return attr_of(classify_vcpu_attr, group, attr);
    };
    EXPECT_EQ(vcpu(KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET), Effect::Volatile);
    EXPECT_EQ(vcpu(KVM_VCPU_TSC_CTRL, 1), Effect::Foreign);
    EXPECT_EQ(vcpu(1, KVM_VCPU_TSC_OFFSET), Effect::Foreign);
}

TEST(Classifier, AskingWhetherMemoryCanBeEncryptedIsNoLaunch)
{
    kvm_sev_cmd command;

    EXPECT_EQ(classify_encrypt_op({}, 0, {}), Effect::Query);
    EXPECT_EQ(classify_encrypt_op(bytes(command), uintptr_t(&command), {}),
              Effect::Launch);
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
        EXPECT_EQ(classify(bytes(uint8_t(0)), 0, knows_msrs), Effect::Foreign);
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
