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
#include "catalogue_builder.h"

namespace kvm_reset {

namespace {

constexpr uint32_t check_extension = builder::io(0x03);
constexpr uint32_t get_supported_cpuid = builder::iowr(0x05, 8);
constexpr uint32_t set_cpuid2 = builder::iow(0x90, 8);

struct Capability {
    uint16_t number;
    const char *name; /* behind KVM_CAP_ */
};

/*
 * Those that a guest may live on, from <linux/kvm.h>.  What serves none but
 * confidential guests is not among them.
 */
constexpr Capability capabilities[] = {
    {0, "IRQCHIP"},
    {1, "HLT"},
    {3, "USER_MEMORY"},
    {4, "SET_TSS_ADDR"},
    {6, "VAPIC"},
    {7, "EXT_CPUID"},
    {8, "CLOCKSOURCE"},
    {9, "NR_VCPUS"},
    {10, "NR_MEMSLOTS"},
    {11, "PIT"},
    {14, "MP_STATE"},
    {15, "COALESCED_MMIO"},
    {16, "SYNC_MMU"},
    {23, "SET_GUEST_DEBUG"},
    {24, "REINJECT_CONTROL"},
    {25, "IRQ_ROUTING"},
    {26, "IRQ_INJECT_STATUS"},
    {31, "MCE"},
    {32, "IRQFD"},
    {33, "PIT2"},
    {34, "SET_BOOT_CPU_ID"},
    {35, "PIT_STATE2"},
    {36, "IOEVENTFD"},
    {37, "SET_IDENTITY_MAP_ADDR"},
    {38, "XEN_HVM"},
    {39, "ADJUST_CLOCK"},
    {40, "INTERNAL_ERROR_DATA"},
    {41, "VCPU_EVENTS"},
    {44, "HYPERV"},
    {45, "HYPERV_VAPIC"},
    {46, "HYPERV_SPIN"},
    {49, "INTR_SHADOW"},
    {50, "DEBUGREGS"},
    {54, "ENABLE_CAP"},
    {55, "XSAVE"},
    {56, "XCRS"},
    {59, "ASYNC_PF"},
    {60, "TSC_CONTROL"},
    {61, "GET_TSC_KHZ"},
    {66, "MAX_VCPUS"},
    {72, "TSC_DEADLINE_TIMER"},
    {74, "SYNC_REGS"},
    {76, "KVMCLOCK_CTRL"},
    {77, "SIGNAL_MSI"},
    {81, "READONLY_MEM"},
    {82, "IRQFD_RESAMPLE"},
    {89, "DEVICE_CTRL"},
    {95, "EXT_EMUL_CPUID"},
    {96, "HYPERV_TIME"},
    {97, "IOAPIC_POLARITY_IGNORED"},
    {98, "ENABLE_CAP_VM"},
    {100, "IOEVENTFD_NO_LENGTH"},
    {101, "VM_ATTRIBUTES"},
    {116, "DISABLE_QUIRKS"},
    {117, "X86_SMM"},
    {118, "MULTI_ADDRESS_SPACE"},
    {119, "GUEST_DEBUG_HW_BPS"},
    {120, "GUEST_DEBUG_HW_WPS"},
    {121, "SPLIT_IRQCHIP"},
    {122, "IOEVENTFD_ANY_LENGTH"},
    {123, "HYPERV_SYNIC"},
    {127, "VCPU_ATTRIBUTES"},
    {128, "MAX_VCPU_ID"},
    {129, "X2APIC_API"},
    {136, "IMMEDIATE_EXIT"},
    {143, "X86_DISABLE_EXITS"},
    {148, "HYPERV_SYNIC2"},
    {149, "HYPERV_VP_INDEX"},
    {153, "GET_MSR_FEATURES"},
    {154, "HYPERV_EVENTFD"},
    {155, "HYPERV_TLBFLUSH"},
    {157, "NESTED_STATE"},
    {159, "MSR_PLATFORM_INFO"},
    {161, "HYPERV_SEND_IPI"},
    {162, "COALESCED_PIO"},
    {163, "HYPERV_ENLIGHTENED_VMCS"},
    {164, "EXCEPTION_PAYLOAD"},
    {167, "HYPERV_CPUID"},
    {168, "MANUAL_DIRTY_LOG_PROTECT2"},
    {173, "PMU_EVENT_FILTER"},
    {175, "HYPERV_DIRECT_TLBFLUSH"},
    {182, "HALT_POLL"},
    {183, "ASYNC_PF_INT"},
    {185, "SMALLER_MAXPHYADDR"},
    {187, "STEAL_TIME"},
    {188, "X86_USER_SPACE_MSR"},
    {189, "X86_MSR_FILTER"},
    {190, "ENFORCE_PV_FEATURE_CPUID"},
    {191, "SYS_HYPERV_CPUID"},
    {192, "DIRTY_LOG_RING"},
    {193, "X86_BUS_LOCK_EXIT"},
    {195, "SET_GUEST_DEBUG2"},
    {199, "HYPERV_ENFORCE_CPUID"},
    {200, "SREGS2"},
    {201, "EXIT_HYPERCALL"},
    {203, "BINARY_STATS_FD"},
    {204, "EXIT_ON_EMULATION_FAILURE"},
    {207, "VM_GPA_BITS"},
    {208, "XSAVE2"},
    {209, "SYS_ATTRIBUTES"},
    {212, "PMU_CAPABILITY"},
    {213, "DISABLE_QUIRKS2"},
    {214, "VM_TSC_CONTROL"},
    {218, "X86_TRIPLE_FAULT_EVENT"},
    {219, "X86_NOTIFY_VMEXIT"},
    {220, "VM_DISABLE_NX_HUGE_PAGES"},
    {223, "DIRTY_LOG_RING_ACQ_REL"},
    {225, "DIRTY_LOG_RING_WITH_BITMAP"},
    {226, "PMU_EVENT_MASKED_EVENTS"},
    {231, "USER_MEMORY2"},
    {232, "MEMORY_FAULT_INFO"},
    {237, "X86_APIC_BUS_CYCLES_NS"},
    {238, "X86_GUEST_MODE"},
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
constexpr size_t head = 8;
constexpr size_t entry_size = 40;
constexpr Field count_field{0, 4};

/* Above all capabilities: the number of a word of CPUID, and the bit. */
constexpr uint64_t first_feature = 0x10000;

constexpr uint64_t feature(size_t word, unsigned bit)
{
    return first_feature + word * 32 + bit;
}

/* What the argument of KVM_SET_CPUID2 or the like has in a word. */
uint32_t value_of(std::span<const uint8_t> cpuid, const FeatureWord &word)
{
    for (size_t at = head; at + entry_size <= cpuid.size(); at += entry_size) {
        std::span<const uint8_t> entry = cpuid.subspan(at, entry_size);
        if (read_field(entry, {0, 4}) == word.leaf &&
            read_field(entry, {4, 4}) == word.index) {
            return read_field(entry, {uint16_t(12 + 4 * word.reg), 4});
        }
    }
    return 0;
}

Result<std::vector<uint8_t>> supported_cpuid(Kernel &kernel, int system)
{
    for (uint32_t room = 128;; room *= 2) {
        std::vector<uint8_t> bytes(head + room * entry_size);
        write_field(bytes, count_field, room);
        int ret = kernel.ioctl(system, get_supported_cpuid,
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
        return entry->row->request == set_cpuid2 &&
               (value_of(entry->arg.bytes(), words[word]) >> bit & 1);
    });
}

std::string words_for(size_t word, unsigned bit)
{
    constexpr const char *registers[] = {"EAX", "EBX", "ECX", "EDX"};
    const FeatureWord &where = words[word];
    std::string text = format("CPUID %#x.%u %s bit %u", where.leaf, where.index,
                              registers[where.reg], bit);

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
        int ret = kernel.ioctl(system, check_extension, capability.number);
        if (ret < 0) {
            return fail(-ret, "asking KVM for KVM_CAP_%s", capability.name);
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
            missing.push_back(format("KVM_CAP_%s", capability.name));
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
