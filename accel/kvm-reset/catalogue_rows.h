/*
 * The catalogue's rows: what x86's KVM takes, by fd
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Included by catalogue.cc alone.  Sizes and offsets are those of a C
 * compiler; tests/unit/abi_check asks one.
 */

#ifndef KVM_RESET_CATALOGUE_ROWS_H
#define KVM_RESET_CATALOGUE_ROWS_H

#include "catalogue_builder.h"
#include "classify.h"

namespace kvm_reset::rows {

using namespace abi;
using namespace builder;

/* Rows that define the same things: named after the older of them. */
inline constexpr uint32_t Slots = KVM_SET_USER_MEMORY_REGION;
inline constexpr uint32_t Cpuid = KVM_SET_CPUID;
inline constexpr uint32_t Pit = KVM_CREATE_PIT;
inline constexpr uint32_t CoalescedZones = KVM_REGISTER_COALESCED_MMIO;
inline constexpr uint32_t EncryptedRegions = KVM_MEMORY_ENCRYPT_REG_REGION;

inline constexpr Row system[] = {
    row(System, Query, NAMED(KVM_GET_API_VERSION)),
    row(System, Create, NAMED(KVM_CREATE_VM)).arg(Value).creates(Vm),
    row<kvm_msr_list>(System, Query, NAMED(KVM_GET_MSR_INDEX_LIST)),
    row(System, Query, NAMED(KVM_CHECK_EXTENSION)).arg(Value),
    row(System, Query, NAMED(KVM_GET_VCPU_MMAP_SIZE)),
    row<kvm_cpuid2>(System, Query, NAMED(KVM_GET_SUPPORTED_CPUID)),
    row<kvm_cpuid2>(System, Query, NAMED(KVM_GET_EMULATED_CPUID)),
    row<kvm_msr_list>(System, Query, NAMED(KVM_GET_MSR_FEATURE_INDEX_LIST)),
    row<kvm_msrs>(System, Query, NAMED(KVM_GET_MSRS)),
    row<uint64_t>(System, Query, NAMED(KVM_X86_GET_MCE_CAP_SUPPORTED)),
    row<kvm_cpuid2>(System, Query, NAMED(KVM_GET_SUPPORTED_HV_CPUID)),
    row<kvm_device_attr>(System, Query, NAMED(KVM_GET_DEVICE_ATTR)),
    row<kvm_device_attr>(System, Query, NAMED(KVM_HAS_DEVICE_ATTR)),
};

inline constexpr Row vm[] = {
    row(Vm, Query, NAMED(KVM_CHECK_EXTENSION)).arg(Value),
    row(Vm, Create, NAMED(KVM_CREATE_VCPU)).value_is_key().creates(Vcpu),
    row<kvm_dirty_log>(Vm, Volatile, NAMED(KVM_GET_DIRTY_LOG))
        .when_detached(Nothing),
    row(Vm, Define, NAMED(KVM_SET_NR_MMU_PAGES)).arg(Value),
    row(Vm, Query, NAMED(KVM_GET_NR_MMU_PAGES)),

    row<kvm_userspace_memory_region>(Vm, Add, NAMED(KVM_SET_USER_MEMORY_REGION))
        .family(Slots)
        .key(&kvm_userspace_memory_region::slot)
        .removal(FieldIsZero, &kvm_userspace_memory_region::memory_size),
    row<kvm_userspace_memory_region2>(Vm, Add,
                                      NAMED(KVM_SET_USER_MEMORY_REGION2))
        .family(Slots)
        .key(&kvm_userspace_memory_region2::slot)
        .removal(FieldIsZero, &kvm_userspace_memory_region2::memory_size)
        .fd_if(Object, &kvm_userspace_memory_region2::guest_memfd,
               &kvm_userspace_memory_region2::flags, KVM_MEM_GUEST_MEMFD,
               KVM_MEM_GUEST_MEMFD),
    row(Vm, Define, NAMED(KVM_SET_TSS_ADDR)).arg(Value),
    row<uint64_t>(Vm, Define, NAMED(KVM_SET_IDENTITY_MAP_ADDR)),

    row(Vm, Define, NAMED(KVM_CREATE_IRQCHIP)),
    row<kvm_irq_level>(Vm, Volatile, NAMED(KVM_IRQ_LINE))
        .key(&kvm_irq_level::irq)
        .when_detached(Waits),
    row<kvm_irq_level>(Vm, Volatile, NAMED(KVM_IRQ_LINE_STATUS))
        .key(&kvm_irq_level::irq)
        .when_detached(Waits),
    row<kvm_msi>(Vm, Volatile, NAMED(KVM_SIGNAL_MSI))
        .key(&kvm_msi::address_lo, &kvm_msi::address_hi, &kvm_msi::data,
             &kvm_msi::devid)
        .when_detached(Waits),
    row<kvm_irqchip>(Vm, Query, NAMED(KVM_GET_IRQCHIP)),
    row<kvm_irqchip>(Vm, Volatile, NAMED(KVM_SET_IRQCHIP)),
    row(Vm, Define, NAMED(KVM_CREATE_PIT)).family(Pit),
    row<kvm_pit_config>(Vm, Define, NAMED(KVM_CREATE_PIT2)).family(Pit),
    row<kvm_pit_state>(Vm, Query, NAMED(KVM_GET_PIT)),
    row<kvm_pit_state>(Vm, Volatile, NAMED(KVM_SET_PIT)),
    row<kvm_pit_state2>(Vm, Query, NAMED(KVM_GET_PIT2)),
    row<kvm_pit_state2>(Vm, Volatile, NAMED(KVM_SET_PIT2)),
    row<kvm_reinject_control>(Vm, Define, NAMED(KVM_REINJECT_CONTROL))
        .note("its number says nothing of its argument"),

    row<kvm_coalesced_mmio_zone>(Vm, Add, NAMED(KVM_REGISTER_COALESCED_MMIO))
        .family(CoalescedZones)
        .key(&kvm_coalesced_mmio_zone::addr, &kvm_coalesced_mmio_zone::size,
             &kvm_coalesced_mmio_zone::pio),
    row<kvm_coalesced_mmio_zone>(Vm, Remove,
                                 NAMED(KVM_UNREGISTER_COALESCED_MMIO))
        .family(CoalescedZones)
        .key(&kvm_coalesced_mmio_zone::addr, &kvm_coalesced_mmio_zone::size,
             &kvm_coalesced_mmio_zone::pio)
        .removes_containing(),
    row<kvm_irq_routing>(Vm, Define, NAMED(KVM_SET_GSI_ROUTING))
        .tail<kvm_irq_routing_entry>(&kvm_irq_routing::nr)
        .moves_to_end()
        .note("a route may name what was created since the first table"),
    row<kvm_irqfd>(Vm, Add, NAMED(KVM_IRQFD))
        .key(&kvm_irqfd::fd, &kvm_irqfd::gsi)
        .removal(FlagIsSet, &kvm_irqfd::flags, KVM_IRQFD_FLAG_DEASSIGN)
        .fd(Eventfd, &kvm_irqfd::fd)
        .fd_if(Eventfd, &kvm_irqfd::resamplefd, &kvm_irqfd::flags,
               KVM_IRQFD_FLAG_RESAMPLE, KVM_IRQFD_FLAG_RESAMPLE)
        .exclusive(),
    row<kvm_ioeventfd>(Vm, Add, NAMED(KVM_IOEVENTFD))
        .key(&kvm_ioeventfd::addr, &kvm_ioeventfd::len, &kvm_ioeventfd::flags,
             &kvm_ioeventfd::datamatch)
        .ignore(&kvm_ioeventfd::flags, KVM_IOEVENTFD_FLAG_DEASSIGN)
        .removal(FlagIsSet, &kvm_ioeventfd::flags, KVM_IOEVENTFD_FLAG_DEASSIGN)
        .fd(Eventfd, &kvm_ioeventfd::fd),
    row<kvm_hyperv_eventfd>(Vm, Add, NAMED(KVM_HYPERV_EVENTFD))
        .key(&kvm_hyperv_eventfd::conn_id)
        .removal(FlagIsSet, &kvm_hyperv_eventfd::flags,
                 KVM_HYPERV_EVENTFD_DEASSIGN)
        .fd_if(Eventfd, &kvm_hyperv_eventfd::fd, &kvm_hyperv_eventfd::flags,
               KVM_HYPERV_EVENTFD_DEASSIGN, 0),

    row(Vm, Define, NAMED(KVM_SET_BOOT_CPU_ID)).arg(Value),
    row<kvm_xen_hvm_config>(Vm, Define, NAMED(KVM_XEN_HVM_CONFIG))
        .note("the kernel keeps the blobs' addresses and reads them when "
              "the guest asks: nothing to copy"),
    row<kvm_xen_hvm_attr>(Vm, Query, NAMED(KVM_XEN_HVM_GET_ATTR)),
    row<kvm_xen_hvm_attr>(Vm, Define, NAMED(KVM_XEN_HVM_SET_ATTR))
        .key(&kvm_xen_hvm_attr::type)
        .classify(classify_xen_hvm),
    row<kvm_irq_routing_xen_evtchn>(Vm, Volatile,
                                    NAMED(KVM_XEN_HVM_EVTCHN_SEND))
        .key(&kvm_irq_routing_xen_evtchn::port,
             &kvm_irq_routing_xen_evtchn::vcpu,
             &kvm_irq_routing_xen_evtchn::priority)
        .when_detached(Waits),
    row<kvm_clock_data>(Vm, Volatile, NAMED(KVM_SET_CLOCK)),
    row<kvm_clock_data>(Vm, Query, NAMED(KVM_GET_CLOCK)),
    row(Vm, Define, NAMED(KVM_SET_TSC_KHZ)).arg(Value),
    row(Vm, Query, NAMED(KVM_GET_TSC_KHZ)),

    row<kvm_enable_cap>(Vm, Define, NAMED(KVM_ENABLE_CAP))
        .key(&kvm_enable_cap::cap)
        .classify(classify_vm_cap)
        .adds_up(vm_cap_adds_up)
        .fd_if(Held, &kvm_enable_cap::args, &kvm_enable_cap::cap, ~0u,
               KVM_CAP_SGX_ATTRIBUTE)
        .note("KVM_CAP_SGX_ATTRIBUTE names a file"),
    row<kvm_pmu_event_filter>(Vm, Define, NAMED(KVM_SET_PMU_EVENT_FILTER))
        .tail<uint64_t>(&kvm_pmu_event_filter::nevents),
    row<kvm_msr_filter>(Vm, Define, NAMED(KVM_X86_SET_MSR_FILTER))
        .pointer({.offset = field_of(&kvm_msr_filter::ranges,
                                     &kvm_msr_filter_range::bitmap)
                                .offset,
                  .count = field_of(&kvm_msr_filter::ranges,
                                    &kvm_msr_filter_range::nmsrs),
                  .bits = 1,
                  .round = 64,
                  .repeat = KVM_MSR_FILTER_MAX_RANGES,
                  .stride = sizeof(kvm_msr_filter_range)}),

    row<kvm_sev_cmd>(Vm, Launch, NAMED(KVM_MEMORY_ENCRYPT_OP))
        .classify(classify_encrypt_op)
        .note("its number says a long, its argument is a command"),
    row<kvm_enc_region>(Vm, Add, NAMED(KVM_MEMORY_ENCRYPT_REG_REGION))
        .family(EncryptedRegions)
        .key(&kvm_enc_region::addr, &kvm_enc_region::size),
    row<kvm_enc_region>(Vm, Remove, NAMED(KVM_MEMORY_ENCRYPT_UNREG_REGION))
        .family(EncryptedRegions)
        .key(&kvm_enc_region::addr, &kvm_enc_region::size),
    row<kvm_clear_dirty_log>(Vm, Volatile, NAMED(KVM_CLEAR_DIRTY_LOG))
        .when_detached(Nothing),
    row(Vm, Volatile, NAMED(KVM_RESET_DIRTY_RINGS)),
    row<kvm_memory_attributes>(Vm, Define, NAMED(KVM_SET_MEMORY_ATTRIBUTES))
        .key(&kvm_memory_attributes::address, &kvm_memory_attributes::size)
        .moves_to_end()
        .classify(classify_memory_attributes)
        .note("of two ranges that overlap the later one wins"),
    row<kvm_create_guest_memfd>(Vm, Create, NAMED(KVM_CREATE_GUEST_MEMFD))
        .creates(GuestMemfd)
        .classify(classify_create_guest_memfd)
        .note("a flag that no new one can have: what userspace mapped or "
              "shared of it would be lost"),
    row(Vm, Create, NAMED(KVM_GET_STATS_FD)).creates(Stats),

    row<kvm_create_device>(Vm, Create, NAMED(KVM_CREATE_DEVICE))
        .creates(Device, &kvm_create_device::fd)
        .classify(classify_create_device),
    row<kvm_device_attr>(Vm, Foreign, NAMED(KVM_SET_DEVICE_ATTR))
        .note("arm64, s390: x86 has no attributes of a VM"),
    row<kvm_device_attr>(Vm, Query, NAMED(KVM_GET_DEVICE_ATTR)),
    row<kvm_device_attr>(Vm, Query, NAMED(KVM_HAS_DEVICE_ATTR)),
};

inline constexpr Row vcpu[] = {
    row(Vcpu, Run, NAMED(KVM_RUN)),
    row<kvm_regs>(Vcpu, Query, NAMED(KVM_GET_REGS)),
    row<kvm_regs>(Vcpu, Volatile, NAMED(KVM_SET_REGS)).defines_until_launch(),
    row<kvm_sregs>(Vcpu, Query, NAMED(KVM_GET_SREGS)),
    row<kvm_sregs>(Vcpu, Volatile, NAMED(KVM_SET_SREGS)).defines_until_launch(),
    row<kvm_sregs2>(Vcpu, Query, NAMED(KVM_GET_SREGS2)),
    row<kvm_sregs2>(Vcpu, Volatile, NAMED(KVM_SET_SREGS2))
        .defines_until_launch(),
    row<kvm_translation>(Vcpu, Query, NAMED(KVM_TRANSLATE)),
    row<kvm_interrupt>(Vcpu, Volatile, NAMED(KVM_INTERRUPT)),
    row<kvm_msrs>(Vcpu, Query, NAMED(KVM_GET_MSRS)),
    row<kvm_msrs>(Vcpu, Define, NAMED(KVM_SET_MSRS))
        .tail<kvm_msr_entry>(&kvm_msrs::nmsrs)
        .each_element(&kvm_msr_entry::index)
        .classify(classify_msr)
        .defines_until_launch(),
    row<kvm_cpuid>(Vcpu, Define, NAMED(KVM_SET_CPUID))
        .family(Cpuid)
        .tail<kvm_cpuid_entry>(&kvm_cpuid::nent),
    row<kvm_cpuid2>(Vcpu, Define, NAMED(KVM_SET_CPUID2))
        .family(Cpuid)
        .tail<kvm_cpuid_entry2>(&kvm_cpuid2::nent),
    row<kvm_cpuid2>(Vcpu, Query, NAMED(KVM_GET_CPUID2)),
    row<kvm_cpuid2>(Vcpu, Query, NAMED(KVM_GET_SUPPORTED_HV_CPUID)),
    row<kvm_signal_mask>(Vcpu, Define, NAMED(KVM_SET_SIGNAL_MASK))
        .tail<uint8_t>(&kvm_signal_mask::len)
        .note("a null pointer is a definition too: no mask"),
    row<kvm_fpu>(Vcpu, Query, NAMED(KVM_GET_FPU)),
    row<kvm_fpu>(Vcpu, Volatile, NAMED(KVM_SET_FPU)).defines_until_launch(),
    row<kvm_lapic_state>(Vcpu, Query, NAMED(KVM_GET_LAPIC)),
    row<kvm_lapic_state>(Vcpu, Volatile, NAMED(KVM_SET_LAPIC))
        .defines_until_launch(),
    row<kvm_tpr_access_ctl>(Vcpu, Define, NAMED(KVM_TPR_ACCESS_REPORTING)),
    row<kvm_vapic_addr>(Vcpu, Volatile, NAMED(KVM_SET_VAPIC_ADDR)),
    row<kvm_mp_state>(Vcpu, Query, NAMED(KVM_GET_MP_STATE)),
    row<kvm_mp_state>(Vcpu, Volatile, NAMED(KVM_SET_MP_STATE))
        .defines_until_launch(),
    row(Vcpu, Volatile, NAMED(KVM_NMI)),
    row(Vcpu, Volatile, NAMED(KVM_SMI)),
    row<kvm_guest_debug>(Vcpu, Add, NAMED(KVM_SET_GUEST_DEBUG))
        .removal(FieldIsZero, &kvm_guest_debug::control),
    row<uint64_t>(Vcpu, Define, NAMED(KVM_X86_SETUP_MCE)),
    row<kvm_x86_mce>(Vcpu, Volatile, NAMED(KVM_X86_SET_MCE)),
    row<kvm_vcpu_events>(Vcpu, Query, NAMED(KVM_GET_VCPU_EVENTS)),
    row<kvm_vcpu_events>(Vcpu, Volatile, NAMED(KVM_SET_VCPU_EVENTS))
        .defines_until_launch(),
    row<kvm_debugregs>(Vcpu, Query, NAMED(KVM_GET_DEBUGREGS)),
    row<kvm_debugregs>(Vcpu, Volatile, NAMED(KVM_SET_DEBUGREGS))
        .defines_until_launch(),
    row(Vcpu, Define, NAMED(KVM_SET_TSC_KHZ)).arg(Value),
    row(Vcpu, Query, NAMED(KVM_GET_TSC_KHZ)),
    row<kvm_enable_cap>(Vcpu, Define, NAMED(KVM_ENABLE_CAP))
        .key(&kvm_enable_cap::cap)
        .classify(classify_vcpu_cap)
        .pointer({.offset = offset_of(&kvm_enable_cap::args),
                  .bits = 16,
                  .when = field_of(&kvm_enable_cap::cap),
                  .is = KVM_CAP_HYPERV_ENLIGHTENED_VMCS})
        .note("KVM_CAP_HYPERV_ENLIGHTENED_VMCS writes to where it points"),
    row<kvm_xsave>(Vcpu, Query, NAMED(KVM_GET_XSAVE)),
    row<kvm_xsave>(Vcpu, Query, NAMED(KVM_GET_XSAVE2)),
    row<kvm_xsave>(Vcpu, Volatile, NAMED(KVM_SET_XSAVE))
        .defines_until_launch()
        .room(0x4000)
        .note("the number has the size of old; KVM_CAP_XSAVE2 says more"),
    row<kvm_xcrs>(Vcpu, Query, NAMED(KVM_GET_XCRS)),
    row<kvm_xcrs>(Vcpu, Volatile, NAMED(KVM_SET_XCRS)).defines_until_launch(),
    row<kvm_one_reg>(Vcpu, Query, NAMED(KVM_GET_ONE_REG)),
    row<kvm_one_reg>(Vcpu, Define, NAMED(KVM_SET_ONE_REG))
        .key(&kvm_one_reg::id)
        .classify(classify_one_reg)
        .pointer({.offset = offset_of(&kvm_one_reg::addr), .bits = 64})
        .defines_until_launch(),
    row<kvm_reg_list>(Vcpu, Query, NAMED(KVM_GET_REG_LIST)),
    row(Vcpu, Volatile, NAMED(KVM_KVMCLOCK_CTRL)),
    row<kvm_sev_cmd>(Vcpu, Launch, NAMED(KVM_MEMORY_ENCRYPT_OP))
        .classify(classify_encrypt_op),
    row<kvm_nested_state>(Vcpu, Query, NAMED(KVM_GET_NESTED_STATE)),
    row<kvm_nested_state>(Vcpu, Volatile, NAMED(KVM_SET_NESTED_STATE)),
    row<kvm_xen_vcpu_attr>(Vcpu, Query, NAMED(KVM_XEN_VCPU_GET_ATTR)),
    row<kvm_xen_vcpu_attr>(Vcpu, Define, NAMED(KVM_XEN_VCPU_SET_ATTR))
        .key(&kvm_xen_vcpu_attr::type)
        .classify(classify_xen_vcpu),
    row(Vcpu, Create, NAMED(KVM_GET_STATS_FD)).creates(Stats),
    row<kvm_pre_fault_memory>(Vcpu, Volatile, NAMED(KVM_PRE_FAULT_MEMORY)),
    row<kvm_device_attr>(Vcpu, Foreign, NAMED(KVM_SET_DEVICE_ATTR))
        .note("an attribute other than the TSC's offset")
        .classify(classify_vcpu_attr),
    row<kvm_device_attr>(Vcpu, Query, NAMED(KVM_GET_DEVICE_ATTR)),
    row<kvm_device_attr>(Vcpu, Query, NAMED(KVM_HAS_DEVICE_ATTR)),
};

inline constexpr Row device[] = {
    row<kvm_device_attr>(Device, Add, NAMED(KVM_SET_DEVICE_ATTR))
        .pointer({.offset = offset_of(&kvm_device_attr::addr), .bits = 32})
        .key(&kvm_device_attr::group)
        .key(pointed<int32_t>())
        .removal(FieldIs, &kvm_device_attr::attr, KVM_DEV_VFIO_FILE_DEL)
        .fd({.role = File, .inside = true})
        .exclusive()
        .classify(classify_device_attr)
        .note("KVM_DEV_VFIO_FILE: one file goes to one VM"),
    row<kvm_device_attr>(Device, Query, NAMED(KVM_GET_DEVICE_ATTR)),
    row<kvm_device_attr>(Device, Query, NAMED(KVM_HAS_DEVICE_ATTR)),
};

} /* namespace kvm_reset::rows */

#endif
