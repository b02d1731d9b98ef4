/*
 * KVM's capabilities, by number
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See kvm_abi.h.
 */

#ifndef KVM_RESET_KVM_CAP_H
#define KVM_RESET_KVM_CAP_H

#include <cstdint>

namespace kvm_reset::abi {

constexpr uint32_t KVM_CAP_IRQCHIP = 0;
constexpr uint32_t KVM_CAP_HLT = 1;
constexpr uint32_t KVM_CAP_USER_MEMORY = 3;
constexpr uint32_t KVM_CAP_SET_TSS_ADDR = 4;
constexpr uint32_t KVM_CAP_VAPIC = 6;
constexpr uint32_t KVM_CAP_EXT_CPUID = 7;
constexpr uint32_t KVM_CAP_CLOCKSOURCE = 8;
constexpr uint32_t KVM_CAP_NR_VCPUS = 9;
constexpr uint32_t KVM_CAP_NR_MEMSLOTS = 10;
constexpr uint32_t KVM_CAP_PIT = 11;
constexpr uint32_t KVM_CAP_MP_STATE = 14;
constexpr uint32_t KVM_CAP_COALESCED_MMIO = 15;
constexpr uint32_t KVM_CAP_SYNC_MMU = 16;
constexpr uint32_t KVM_CAP_SET_GUEST_DEBUG = 23;
constexpr uint32_t KVM_CAP_REINJECT_CONTROL = 24;
constexpr uint32_t KVM_CAP_IRQ_ROUTING = 25;
constexpr uint32_t KVM_CAP_IRQ_INJECT_STATUS = 26;
constexpr uint32_t KVM_CAP_MCE = 31;
constexpr uint32_t KVM_CAP_IRQFD = 32;
constexpr uint32_t KVM_CAP_PIT2 = 33;
constexpr uint32_t KVM_CAP_SET_BOOT_CPU_ID = 34;
constexpr uint32_t KVM_CAP_PIT_STATE2 = 35;
constexpr uint32_t KVM_CAP_IOEVENTFD = 36;
constexpr uint32_t KVM_CAP_SET_IDENTITY_MAP_ADDR = 37;
constexpr uint32_t KVM_CAP_XEN_HVM = 38;
constexpr uint32_t KVM_CAP_ADJUST_CLOCK = 39;
constexpr uint32_t KVM_CAP_INTERNAL_ERROR_DATA = 40;
constexpr uint32_t KVM_CAP_VCPU_EVENTS = 41;
constexpr uint32_t KVM_CAP_HYPERV = 44;
constexpr uint32_t KVM_CAP_HYPERV_VAPIC = 45;
constexpr uint32_t KVM_CAP_HYPERV_SPIN = 46;
constexpr uint32_t KVM_CAP_INTR_SHADOW = 49;
constexpr uint32_t KVM_CAP_DEBUGREGS = 50;
constexpr uint32_t KVM_CAP_ENABLE_CAP = 54;
constexpr uint32_t KVM_CAP_XSAVE = 55;
constexpr uint32_t KVM_CAP_XCRS = 56;
constexpr uint32_t KVM_CAP_ASYNC_PF = 59;
constexpr uint32_t KVM_CAP_TSC_CONTROL = 60;
constexpr uint32_t KVM_CAP_GET_TSC_KHZ = 61;
constexpr uint32_t KVM_CAP_MAX_VCPUS = 66;
constexpr uint32_t KVM_CAP_TSC_DEADLINE_TIMER = 72;
constexpr uint32_t KVM_CAP_SYNC_REGS = 74;
constexpr uint32_t KVM_CAP_KVMCLOCK_CTRL = 76;
constexpr uint32_t KVM_CAP_SIGNAL_MSI = 77;
constexpr uint32_t KVM_CAP_READONLY_MEM = 81;
constexpr uint32_t KVM_CAP_IRQFD_RESAMPLE = 82;
constexpr uint32_t KVM_CAP_DEVICE_CTRL = 89;
constexpr uint32_t KVM_CAP_EXT_EMUL_CPUID = 95;
constexpr uint32_t KVM_CAP_HYPERV_TIME = 96;
constexpr uint32_t KVM_CAP_IOAPIC_POLARITY_IGNORED = 97;
constexpr uint32_t KVM_CAP_ENABLE_CAP_VM = 98;
constexpr uint32_t KVM_CAP_IOEVENTFD_NO_LENGTH = 100;
constexpr uint32_t KVM_CAP_VM_ATTRIBUTES = 101;
constexpr uint32_t KVM_CAP_DISABLE_QUIRKS = 116;
constexpr uint32_t KVM_CAP_X86_SMM = 117;
constexpr uint32_t KVM_CAP_MULTI_ADDRESS_SPACE = 118;
constexpr uint32_t KVM_CAP_GUEST_DEBUG_HW_BPS = 119;
constexpr uint32_t KVM_CAP_GUEST_DEBUG_HW_WPS = 120;
constexpr uint32_t KVM_CAP_SPLIT_IRQCHIP = 121;
constexpr uint32_t KVM_CAP_IOEVENTFD_ANY_LENGTH = 122;
constexpr uint32_t KVM_CAP_HYPERV_SYNIC = 123;
constexpr uint32_t KVM_CAP_VCPU_ATTRIBUTES = 127;
constexpr uint32_t KVM_CAP_MAX_VCPU_ID = 128;
constexpr uint32_t KVM_CAP_X2APIC_API = 129;
constexpr uint32_t KVM_CAP_IMMEDIATE_EXIT = 136;
constexpr uint32_t KVM_CAP_X86_DISABLE_EXITS = 143;
constexpr uint32_t KVM_CAP_HYPERV_SYNIC2 = 148;
constexpr uint32_t KVM_CAP_HYPERV_VP_INDEX = 149;
constexpr uint32_t KVM_CAP_GET_MSR_FEATURES = 153;
constexpr uint32_t KVM_CAP_HYPERV_EVENTFD = 154;
constexpr uint32_t KVM_CAP_HYPERV_TLBFLUSH = 155;
constexpr uint32_t KVM_CAP_NESTED_STATE = 157;
constexpr uint32_t KVM_CAP_MSR_PLATFORM_INFO = 159;
constexpr uint32_t KVM_CAP_HYPERV_SEND_IPI = 161;
constexpr uint32_t KVM_CAP_COALESCED_PIO = 162;
constexpr uint32_t KVM_CAP_HYPERV_ENLIGHTENED_VMCS = 163;
constexpr uint32_t KVM_CAP_EXCEPTION_PAYLOAD = 164;
constexpr uint32_t KVM_CAP_HYPERV_CPUID = 167;
constexpr uint32_t KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168;
constexpr uint32_t KVM_CAP_PMU_EVENT_FILTER = 173;
constexpr uint32_t KVM_CAP_HYPERV_DIRECT_TLBFLUSH = 175;
constexpr uint32_t KVM_CAP_HALT_POLL = 182;
constexpr uint32_t KVM_CAP_ASYNC_PF_INT = 183;
constexpr uint32_t KVM_CAP_SMALLER_MAXPHYADDR = 185;
constexpr uint32_t KVM_CAP_STEAL_TIME = 187;
constexpr uint32_t KVM_CAP_X86_USER_SPACE_MSR = 188;
constexpr uint32_t KVM_CAP_X86_MSR_FILTER = 189;
constexpr uint32_t KVM_CAP_ENFORCE_PV_FEATURE_CPUID = 190;
constexpr uint32_t KVM_CAP_SYS_HYPERV_CPUID = 191;
constexpr uint32_t KVM_CAP_DIRTY_LOG_RING = 192;
constexpr uint32_t KVM_CAP_X86_BUS_LOCK_EXIT = 193;
constexpr uint32_t KVM_CAP_SET_GUEST_DEBUG2 = 195;
constexpr uint32_t KVM_CAP_SGX_ATTRIBUTE = 196;
constexpr uint32_t KVM_CAP_VM_COPY_ENC_CONTEXT_FROM = 197;
constexpr uint32_t KVM_CAP_HYPERV_ENFORCE_CPUID = 199;
constexpr uint32_t KVM_CAP_SREGS2 = 200;
constexpr uint32_t KVM_CAP_EXIT_HYPERCALL = 201;
constexpr uint32_t KVM_CAP_BINARY_STATS_FD = 203;
constexpr uint32_t KVM_CAP_EXIT_ON_EMULATION_FAILURE = 204;
constexpr uint32_t KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM = 206;
constexpr uint32_t KVM_CAP_VM_GPA_BITS = 207;
constexpr uint32_t KVM_CAP_XSAVE2 = 208;
constexpr uint32_t KVM_CAP_SYS_ATTRIBUTES = 209;
constexpr uint32_t KVM_CAP_PMU_CAPABILITY = 212;
constexpr uint32_t KVM_CAP_DISABLE_QUIRKS2 = 213;
constexpr uint32_t KVM_CAP_VM_TSC_CONTROL = 214;
constexpr uint32_t KVM_CAP_X86_TRIPLE_FAULT_EVENT = 218;
constexpr uint32_t KVM_CAP_X86_NOTIFY_VMEXIT = 219;
constexpr uint32_t KVM_CAP_VM_DISABLE_NX_HUGE_PAGES = 220;
constexpr uint32_t KVM_CAP_DIRTY_LOG_RING_ACQ_REL = 223;
constexpr uint32_t KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP = 225;
constexpr uint32_t KVM_CAP_PMU_EVENT_MASKED_EVENTS = 226;
constexpr uint32_t KVM_CAP_USER_MEMORY2 = 231;
constexpr uint32_t KVM_CAP_MEMORY_FAULT_INFO = 232;
constexpr uint32_t KVM_CAP_MEMORY_ATTRIBUTES = 233;
constexpr uint32_t KVM_CAP_GUEST_MEMFD = 234;
constexpr uint32_t KVM_CAP_VM_TYPES = 235;
constexpr uint32_t KVM_CAP_X86_APIC_BUS_CYCLES_NS = 237;
constexpr uint32_t KVM_CAP_X86_GUEST_MODE = 238;
constexpr uint32_t KVM_CAP_GUEST_MEMFD_FLAGS = 244;

} /* namespace kvm_reset::abi */

#endif
