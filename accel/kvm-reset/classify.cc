/*
 * Classifiers: which arguments of an ioctl define, and which are volatile
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "classify.h"

#include <algorithm>
#include <optional>

#include "argument.h"
#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset {

using namespace abi;

namespace {

constexpr auto Define = Effect::Define;
constexpr auto Volatile = Effect::Volatile;
constexpr auto Foreign = Effect::Foreign;

constexpr bool adds_up = true;

/* KVM_ENABLE_CAP on a VM. */
constexpr ArgumentRule vm_caps[] = {
    {NAMED(KVM_CAP_DISABLE_QUIRKS), Define, nullptr, adds_up},
    {NAMED(KVM_CAP_SPLIT_IRQCHIP), Define},
    {NAMED(KVM_CAP_MAX_VCPU_ID), Define},
    {NAMED(KVM_CAP_X2APIC_API), Define, nullptr, adds_up},
    {NAMED(KVM_CAP_X86_DISABLE_EXITS), Define, nullptr, adds_up},
    {NAMED(KVM_CAP_MSR_PLATFORM_INFO), Define},
    {NAMED(KVM_CAP_EXCEPTION_PAYLOAD), Define},
    {NAMED(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), Define},
    {NAMED(KVM_CAP_HALT_POLL), Define},
    {NAMED(KVM_CAP_X86_USER_SPACE_MSR), Define},
    {NAMED(KVM_CAP_DIRTY_LOG_RING), Define},
    {NAMED(KVM_CAP_X86_BUS_LOCK_EXIT), Define},
    {NAMED(KVM_CAP_SGX_ATTRIBUTE), Define, "args[0] is a file"},
    {NAMED(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM), Foreign,
     "needs another VM, which may be gone"},
    {NAMED(KVM_CAP_EXIT_HYPERCALL), Define},
    {NAMED(KVM_CAP_EXIT_ON_EMULATION_FAILURE), Define},
    {NAMED(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM), Foreign,
     "takes another VM's context, which is gone then"},
    {NAMED(KVM_CAP_PMU_CAPABILITY), Define},
    {NAMED(KVM_CAP_DISABLE_QUIRKS2), Define, nullptr, adds_up},
    {NAMED(KVM_CAP_X86_TRIPLE_FAULT_EVENT), Define},
    {NAMED(KVM_CAP_X86_NOTIFY_VMEXIT), Define},
    {NAMED(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES), Define},
    {NAMED(KVM_CAP_DIRTY_LOG_RING_ACQ_REL), Define},
    {NAMED(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP), Define},
    {NAMED(KVM_CAP_X86_APIC_BUS_CYCLES_NS), Define},
};

constexpr ArgumentRule vcpu_caps[] = {
    {NAMED(KVM_CAP_HYPERV_SYNIC), Define},
    {NAMED(KVM_CAP_HYPERV_SYNIC2), Define},
    {NAMED(KVM_CAP_HYPERV_ENLIGHTENED_VMCS), Define,
     "the kernel writes the version to where args[0] points"},
    {NAMED(KVM_CAP_HYPERV_DIRECT_TLBFLUSH), Define},
    {NAMED(KVM_CAP_ENFORCE_PV_FEATURE_CPUID), Define},
    {NAMED(KVM_CAP_HYPERV_ENFORCE_CPUID), Define},
};

/*
 * Xen attributes.  What the guest registered (its shared pages, its event
 * channels, its timers) dies with the guest: the Xen emulation's own reset
 * closes it and sets it up again.
 */
constexpr ArgumentRule xen_hvm_types[] = {
    {NAMED(KVM_XEN_ATTR_TYPE_LONG_MODE), Define},
    {NAMED(KVM_XEN_ATTR_TYPE_SHARED_INFO), Volatile},
    {NAMED(KVM_XEN_ATTR_TYPE_UPCALL_VECTOR), Define},
    {NAMED(KVM_XEN_ATTR_TYPE_EVTCHN), Volatile},
    {NAMED(KVM_XEN_ATTR_TYPE_XEN_VERSION), Define},
    {NAMED(KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG), Define},
    {NAMED(KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA), Volatile},
};

constexpr ArgumentRule xen_vcpu_types[] = {
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID), Define},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_TIMER), Volatile},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR), Define},
    {NAMED(KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA), Volatile},
};

/* nullopt: the argument is too short to hold the field. */
template <class Struct, class Member>
std::optional<uint64_t> read(std::span<const uint8_t> arg,
                             Member Struct::*member)
{
    Field field = field_of(member);

    if (size_t(field.offset) + field.width > arg.size()) {
        return std::nullopt;
    }
    return read_field(arg, field);
}

Effect effect_by_rule(std::span<const ArgumentRule> rules,
                      std::optional<uint64_t> value)
{
    auto found = std::ranges::find_if(
        rules, [&](const ArgumentRule &rule) { return value == rule.value; });
    return found == rules.end() ? Foreign : found->effect;
}

