/*
 * Classifiers: which arguments of an ioctl define, and which are volatile
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "classify.h"

#include <algorithm>
#include <optional>

namespace kvm_reset {

namespace {

constexpr auto Define = Effect::Define;
constexpr auto Volatile = Effect::Volatile;
constexpr auto Foreign = Effect::Foreign;

/*
 * KVM_ENABLE_CAP on a VM.  DISABLE_QUIRKS, DISABLE_QUIRKS2, X2APIC_API and
 * X86_DISABLE_EXITS add to what an earlier call set; nobody makes two.
 */
constexpr ArgumentRule vm_caps[] = {
    {116, "KVM_CAP_DISABLE_QUIRKS", Define},
    {121, "KVM_CAP_SPLIT_IRQCHIP", Define},
    {128, "KVM_CAP_MAX_VCPU_ID", Define},
    {129, "KVM_CAP_X2APIC_API", Define},
    {143, "KVM_CAP_X86_DISABLE_EXITS", Define},
    {159, "KVM_CAP_MSR_PLATFORM_INFO", Define},
    {164, "KVM_CAP_EXCEPTION_PAYLOAD", Define},
    {168, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", Define},
    {182, "KVM_CAP_HALT_POLL", Define},
    {188, "KVM_CAP_X86_USER_SPACE_MSR", Define},
    {192, "KVM_CAP_DIRTY_LOG_RING", Define},
    {193, "KVM_CAP_X86_BUS_LOCK_EXIT", Define},
    {196, "KVM_CAP_SGX_ATTRIBUTE", Define, "args[0] is a file"},
    {197, "KVM_CAP_VM_COPY_ENC_CONTEXT_FROM", Foreign,
     "needs another VM, which may be gone"},
    {201, "KVM_CAP_EXIT_HYPERCALL", Define},
    {204, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", Define},
    {206, "KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM", Foreign,
     "takes another VM's context, which is gone then"},
    {212, "KVM_CAP_PMU_CAPABILITY", Define},
    {213, "KVM_CAP_DISABLE_QUIRKS2", Define},
    {218, "KVM_CAP_X86_TRIPLE_FAULT_EVENT", Define},
    {219, "KVM_CAP_X86_NOTIFY_VMEXIT", Define},
    {220, "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES", Define},
    {223, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL", Define},
    {225, "KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP", Define},
    {237, "KVM_CAP_X86_APIC_BUS_CYCLES_NS", Define},
};

constexpr ArgumentRule vcpu_caps[] = {
    {123, "KVM_CAP_HYPERV_SYNIC", Define},
    {148, "KVM_CAP_HYPERV_SYNIC2", Define},
    {163, "KVM_CAP_HYPERV_ENLIGHTENED_VMCS", Define,
     "the kernel writes the version to where args[0] points"},
    {175, "KVM_CAP_HYPERV_DIRECT_TLBFLUSH", Define},
    {190, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID", Define},
    {199, "KVM_CAP_HYPERV_ENFORCE_CPUID", Define},
};

/*
 * Xen attributes.  What the guest registered (its shared pages, its event
 * channels, its timers) dies with the guest: the Xen emulation's own reset
 * closes it and sets it up again.
 */
constexpr ArgumentRule xen_hvm_types[] = {
    {0, "KVM_XEN_ATTR_TYPE_LONG_MODE", Define},
    {1, "KVM_XEN_ATTR_TYPE_SHARED_INFO", Volatile},
    {2, "KVM_XEN_ATTR_TYPE_UPCALL_VECTOR", Define},
    {3, "KVM_XEN_ATTR_TYPE_EVTCHN", Volatile},
    {4, "KVM_XEN_ATTR_TYPE_XEN_VERSION", Define},
    {5, "KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG", Define},
    {6, "KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA", Volatile},
};

constexpr ArgumentRule xen_vcpu_types[] = {
    {0, "KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO", Volatile},
    {1, "KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO", Volatile},
    {2, "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR", Volatile},
    {3, "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT", Volatile},
    {4, "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA", Volatile},
    {5, "KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST", Volatile},
    {6, "KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID", Define},
    {7, "KVM_XEN_VCPU_ATTR_TYPE_TIMER", Volatile},
    {8, "KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR", Define},
    {9, "KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA", Volatile},
};

/* nullopt: the argument is too short to hold the field. */
std::optional<uint64_t> field_at(std::span<const uint8_t> arg, size_t offset,
                                 size_t width)
{
    if (offset + width > arg.size()) {
        return std::nullopt;
    }
    uint64_t result = 0;
    for (size_t i = 0; i < width; i++) {
        result |= uint64_t(arg[offset + i]) << (8 * i);
    }
    return result;
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
    return effect_by_rule(vm_caps, field_at(arg, 0, 4));
}

Effect classify_vcpu_cap(std::span<const uint8_t> arg, uint64_t,
                         const ClassifyContext &)
{
    return effect_by_rule(vcpu_caps, field_at(arg, 0, 4));
}

Effect classify_xen_hvm(std::span<const uint8_t> arg, uint64_t,
                        const ClassifyContext &)
{
    return effect_by_rule(xen_hvm_types, field_at(arg, 0, 2));
}

Effect classify_xen_vcpu(std::span<const uint8_t> arg, uint64_t,
                         const ClassifyContext &)
{
    return effect_by_rule(xen_vcpu_types, field_at(arg, 0, 2));
}

Effect classify_msr(std::span<const uint8_t> arg, uint64_t,
                    const ClassifyContext &context)
{
    auto index = field_at(arg, 0, 4);
    return index ? rule_msr(*index, context) : Foreign;
}

Effect classify_one_reg(std::span<const uint8_t> arg, uint64_t,
                        const ClassifyContext &context)
{
    constexpr uint64_t x86_u64 = 0x2030;
    constexpr uint64_t type_msr = 2;
    constexpr uint64_t type_kvm = 3;

    auto id = field_at(arg, 0, 8);
    if (!id || *id >> 48 != x86_u64) {
        return Foreign;
    }
    switch (*id >> 32 & 0xffff) {
    case type_msr:
        return rule_msr(*id, context);
    case type_kvm:
        return Volatile; /* a register that is no MSR: the guest's SSP */
    default:
        return Foreign;
    }
}

Effect classify_device_attr(std::span<const uint8_t> arg, uint64_t,
                            const ClassifyContext &)
{
    /* x86 has one kind of device, VFIO's, and one group with these two. */
    constexpr uint64_t vfio_file = 1;
    constexpr uint64_t vfio_file_add = 1;
    constexpr uint64_t vfio_file_del = 2;

    auto group = field_at(arg, 4, 4);
    auto attr = field_at(arg, 8, 8);
    if (group == vfio_file &&
        (attr == vfio_file_add || attr == vfio_file_del)) {
        return Effect::Add;
    }
    return Foreign;
}

Effect classify_vcpu_attr(std::span<const uint8_t> arg, uint64_t,
                          const ClassifyContext &)
{
    constexpr uint64_t tsc_ctrl = 0;
    constexpr uint64_t tsc_offset = 0;

    if (field_at(arg, 4, 4) == tsc_ctrl && field_at(arg, 8, 8) == tsc_offset) {
        return Volatile;
    }
    return Foreign;
}

Effect classify_create_device(std::span<const uint8_t> arg, uint64_t,
                              const ClassifyContext &)
{
    constexpr uint64_t flag_test = 1;

    auto flags = field_at(arg, 8, 4);
    if (!flags) {
        return Foreign;
    }
    return *flags & flag_test ? Effect::Query : Effect::Create;
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
