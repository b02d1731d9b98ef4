/*
 * What an x86 KVM offers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Capabilities (KVM_CHECK_EXTENSION), and the features in what CPUID may say
 * (KVM_GET_SUPPORTED_CPUID).  A guest is told its CPUID once; KVM takes from
 * userspace whatever it says, so that nobody but us would notice that a
 * feature is gone.
 */

#include "x86_host_features.h"

#include <algorithm>
#include <cerrno>

#include "argument.h"
#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset {

using namespace abi;

namespace {

struct Capability {
    const char *name;
    uint32_t number;
};

/*
 * Those that a guest may live on, from <linux/kvm.h>.  What serves none but
 * confidential guests is not among them.
 */
constexpr Capability capabilities[] = {
    {NAMED(KVM_CAP_IRQCHIP)},
    {NAMED(KVM_CAP_HLT)},
    {NAMED(KVM_CAP_USER_MEMORY)},
    {NAMED(KVM_CAP_SET_TSS_ADDR)},
    {NAMED(KVM_CAP_VAPIC)},
    {NAMED(KVM_CAP_EXT_CPUID)},
    {NAMED(KVM_CAP_CLOCKSOURCE)},
    {NAMED(KVM_CAP_NR_VCPUS)},
    {NAMED(KVM_CAP_NR_MEMSLOTS)},
    {NAMED(KVM_CAP_PIT)},
    {NAMED(KVM_CAP_MP_STATE)},
    {NAMED(KVM_CAP_COALESCED_MMIO)},
    {NAMED(KVM_CAP_SYNC_MMU)},
    {NAMED(KVM_CAP_SET_GUEST_DEBUG)},
    {NAMED(KVM_CAP_REINJECT_CONTROL)},
    {NAMED(KVM_CAP_IRQ_ROUTING)},
    {NAMED(KVM_CAP_IRQ_INJECT_STATUS)},
    {NAMED(KVM_CAP_MCE)},
    {NAMED(KVM_CAP_IRQFD)},
    {NAMED(KVM_CAP_PIT2)},
    {NAMED(KVM_CAP_SET_BOOT_CPU_ID)},
    {NAMED(KVM_CAP_PIT_STATE2)},
    {NAMED(KVM_CAP_IOEVENTFD)},
    {NAMED(KVM_CAP_SET_IDENTITY_MAP_ADDR)},
    {NAMED(KVM_CAP_XEN_HVM)},
    {NAMED(KVM_CAP_ADJUST_CLOCK)},
    {NAMED(KVM_CAP_INTERNAL_ERROR_DATA)},
    {NAMED(KVM_CAP_VCPU_EVENTS)},
    {NAMED(KVM_CAP_HYPERV)},
    {NAMED(KVM_CAP_HYPERV_VAPIC)},
    {NAMED(KVM_CAP_HYPERV_SPIN)},
    {NAMED(KVM_CAP_INTR_SHADOW)},
    {NAMED(KVM_CAP_DEBUGREGS)},
    {NAMED(KVM_CAP_ENABLE_CAP)},
    {NAMED(KVM_CAP_XSAVE)},
    {NAMED(KVM_CAP_XCRS)},
    {NAMED(KVM_CAP_ASYNC_PF)},
    {NAMED(KVM_CAP_TSC_CONTROL)},
    {NAMED(KVM_CAP_GET_TSC_KHZ)},
    {NAMED(KVM_CAP_MAX_VCPUS)},
    {NAMED(KVM_CAP_TSC_DEADLINE_TIMER)},
    {NAMED(KVM_CAP_SYNC_REGS)},
    {NAMED(KVM_CAP_KVMCLOCK_CTRL)},
    {NAMED(KVM_CAP_SIGNAL_MSI)},
    {NAMED(KVM_CAP_READONLY_MEM)},
    {NAMED(KVM_CAP_IRQFD_RESAMPLE)},
    {NAMED(KVM_CAP_DEVICE_CTRL)},
    {NAMED(KVM_CAP_EXT_EMUL_CPUID)},
    {NAMED(KVM_CAP_HYPERV_TIME)},
    {NAMED(KVM_CAP_IOAPIC_POLARITY_IGNORED)},
    {NAMED(KVM_CAP_ENABLE_CAP_VM)},
    {NAMED(KVM_CAP_IOEVENTFD_NO_LENGTH)},
    {NAMED(KVM_CAP_VM_ATTRIBUTES)},
    {NAMED(KVM_CAP_DISABLE_QUIRKS)},
    {NAMED(KVM_CAP_X86_SMM)},
    {NAMED(KVM_CAP_MULTI_ADDRESS_SPACE)},
    {NAMED(KVM_CAP_GUEST_DEBUG_HW_BPS)},
    {NAMED(KVM_CAP_GUEST_DEBUG_HW_WPS)},
    {NAMED(KVM_CAP_SPLIT_IRQCHIP)},
    {NAMED(KVM_CAP_IOEVENTFD_ANY_LENGTH)},
    {NAMED(KVM_CAP_HYPERV_SYNIC)},
    {NAMED(KVM_CAP_VCPU_ATTRIBUTES)},
    {NAMED(KVM_CAP_MAX_VCPU_ID)},
    {NAMED(KVM_CAP_X2APIC_API)},
    {NAMED(KVM_CAP_IMMEDIATE_EXIT)},
    {NAMED(KVM_CAP_X86_DISABLE_EXITS)},
    {NAMED(KVM_CAP_HYPERV_SYNIC2)},
    {NAMED(KVM_CAP_HYPERV_VP_INDEX)},
    {NAMED(KVM_CAP_GET_MSR_FEATURES)},
    {NAMED(KVM_CAP_HYPERV_EVENTFD)},
    {NAMED(KVM_CAP_HYPERV_TLBFLUSH)},
    {NAMED(KVM_CAP_NESTED_STATE)},
    {NAMED(KVM_CAP_MSR_PLATFORM_INFO)},
    {NAMED(KVM_CAP_HYPERV_SEND_IPI)},
    {NAMED(KVM_CAP_COALESCED_PIO)},
    {NAMED(KVM_CAP_HYPERV_ENLIGHTENED_VMCS)},
    {NAMED(KVM_CAP_EXCEPTION_PAYLOAD)},
    {NAMED(KVM_CAP_HYPERV_CPUID)},
    {NAMED(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)},
    {NAMED(KVM_CAP_PMU_EVENT_FILTER)},
    {NAMED(KVM_CAP_HYPERV_DIRECT_TLBFLUSH)},
    {NAMED(KVM_CAP_HALT_POLL)},
    {NAMED(KVM_CAP_ASYNC_PF_INT)},
    {NAMED(KVM_CAP_SMALLER_MAXPHYADDR)},
    {NAMED(KVM_CAP_STEAL_TIME)},
    {NAMED(KVM_CAP_X86_USER_SPACE_MSR)},
    {NAMED(KVM_CAP_X86_MSR_FILTER)},
    {NAMED(KVM_CAP_ENFORCE_PV_FEATURE_CPUID)},
    {NAMED(KVM_CAP_SYS_HYPERV_CPUID)},
    {NAMED(KVM_CAP_DIRTY_LOG_RING)},
    {NAMED(KVM_CAP_X86_BUS_LOCK_EXIT)},
    {NAMED(KVM_CAP_SET_GUEST_DEBUG2)},
    {NAMED(KVM_CAP_HYPERV_ENFORCE_CPUID)},
    {NAMED(KVM_CAP_SREGS2)},
    {NAMED(KVM_CAP_EXIT_HYPERCALL)},
    {NAMED(KVM_CAP_BINARY_STATS_FD)},
    {NAMED(KVM_CAP_EXIT_ON_EMULATION_FAILURE)},
    {NAMED(KVM_CAP_VM_GPA_BITS)},
    {NAMED(KVM_CAP_XSAVE2)},
    {NAMED(KVM_CAP_SYS_ATTRIBUTES)},
    {NAMED(KVM_CAP_PMU_CAPABILITY)},
    {NAMED(KVM_CAP_DISABLE_QUIRKS2)},
    {NAMED(KVM_CAP_VM_TSC_CONTROL)},
    {NAMED(KVM_CAP_X86_TRIPLE_FAULT_EVENT)},
    {NAMED(KVM_CAP_X86_NOTIFY_VMEXIT)},
    {NAMED(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES)},
    {NAMED(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)},
    {NAMED(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP)},
    {NAMED(KVM_CAP_PMU_EVENT_MASKED_EVENTS)},
    {NAMED(KVM_CAP_USER_MEMORY2)},
    {NAMED(KVM_CAP_MEMORY_FAULT_INFO)},
    {NAMED(KVM_CAP_X86_APIC_BUS_CYCLES_NS)},
    {NAMED(KVM_CAP_X86_GUEST_MODE)},
};

/* The words of CPUID in which each bit is a feature (AMD APM 3, Intel SDM 2). */
enum Register : uint8_t {
    Eax,
    Ebx,
    Ecx,
    Edx
};

struct FeatureWord {
    uint32_t leaf, index;
    Register reg;
};

constexpr FeatureWord words[] = {
    {1, 0, Ecx},          {1, 0, Edx},          {6, 0, Eax},
    {7, 0, Ebx},          {7, 0, Ecx},          {7, 0, Edx},
    {7, 1, Eax},          {7, 1, Edx},          {7, 2, Edx},
    {0xd, 0, Eax},        {0xd, 1, Eax},        {0xd, 1, Ecx},
    {0x12, 0, Eax},       {0x14, 0, Ebx},       {0x40000001, 0, Eax},
    {0x80000001, 0, Ecx}, {0x80000001, 0, Edx}, {0x80000007, 0, Edx},
    {0x80000008, 0, Ebx}, {0x8000000a, 0, Edx}, {0x80000021, 0, Eax},
};

struct FeatureName {
    FeatureWord word;
    uint8_t bit;
    const char *name;
};

/* Those that an option of the modules takes away. */
constexpr FeatureName names[] = {
    {{1, 0, Ecx}, 5, "VMX"},
    {{1, 0, Ecx}, 24, "TSC deadline"},
    {{1, 0, Ecx}, 21, "x2APIC"},
    {{0x80000001, 0, Ecx}, 2, "SVM"},
    {{0x8000000a, 0, Edx}, 0, "nested paging"},
    {{0x8000000a, 0, Edx}, 3, "NRIP save"},
    {{0x8000000a, 0, Edx}, 15, "virtual VMLOAD and VMSAVE"},
    {{0x8000000a, 0, Edx}, 16, "virtual GIF"},
};

/* struct kvm_cpuid2: a count, padding, then entries. */
constexpr size_t head = sizeof(kvm_cpuid2);
constexpr size_t entry_size = sizeof(kvm_cpuid_entry2);
constexpr Field count_field = field_of(&kvm_cpuid2::nent);

/* Above all capabilities: the number of a word of CPUID, and the bit. */
constexpr uint64_t first_feature = 0x10000;

constexpr uint64_t feature(size_t word, unsigned bit)
{
    return first_feature + word * 32 + bit;
}

constexpr Field registers[] = {
    field_of(&kvm_cpuid_entry2::eax), field_of(&kvm_cpuid_entry2::ebx),
    field_of(&kvm_cpuid_entry2::ecx), field_of(&kvm_cpuid_entry2::edx)};

/* What the argument of KVM_SET_CPUID2 or the like has in a word. */
uint32_t value_of(std::span<const uint8_t> cpuid, const FeatureWord &word)
{
    for (size_t at = head; at + entry_size <= cpuid.size(); at += entry_size) {
        std::span<const uint8_t> entry = cpuid.subspan(at, entry_size);
        if (read_field(entry, field_of(&kvm_cpuid_entry2::function)) ==
                word.leaf &&
            read_field(entry, field_of(&kvm_cpuid_entry2::index)) ==
                word.index) {
            return read_field(entry, registers[word.reg]);
        }
    }
    return 0;
}

Result<std::vector<uint8_t>> supported_cpuid(Kernel &kernel, int system)
{
    for (uint32_t room = 128;; room *= 2) {
        std::vector<uint8_t> bytes(head + room * entry_size);
        write_field(bytes, count_field, room);
        int ret = kernel.ioctl(system, KVM_GET_SUPPORTED_CPUID,
                               uintptr_t(bytes.data()));
        if (ret >= 0) {
            return bytes;
        }
        if (ret != -E2BIG || room > 4096) {
            return fail(-ret, "KVM_GET_SUPPORTED_CPUID");
        }
    }
}

bool guest_has(const Snapshot &snapshot, size_t word, unsigned bit)
{
    return std::ranges::any_of(snapshot.entries, [=](const EntryPtr &entry) {
        return entry->row->request == KVM_SET_CPUID2 &&
               (value_of(entry->arg.bytes(), words[word]) >> bit & 1);
    });
}

std::string words_for(size_t word, unsigned bit)
{
    constexpr const char *register_names[] = {"EAX", "EBX", "ECX", "EDX"};
    const FeatureWord &where = words[word];
    std::string text = format("CPUID %#x.%u %s bit %u", where.leaf, where.index,
                              register_names[where.reg], bit);

    for (const FeatureName &known : names) {
        if (known.word.leaf == where.leaf && known.word.index == where.index &&
            known.word.reg == where.reg && known.bit == bit) {
            text += format(" (%s)", known.name);
        }
    }
    return text;
}

} /* namespace */

