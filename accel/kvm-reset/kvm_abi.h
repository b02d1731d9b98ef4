/*
 * KVM's ABI on x86: the numbers of ioctls, flags and types
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names, sizes and numbers are those of <linux/kvm.h>; the product and
 * its tests have them from here alone, for two reasons: the catalogue must
 * know ioctls that are newer than the headers it is built with, and Debian
 * 12's headers give wrong numbers to a C++ compiler (an empty struct has size
 * 1 there).  tests/unit/abi_check asks a C compiler about every struct, field
 * and number here.  A file includes either this or <linux/kvm.h>, never both:
 * there the same names are macros.
 */

#ifndef KVM_RESET_KVM_ABI_H
#define KVM_RESET_KVM_ABI_H

#ifdef __LINUX_KVM_H
#error "kvm_abi.h takes the place of <linux/kvm.h>, whose macros it would meet"
#endif

#include "kvm_cap.h"
#include "kvm_struct.h"

/* For tables that show the name of a number, too. */
#define NAMED(name) #name, abi::name

namespace kvm_reset::abi {

/* asm-generic/ioctl.h; @size is that of the argument. */
constexpr uint32_t kvm_ioc(uint32_t direction, uint32_t number, size_t size)
{
    return direction << 30 | uint32_t(size) << 16 | 0xae << 8 | number;
}

constexpr uint32_t io(uint32_t number)
{
    return kvm_ioc(0, number, 0);
}

template <class Argument> constexpr uint32_t iow(uint32_t number)
{
    return kvm_ioc(1, number, sizeof(Argument));
}

template <class Argument> constexpr uint32_t ior(uint32_t number)
{
    return kvm_ioc(2, number, sizeof(Argument));
}

template <class Argument> constexpr uint32_t iowr(uint32_t number)
{
    return kvm_ioc(3, number, sizeof(Argument));
}

/* --- ioctls --------------------------------------------------------------- */

constexpr uint32_t KVM_GET_API_VERSION = io(0x00);
constexpr uint32_t KVM_CREATE_VM = io(0x01);
constexpr uint32_t KVM_GET_MSR_INDEX_LIST = iowr<kvm_msr_list>(0x02);
constexpr uint32_t KVM_CHECK_EXTENSION = io(0x03);
constexpr uint32_t KVM_GET_VCPU_MMAP_SIZE = io(0x04);
constexpr uint32_t KVM_GET_SUPPORTED_CPUID = iowr<kvm_cpuid2>(0x05);
constexpr uint32_t KVM_GET_EMULATED_CPUID = iowr<kvm_cpuid2>(0x09);
constexpr uint32_t KVM_GET_MSR_FEATURE_INDEX_LIST = iowr<kvm_msr_list>(0x0a);
constexpr uint32_t KVM_CREATE_VCPU = io(0x41);
constexpr uint32_t KVM_GET_DIRTY_LOG = iow<kvm_dirty_log>(0x42);
constexpr uint32_t KVM_SET_NR_MMU_PAGES = io(0x44);
constexpr uint32_t KVM_GET_NR_MMU_PAGES = io(0x45);
constexpr uint32_t KVM_SET_USER_MEMORY_REGION =
    iow<kvm_userspace_memory_region>(0x46);
constexpr uint32_t KVM_SET_TSS_ADDR = io(0x47);
constexpr uint32_t KVM_SET_IDENTITY_MAP_ADDR = iow<uint64_t>(0x48);
constexpr uint32_t KVM_SET_USER_MEMORY_REGION2 =
    iow<kvm_userspace_memory_region2>(0x49);
constexpr uint32_t KVM_CREATE_IRQCHIP = io(0x60);
constexpr uint32_t KVM_IRQ_LINE = iow<kvm_irq_level>(0x61);
constexpr uint32_t KVM_GET_IRQCHIP = iowr<kvm_irqchip>(0x62);
constexpr uint32_t KVM_SET_IRQCHIP = ior<kvm_irqchip>(0x63);
constexpr uint32_t KVM_CREATE_PIT = io(0x64);
constexpr uint32_t KVM_GET_PIT = iowr<kvm_pit_state>(0x65);
constexpr uint32_t KVM_SET_PIT = ior<kvm_pit_state>(0x66);
constexpr uint32_t KVM_IRQ_LINE_STATUS = iowr<kvm_irq_level>(0x67);
constexpr uint32_t KVM_REGISTER_COALESCED_MMIO = iow<kvm_coalesced_mmio_zone>(
    0x67);
constexpr uint32_t KVM_UNREGISTER_COALESCED_MMIO = iow<kvm_coalesced_mmio_zone>(
    0x68);
constexpr uint32_t KVM_SET_GSI_ROUTING = iow<kvm_irq_routing>(0x6a);
constexpr uint32_t KVM_REINJECT_CONTROL = io(0x71);
constexpr uint32_t KVM_IRQFD = iow<kvm_irqfd>(0x76);
constexpr uint32_t KVM_CREATE_PIT2 = iow<kvm_pit_config>(0x77);
constexpr uint32_t KVM_SET_BOOT_CPU_ID = io(0x78);
constexpr uint32_t KVM_IOEVENTFD = iow<kvm_ioeventfd>(0x79);
constexpr uint32_t KVM_XEN_HVM_CONFIG = iow<kvm_xen_hvm_config>(0x7a);
constexpr uint32_t KVM_SET_CLOCK = iow<kvm_clock_data>(0x7b);
constexpr uint32_t KVM_GET_CLOCK = ior<kvm_clock_data>(0x7c);
constexpr uint32_t KVM_RUN = io(0x80);
constexpr uint32_t KVM_GET_REGS = ior<kvm_regs>(0x81);
constexpr uint32_t KVM_SET_REGS = iow<kvm_regs>(0x82);
constexpr uint32_t KVM_GET_SREGS = ior<kvm_sregs>(0x83);
constexpr uint32_t KVM_SET_SREGS = iow<kvm_sregs>(0x84);
constexpr uint32_t KVM_TRANSLATE = iowr<kvm_translation>(0x85);
constexpr uint32_t KVM_INTERRUPT = iow<kvm_interrupt>(0x86);
constexpr uint32_t KVM_GET_MSRS = iowr<kvm_msrs>(0x88);
constexpr uint32_t KVM_SET_MSRS = iow<kvm_msrs>(0x89);
constexpr uint32_t KVM_SET_CPUID = iow<kvm_cpuid>(0x8a);
constexpr uint32_t KVM_SET_SIGNAL_MASK = iow<kvm_signal_mask>(0x8b);
constexpr uint32_t KVM_GET_FPU = ior<kvm_fpu>(0x8c);
constexpr uint32_t KVM_SET_FPU = iow<kvm_fpu>(0x8d);
constexpr uint32_t KVM_GET_LAPIC = ior<kvm_lapic_state>(0x8e);
constexpr uint32_t KVM_SET_LAPIC = iow<kvm_lapic_state>(0x8f);
constexpr uint32_t KVM_SET_CPUID2 = iow<kvm_cpuid2>(0x90);
constexpr uint32_t KVM_GET_CPUID2 = iowr<kvm_cpuid2>(0x91);
constexpr uint32_t KVM_TPR_ACCESS_REPORTING = iowr<kvm_tpr_access_ctl>(0x92);
constexpr uint32_t KVM_SET_VAPIC_ADDR = iow<kvm_vapic_addr>(0x93);
constexpr uint32_t KVM_GET_MP_STATE = ior<kvm_mp_state>(0x98);
constexpr uint32_t KVM_SET_MP_STATE = iow<kvm_mp_state>(0x99);
constexpr uint32_t KVM_NMI = io(0x9a);
constexpr uint32_t KVM_SET_GUEST_DEBUG = iow<kvm_guest_debug>(0x9b);
constexpr uint32_t KVM_X86_SETUP_MCE = iow<uint64_t>(0x9c);
constexpr uint32_t KVM_X86_GET_MCE_CAP_SUPPORTED = ior<uint64_t>(0x9d);
constexpr uint32_t KVM_X86_SET_MCE = iow<kvm_x86_mce>(0x9e);
constexpr uint32_t KVM_GET_PIT2 = ior<kvm_pit_state2>(0x9f);
constexpr uint32_t KVM_GET_VCPU_EVENTS = ior<kvm_vcpu_events>(0x9f);
constexpr uint32_t KVM_SET_PIT2 = iow<kvm_pit_state2>(0xa0);
constexpr uint32_t KVM_SET_VCPU_EVENTS = iow<kvm_vcpu_events>(0xa0);
constexpr uint32_t KVM_GET_DEBUGREGS = ior<kvm_debugregs>(0xa1);
constexpr uint32_t KVM_SET_DEBUGREGS = iow<kvm_debugregs>(0xa2);
constexpr uint32_t KVM_SET_TSC_KHZ = io(0xa2);
constexpr uint32_t KVM_GET_TSC_KHZ = io(0xa3);
constexpr uint32_t KVM_ENABLE_CAP = iow<kvm_enable_cap>(0xa3);
constexpr uint32_t KVM_GET_XSAVE = ior<kvm_xsave>(0xa4);
constexpr uint32_t KVM_SET_XSAVE = iow<kvm_xsave>(0xa5);
constexpr uint32_t KVM_SIGNAL_MSI = iow<kvm_msi>(0xa5);
constexpr uint32_t KVM_GET_XCRS = ior<kvm_xcrs>(0xa6);
constexpr uint32_t KVM_SET_XCRS = iow<kvm_xcrs>(0xa7);
constexpr uint32_t KVM_GET_ONE_REG = iow<kvm_one_reg>(0xab);
constexpr uint32_t KVM_SET_ONE_REG = iow<kvm_one_reg>(0xac);
constexpr uint32_t KVM_KVMCLOCK_CTRL = io(0xad);
constexpr uint32_t KVM_GET_REG_LIST = iowr<kvm_reg_list>(0xb0);
constexpr uint32_t KVM_SET_PMU_EVENT_FILTER = iow<kvm_pmu_event_filter>(0xb2);
constexpr uint32_t KVM_SMI = io(0xb7);
constexpr uint32_t KVM_MEMORY_ENCRYPT_OP = iowr<uint64_t>(0xba);
constexpr uint32_t KVM_MEMORY_ENCRYPT_REG_REGION = ior<kvm_enc_region>(0xbb);
constexpr uint32_t KVM_MEMORY_ENCRYPT_UNREG_REGION = ior<kvm_enc_region>(0xbc);
constexpr uint32_t KVM_HYPERV_EVENTFD = iow<kvm_hyperv_eventfd>(0xbd);
constexpr uint32_t KVM_GET_NESTED_STATE = iowr<kvm_nested_state>(0xbe);
constexpr uint32_t KVM_SET_NESTED_STATE = iow<kvm_nested_state>(0xbf);
constexpr uint32_t KVM_CLEAR_DIRTY_LOG = iowr<kvm_clear_dirty_log>(0xc0);
constexpr uint32_t KVM_GET_SUPPORTED_HV_CPUID = iowr<kvm_cpuid2>(0xc1);
constexpr uint32_t KVM_X86_SET_MSR_FILTER = iow<kvm_msr_filter>(0xc6);
constexpr uint32_t KVM_RESET_DIRTY_RINGS = io(0xc7);
constexpr uint32_t KVM_XEN_HVM_GET_ATTR = iowr<kvm_xen_hvm_attr>(0xc8);
constexpr uint32_t KVM_XEN_HVM_SET_ATTR = iow<kvm_xen_hvm_attr>(0xc9);
constexpr uint32_t KVM_XEN_VCPU_GET_ATTR = iowr<kvm_xen_vcpu_attr>(0xca);
constexpr uint32_t KVM_XEN_VCPU_SET_ATTR = iow<kvm_xen_vcpu_attr>(0xcb);
constexpr uint32_t KVM_GET_SREGS2 = ior<kvm_sregs2>(0xcc);
constexpr uint32_t KVM_SET_SREGS2 = iow<kvm_sregs2>(0xcd);
constexpr uint32_t KVM_GET_STATS_FD = io(0xce);
constexpr uint32_t KVM_GET_XSAVE2 = ior<kvm_xsave>(0xcf);
constexpr uint32_t KVM_XEN_HVM_EVTCHN_SEND = iow<kvm_irq_routing_xen_evtchn>(
    0xd0);
constexpr uint32_t KVM_SET_MEMORY_ATTRIBUTES = iow<kvm_memory_attributes>(0xd2);
constexpr uint32_t KVM_CREATE_GUEST_MEMFD = iowr<kvm_create_guest_memfd>(0xd4);
constexpr uint32_t KVM_PRE_FAULT_MEMORY = iowr<kvm_pre_fault_memory>(0xd5);
constexpr uint32_t KVM_CREATE_DEVICE = iowr<kvm_create_device>(0xe0);
constexpr uint32_t KVM_SET_DEVICE_ATTR = iow<kvm_device_attr>(0xe1);
constexpr uint32_t KVM_GET_DEVICE_ATTR = iow<kvm_device_attr>(0xe2);
constexpr uint32_t KVM_HAS_DEVICE_ATTR = iow<kvm_device_attr>(0xe3);

/* --- Flags and types of their arguments ------------------------------------ */

/* KVM_GET_API_VERSION has given it since Linux 2.6.22. */
constexpr uint32_t KVM_API_VERSION = 12;

constexpr uint32_t KVM_MEM_LOG_DIRTY_PAGES = 1;
constexpr uint32_t KVM_MEM_READONLY = 2;
constexpr uint32_t KVM_MEM_GUEST_MEMFD = 4;

constexpr uint32_t KVM_IRQFD_FLAG_DEASSIGN = 1;
constexpr uint32_t KVM_IRQFD_FLAG_RESAMPLE = 2;

constexpr uint32_t KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
constexpr uint32_t KVM_IOEVENTFD_FLAG_PIO = 2;
constexpr uint32_t KVM_IOEVENTFD_FLAG_DEASSIGN = 4;

constexpr uint32_t KVM_HYPERV_EVENTFD_DEASSIGN = 1;

constexpr uint32_t KVM_IRQ_ROUTING_IRQCHIP = 1;
constexpr uint32_t KVM_IRQ_ROUTING_MSI = 2;

constexpr uint32_t KVM_IRQCHIP_PIC_MASTER = 0;
constexpr uint32_t KVM_IRQCHIP_PIC_SLAVE = 1;
constexpr uint32_t KVM_IRQCHIP_IOAPIC = 2;

constexpr uint32_t KVM_MP_STATE_RUNNABLE = 0;

constexpr uint32_t KVM_MSR_FILTER_READ = 1;
constexpr uint32_t KVM_MSR_FILTER_WRITE = 2;
constexpr uint32_t KVM_MSR_FILTER_DEFAULT_DENY = 1;
constexpr uint32_t KVM_MSR_FILTER_MAX_RANGES = 16;
constexpr uint32_t KVM_MSR_EXIT_REASON_FILTER = 4;

constexpr uint32_t KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;
constexpr uint32_t KVM_GUESTDBG_ENABLE = 1;
constexpr uint32_t KVM_STATE_NESTED_FORMAT_SVM = 1;
constexpr uint32_t KVM_STATE_NESTED_GUEST_MODE = 1;

constexpr uint32_t KVM_CLOCK_REALTIME = 4;

constexpr uint32_t KVM_DIRTY_GFN_F_DIRTY = 1;
constexpr uint32_t KVM_DIRTY_LOG_PAGE_OFFSET = 64;

constexpr uint32_t KVM_XEN_ATTR_TYPE_LONG_MODE = 0;
constexpr uint32_t KVM_XEN_ATTR_TYPE_SHARED_INFO = 1;
constexpr uint32_t KVM_XEN_ATTR_TYPE_UPCALL_VECTOR = 2;
constexpr uint32_t KVM_XEN_ATTR_TYPE_EVTCHN = 3;
constexpr uint32_t KVM_XEN_ATTR_TYPE_XEN_VERSION = 4;
constexpr uint32_t KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG = 5;
constexpr uint32_t KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA = 6;

constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO = 0;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO = 1;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR = 2;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT = 3;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA = 4;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST = 5;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID = 6;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_TIMER = 7;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR = 8;
constexpr uint32_t KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA = 9;

constexpr uint32_t KVM_CREATE_DEVICE_TEST = 1;
constexpr uint32_t KVM_DEV_TYPE_VFIO = 4;
constexpr uint32_t KVM_DEV_VFIO_FILE = 1;
constexpr uint32_t KVM_DEV_VFIO_FILE_ADD = 1;
constexpr uint32_t KVM_DEV_VFIO_FILE_DEL = 2;

constexpr uint32_t KVM_VCPU_TSC_CTRL = 0;
constexpr uint32_t KVM_VCPU_TSC_OFFSET = 0;
constexpr uint32_t KVM_X86_SEV_VMSA_FEATURES = 0;

constexpr uint32_t KVM_X86_DEFAULT_VM = 0;
constexpr uint32_t KVM_X86_SW_PROTECTED_VM = 1;
constexpr uint32_t KVM_X86_SEV_VM = 2;
constexpr uint32_t KVM_X86_SEV_ES_VM = 3;
constexpr uint32_t KVM_X86_SNP_VM = 4;
constexpr uint32_t KVM_X86_TDX_VM = 5;

constexpr uint64_t KVM_MEMORY_ATTRIBUTE_PRIVATE = 8;

constexpr uint64_t GUEST_MEMFD_FLAG_MMAP = 1;
constexpr uint64_t GUEST_MEMFD_FLAG_INIT_SHARED = 2;

constexpr uint64_t KVM_REG_X86 = 0x2000000000000000;
constexpr uint64_t KVM_REG_SIZE_U64 = 0x0030000000000000;
constexpr uint64_t KVM_X86_REG_TYPE_MSR = 2;
constexpr uint64_t KVM_X86_REG_TYPE_KVM = 3;

/* --- What ends KVM_RUN ----------------------------------------------------- */

constexpr uint32_t KVM_EXIT_IO = 2;
constexpr uint32_t KVM_EXIT_HYPERCALL = 3;
constexpr uint32_t KVM_EXIT_MMIO = 6;
constexpr uint32_t KVM_EXIT_SHUTDOWN = 8;
constexpr uint32_t KVM_EXIT_FAIL_ENTRY = 9;
constexpr uint32_t KVM_EXIT_INTERNAL_ERROR = 17;
constexpr uint32_t KVM_EXIT_SYSTEM_EVENT = 24;
constexpr uint32_t KVM_EXIT_HYPERV = 27;
constexpr uint32_t KVM_EXIT_X86_RDMSR = 29;
constexpr uint32_t KVM_EXIT_X86_WRMSR = 30;
constexpr uint32_t KVM_EXIT_XEN = 34;

constexpr uint32_t KVM_EXIT_IO_IN = 0;
constexpr uint32_t KVM_INTERNAL_ERROR_EMULATION = 1;
constexpr uint32_t KVM_SYSTEM_EVENT_SEV_TERM = 6;
constexpr uint32_t KVM_SYSTEM_EVENT_TDX_FATAL = 7;

} /* namespace kvm_reset::abi */

#endif