Effect rule_msr(uint64_t index, const ClassifyContext &context)
{
    if (!context.defining_msr) {
        return Foreign;
    }
    return context.defining_msr(uint32_t(index), context.opaque) ? Define
                                                                 : Volatile;
}

} /* namespace */

std::span<const ArgumentRule> vm_cap_rules()
{
    return vm_caps;
}

std::span<const ArgumentRule> vcpu_cap_rules()
{
    return vcpu_caps;
}

std::span<const ArgumentRule> xen_hvm_rules()
{
    return xen_hvm_types;
}

std::span<const ArgumentRule> xen_vcpu_rules()
{
    return xen_vcpu_types;
}

Effect classify_vm_cap(std::span<const uint8_t> arg, uint64_t,
                       const ClassifyContext &)
{
    return effect_by_rule(vm_caps, read(arg, &kvm_enable_cap::cap));
}

Effect classify_vcpu_cap(std::span<const uint8_t> arg, uint64_t,
                         const ClassifyContext &)
{
    return effect_by_rule(vcpu_caps, read(arg, &kvm_enable_cap::cap));
}

Effect classify_xen_hvm(std::span<const uint8_t> arg, uint64_t,
                        const ClassifyContext &)
{
    return effect_by_rule(xen_hvm_types, read(arg, &kvm_xen_hvm_attr::type));
}

Effect classify_xen_vcpu(std::span<const uint8_t> arg, uint64_t,
                         const ClassifyContext &)
{
    return effect_by_rule(xen_vcpu_types, read(arg, &kvm_xen_vcpu_attr::type));
}

Effect classify_msr(std::span<const uint8_t> arg, uint64_t,
                    const ClassifyContext &context)
{
    auto index = read(arg, &kvm_msr_entry::index);
    return index ? rule_msr(*index, context) : Foreign;
}

Effect classify_one_reg(std::span<const uint8_t> arg, uint64_t,
                        const ClassifyContext &context)
{
    /* Architecture and size; type; index. */
    constexpr uint64_t x86_u64 = (KVM_REG_X86 | KVM_REG_SIZE_U64) >> 48;

    auto id = read(arg, &kvm_one_reg::id);
    if (!id || *id >> 48 != x86_u64) {
        return Foreign;
    }
    switch (*id >> 32 & 0xffff) {
    case KVM_X86_REG_TYPE_MSR:
        return rule_msr(*id, context);
    case KVM_X86_REG_TYPE_KVM:
        return Volatile; /* a register that is no MSR: the guest's SSP */
    default:
        return Foreign;
    }
}

/* x86 has one kind of device, VFIO's, and one group with these two. */
Effect classify_device_attr(std::span<const uint8_t> arg, uint64_t,
                            const ClassifyContext &)
{
    auto group = read(arg, &kvm_device_attr::group);
    auto attr = read(arg, &kvm_device_attr::attr);
    if (group == KVM_DEV_VFIO_FILE &&
        (attr == KVM_DEV_VFIO_FILE_ADD || attr == KVM_DEV_VFIO_FILE_DEL)) {
        return Effect::Add;
    }
    return Foreign;
}

Effect classify_vcpu_attr(std::span<const uint8_t> arg, uint64_t,
                          const ClassifyContext &)
{
    if (read(arg, &kvm_device_attr::group) == KVM_VCPU_TSC_CTRL &&
        read(arg, &kvm_device_attr::attr) == KVM_VCPU_TSC_OFFSET) {
        return Volatile;
    }
    return Foreign;
}

bool vm_cap_adds_up(std::span<const uint8_t> arg)
{
    std::optional<uint64_t> cap = read(arg, &kvm_enable_cap::cap);

    return std::ranges::any_of(vm_caps, [&](const ArgumentRule &rule) {
        return rule.adds_up && cap == rule.value;
    });
}

Effect classify_create_guest_memfd(std::span<const uint8_t> arg, uint64_t,
                                   const ClassifyContext &)
{
    return read(arg, &kvm_create_guest_memfd::flags) == 0 ? Effect::Create
                                                          : Foreign;
}

Effect classify_create_device(std::span<const uint8_t> arg, uint64_t,
                              const ClassifyContext &)
{
    auto flags = read(arg, &kvm_create_device::flags);
    if (!flags) {
        return Foreign;
    }
    return *flags & KVM_CREATE_DEVICE_TEST ? Effect::Query : Effect::Create;
}

Effect classify_memory_attributes(std::span<const uint8_t>, uint64_t,
                                  const ClassifyContext &context)
{
    return context.launched ? Volatile : Define;
}

Effect classify_encrypt_op(std::span<const uint8_t>, uint64_t value,
                           const ClassifyContext &)
{
    return value ? Effect::Launch : Effect::Query;
}

} /* namespace kvm_reset */