Result<HostFeatures> x86_host_features(Kernel &kernel, int system)
{
    HostFeatures features;

    for (const Capability &capability : capabilities) {
        int ret = kernel.ioctl(system, KVM_CHECK_EXTENSION, capability.number);
        if (ret < 0) {
            return fail(-ret, "asking KVM for %s", capability.name);
        }
        if (ret > 0) {
            features.insert(capability.number);
        }
    }
    Result<std::vector<uint8_t>> cpuid = supported_cpuid(kernel, system);
    if (!cpuid) {
        return std::unexpected(cpuid.error());
    }
    for (size_t word = 0; word < std::size(words); word++) {
        uint32_t value = value_of(*cpuid, words[word]);
        for (unsigned bit = 0; bit < 32; bit++) {
            if (value >> bit & 1) {
                features.insert(feature(word, bit));
            }
        }
    }
    return features;
}

std::vector<std::string> x86_missing_features(const HostFeatures &before,
                                              const HostFeatures &now,
                                              const Snapshot &snapshot)
{
    std::vector<std::string> missing;

    for (const Capability &capability : capabilities) {
        if (before.contains(capability.number) &&
            !now.contains(capability.number)) {
            missing.push_back(capability.name);
        }
    }
    for (size_t word = 0; word < std::size(words); word++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            uint64_t number = feature(word, bit);
            if (before.contains(number) && !now.contains(number) &&
                guest_has(snapshot, word, bit)) {
                missing.push_back(words_for(word, bit));
            }
        }
    }
    return missing;
}

} /* namespace kvm_reset */
