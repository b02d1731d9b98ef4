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

using namespace builder;

/* Rows that define the same things: named after the older of them. */
inline constexpr uint32_t Slots = iow(0x46, 32);
inline constexpr uint32_t Cpuid = iow(0x8a, 8);
inline constexpr uint32_t Pit = io(0x64);
inline constexpr uint32_t CoalescedZones = iow(0x67, 16);
inline constexpr uint32_t EncryptedRegions = ior(0xbb, 16);

inline constexpr Row system[] = {
    query(System, "KVM_GET_API_VERSION", io(0x00)),
    create(System, "KVM_CREATE_VM", io(0x01)).takes_value().returning(Vm),
    query(System, "KVM_GET_MSR_INDEX_LIST", iowr(0x02, 4)),
    query(System, "KVM_CHECK_EXTENSION", io(0x03)).takes_value(),
    query(System, "KVM_GET_VCPU_MMAP_SIZE", io(0x04)),
    query(System, "KVM_GET_SUPPORTED_CPUID", iowr(0x05, 8)),
    query(System, "KVM_GET_EMULATED_CPUID", iowr(0x09, 8)),
    query(System, "KVM_GET_MSR_FEATURE_INDEX_LIST", iowr(0x0a, 4)),
    query(System, "KVM_GET_MSRS", iowr(0x88, 8)),
    query(System, "KVM_X86_GET_MCE_CAP_SUPPORTED", ior(0x9d, 8)),
    query(System, "KVM_GET_SUPPORTED_HV_CPUID", iowr(0xc1, 8)),
    query(System, "KVM_GET_DEVICE_ATTR", iow(0xe2, 24)),
    query(System, "KVM_HAS_DEVICE_ATTR", iow(0xe3, 24)),
};

inline constexpr Row vm[] = {
    query(Vm, "KVM_CHECK_EXTENSION", io(0x03)).takes_value(),
    create(Vm, "KVM_CREATE_VCPU", io(0x41)).by_value().returning(Vcpu),
    passing(Vm, "KVM_GET_DIRTY_LOG", iow(0x42, 16)).with_nothing_to_tell(),
    define(Vm, "KVM_SET_NR_MMU_PAGES", io(0x44)).takes_value(),
    query(Vm, "KVM_GET_NR_MMU_PAGES", io(0x45)),

    add(Vm, "KVM_SET_USER_MEMORY_REGION", iow(0x46, 32))
        .of_family(Slots)
        .with_key({{0, 4}})
        .taken_by_zero({16, 8}),
    add(Vm, "KVM_SET_USER_MEMORY_REGION2", iow(0x49, 160))
        .of_family(Slots)
        .with_key({{0, 4}})
        .taken_by_zero({16, 8})
        .with_fd({40, FdRole::Object, {4, 4}, 4, 4}),
    define(Vm, "KVM_SET_TSS_ADDR", io(0x47)).takes_value(),
    define(Vm, "KVM_SET_IDENTITY_MAP_ADDR", iow(0x48, 8)),

    define(Vm, "KVM_CREATE_IRQCHIP", io(0x60)),
    passing(Vm, "KVM_IRQ_LINE", iow(0x61, 8)).with_key({{0, 4}}).waiting(),
    passing(Vm, "KVM_IRQ_LINE_STATUS", iowr(0x67, 8))
        .with_key({{0, 4}})
        .waiting(),
    passing(Vm, "KVM_SIGNAL_MSI", iow(0xa5, 32))
        .with_key({{0, 4}, {4, 4}, {8, 4}, {16, 4}})
        .waiting(),
    query(Vm, "KVM_GET_IRQCHIP", iowr(0x62, 520)),
    passing(Vm, "KVM_SET_IRQCHIP", ior(0x63, 520)),
    define(Vm, "KVM_CREATE_PIT", io(0x64)).of_family(Pit),
    define(Vm, "KVM_CREATE_PIT2", iow(0x77, 64)).of_family(Pit),
    query(Vm, "KVM_GET_PIT", iowr(0x65, 72)),
    passing(Vm, "KVM_SET_PIT", ior(0x66, 72)),
    query(Vm, "KVM_GET_PIT2", ior(0x9f, 112)),
    passing(Vm, "KVM_SET_PIT2", iow(0xa0, 112)),
    define(Vm, "KVM_REINJECT_CONTROL", io(0x71))
        .points_to(32)
        .because("its number says nothing of its argument"),

    add(Vm, "KVM_REGISTER_COALESCED_MMIO", iow(0x67, 16))
        .of_family(CoalescedZones)
        .with_key({{0, 8}, {8, 4}, {12, 4}}),
    remove(Vm, "KVM_UNREGISTER_COALESCED_MMIO", iow(0x68, 16))
        .of_family(CoalescedZones)
        .with_key({{0, 8}, {8, 4}, {12, 4}})
        .removing_containing(),
    define(Vm, "KVM_SET_GSI_ROUTING", iow(0x6a, 8))
        .with_tail({0, 4}, 48)
        .in_latest_order()
        .because("a route may name what was created since the first table"),
    add(Vm, "KVM_IRQFD", iow(0x76, 32))
        .with_key({{0, 4}, {4, 4}})
        .taken_by_flag({8, 4}, 1)
        .eventfd(0)
        .eventfd_if(12, {8, 4}, 2, 2)
        .exclusively(),
    add(Vm, "KVM_IOEVENTFD", iow(0x79, 64))
        .with_key(
            {{8, 8}, {16, 4}, {.offset = 24, .width = 4, .ignore = 4}, {0, 8}})
        .taken_by_flag({24, 4}, 4)
        .eventfd(20),
    add(Vm, "KVM_HYPERV_EVENTFD", iow(0xbd, 24))
        .with_key({{0, 4}})
        .taken_by_flag({8, 4}, 1)
        .eventfd_if(4, {8, 4}, 1, 0),

    define(Vm, "KVM_SET_BOOT_CPU_ID", io(0x78)).takes_value(),
    define(Vm, "KVM_XEN_HVM_CONFIG", iow(0x7a, 56))
        .because("the kernel keeps the blobs' addresses and reads them when "
                 "the guest asks: nothing to copy"),
    query(Vm, "KVM_XEN_HVM_GET_ATTR", iowr(0xc8, 72)),
    define(Vm, "KVM_XEN_HVM_SET_ATTR", iow(0xc9, 72))
        .with_key({{0, 2}})
        .classified_by(classify_xen_hvm),
    passing(Vm, "KVM_XEN_HVM_EVTCHN_SEND", iow(0xd0, 12))
        .with_key({{0, 4}, {4, 4}, {8, 4}})
        .waiting(),
    passing(Vm, "KVM_SET_CLOCK", iow(0x7b, 48)),
    query(Vm, "KVM_GET_CLOCK", ior(0x7c, 48)),
    define(Vm, "KVM_SET_TSC_KHZ", io(0xa2)).takes_value(),
    query(Vm, "KVM_GET_TSC_KHZ", io(0xa3)),

    define(Vm, "KVM_ENABLE_CAP", iow(0xa3, 104))
        .with_key({{0, 4}})
        .classified_by(classify_vm_cap)
        .with_fd({8, FdRole::Held, {0, 4}, 0xffffffff, 196})
        .because("KVM_CAP_SGX_ATTRIBUTE names a file"),
    define(Vm, "KVM_SET_PMU_EVENT_FILTER", iow(0xb2, 32)).with_tail({4, 4}, 8),
    define(Vm, "KVM_X86_SET_MSR_FILTER", iow(0xc6, 392))
        .with_pointer({.offset = 24,
                       .count = {12, 4},
                       .bits = 1,
                       .round = 64,
                       .repeat = 16,
                       .stride = 24}),

    launch(Vm, "KVM_MEMORY_ENCRYPT_OP", iowr(0xba, 8))
        .points_to(24)
        .classified_by(classify_encrypt_op)
        .because("its number says a long, its argument is a command"),
    add(Vm, "KVM_MEMORY_ENCRYPT_REG_REGION", ior(0xbb, 16))
        .of_family(EncryptedRegions)
        .with_key({{0, 8}, {8, 8}}),
    remove(Vm, "KVM_MEMORY_ENCRYPT_UNREG_REGION", ior(0xbc, 16))
        .of_family(EncryptedRegions)
        .with_key({{0, 8}, {8, 8}}),
    passing(Vm, "KVM_CLEAR_DIRTY_LOG", iowr(0xc0, 24)),
    passing(Vm, "KVM_RESET_DIRTY_RINGS", io(0xc7)),
    define(Vm, "KVM_SET_MEMORY_ATTRIBUTES", iow(0xd2, 32))
        .with_key({{0, 8}, {8, 8}})
        .in_latest_order()
        .classified_by(classify_memory_attributes)
        .because("of two ranges that overlap the later one wins"),
    create(Vm, "KVM_CREATE_GUEST_MEMFD", iowr(0xd4, 64)).returning(GuestMemfd),
    create(Vm, "KVM_GET_STATS_FD", io(0xce)).returning(Stats),

    create(Vm, "KVM_CREATE_DEVICE", iowr(0xe0, 12))
        .creating(Device, {4, 4})
        .classified_by(classify_create_device),
    foreign(Vm, "KVM_SET_DEVICE_ATTR", iow(0xe1, 24),
            "arm64, s390: x86 has no attributes of a VM"),
    query(Vm, "KVM_GET_DEVICE_ATTR", iow(0xe2, 24)),
    query(Vm, "KVM_HAS_DEVICE_ATTR", iow(0xe3, 24)),
};

inline constexpr Row vcpu[] = {
    run(Vcpu, "KVM_RUN", io(0x80)),
    query(Vcpu, "KVM_GET_REGS", ior(0x81, 144)),
    passing(Vcpu, "KVM_SET_REGS", iow(0x82, 144)).counts_until_launch(),
    query(Vcpu, "KVM_GET_SREGS", ior(0x83, 312)),
    passing(Vcpu, "KVM_SET_SREGS", iow(0x84, 312)).counts_until_launch(),
    query(Vcpu, "KVM_GET_SREGS2", ior(0xcc, 320)),
    passing(Vcpu, "KVM_SET_SREGS2", iow(0xcd, 320)).counts_until_launch(),
    query(Vcpu, "KVM_TRANSLATE", iowr(0x85, 24)),
    passing(Vcpu, "KVM_INTERRUPT", iow(0x86, 4)),
    query(Vcpu, "KVM_GET_MSRS", iowr(0x88, 8)),
    define(Vcpu, "KVM_SET_MSRS", iow(0x89, 8))
        .with_tail({0, 4}, 16)
        .element_by_element()
        .with_key({{0, 4}})
        .classified_by(classify_msr)
        .counts_until_launch(),
    define(Vcpu, "KVM_SET_CPUID", iow(0x8a, 8))
        .of_family(Cpuid)
        .with_tail({0, 4}, 24),
    define(Vcpu, "KVM_SET_CPUID2", iow(0x90, 8))
        .of_family(Cpuid)
        .with_tail({0, 4}, 40),
    query(Vcpu, "KVM_GET_CPUID2", iowr(0x91, 8)),
    query(Vcpu, "KVM_GET_SUPPORTED_HV_CPUID", iowr(0xc1, 8)),
    define(Vcpu, "KVM_SET_SIGNAL_MASK", iow(0x8b, 4))
        .with_tail({0, 4}, 1)
        .because("a null pointer is a definition too: no mask"),
    query(Vcpu, "KVM_GET_FPU", ior(0x8c, 416)),
    passing(Vcpu, "KVM_SET_FPU", iow(0x8d, 416)).counts_until_launch(),
    query(Vcpu, "KVM_GET_LAPIC", ior(0x8e, 1024)),
    passing(Vcpu, "KVM_SET_LAPIC", iow(0x8f, 1024)).counts_until_launch(),
    define(Vcpu, "KVM_TPR_ACCESS_REPORTING", iowr(0x92, 40)),
    passing(Vcpu, "KVM_SET_VAPIC_ADDR", iow(0x93, 8)),
    query(Vcpu, "KVM_GET_MP_STATE", ior(0x98, 4)),
    passing(Vcpu, "KVM_SET_MP_STATE", iow(0x99, 4)).counts_until_launch(),
    passing(Vcpu, "KVM_NMI", io(0x9a)),
    passing(Vcpu, "KVM_SMI", io(0xb7)),
    add(Vcpu, "KVM_SET_GUEST_DEBUG", iow(0x9b, 72)).taken_by_zero({0, 4}),
    define(Vcpu, "KVM_X86_SETUP_MCE", iow(0x9c, 8)),
    passing(Vcpu, "KVM_X86_SET_MCE", iow(0x9e, 64)),
    query(Vcpu, "KVM_GET_VCPU_EVENTS", ior(0x9f, 64)),
    passing(Vcpu, "KVM_SET_VCPU_EVENTS", iow(0xa0, 64)).counts_until_launch(),
    query(Vcpu, "KVM_GET_DEBUGREGS", ior(0xa1, 128)),
    passing(Vcpu, "KVM_SET_DEBUGREGS", iow(0xa2, 128)).counts_until_launch(),
    define(Vcpu, "KVM_SET_TSC_KHZ", io(0xa2)).takes_value(),
    query(Vcpu, "KVM_GET_TSC_KHZ", io(0xa3)),
    define(Vcpu, "KVM_ENABLE_CAP", iow(0xa3, 104))
        .with_key({{0, 4}})
        .classified_by(classify_vcpu_cap)
        .with_pointer({.offset = 8, .bits = 16, .when = {0, 4}, .is = 163})
        .because("KVM_CAP_HYPERV_ENLIGHTENED_VMCS writes to where it points"),
    query(Vcpu, "KVM_GET_XSAVE", ior(0xa4, 4096)),
    query(Vcpu, "KVM_GET_XSAVE2", ior(0xcf, 4096)),
    passing(Vcpu, "KVM_SET_XSAVE", iow(0xa5, 4096))
        .counts_until_launch()
        .with_room(0x4000)
        .because("the number has the size of old; KVM_CAP_XSAVE2 says more"),
    query(Vcpu, "KVM_GET_XCRS", ior(0xa6, 392)),
    passing(Vcpu, "KVM_SET_XCRS", iow(0xa7, 392)).counts_until_launch(),
    query(Vcpu, "KVM_GET_ONE_REG", iow(0xab, 16)),
    define(Vcpu, "KVM_SET_ONE_REG", iow(0xac, 16))
        .with_key({{0, 8}})
        .classified_by(classify_one_reg)
        .with_pointer({.offset = 8, .bits = 64})
        .counts_until_launch(),
    query(Vcpu, "KVM_GET_REG_LIST", iowr(0xb0, 8)),
    passing(Vcpu, "KVM_KVMCLOCK_CTRL", io(0xad)),
    launch(Vcpu, "KVM_MEMORY_ENCRYPT_OP", iowr(0xba, 8))
        .points_to(24)
        .classified_by(classify_encrypt_op),
    query(Vcpu, "KVM_GET_NESTED_STATE", iowr(0xbe, 128)),
    passing(Vcpu, "KVM_SET_NESTED_STATE", iow(0xbf, 128)),
    query(Vcpu, "KVM_XEN_VCPU_GET_ATTR", iowr(0xca, 72)),
    define(Vcpu, "KVM_XEN_VCPU_SET_ATTR", iow(0xcb, 72))
        .with_key({{0, 2}})
        .classified_by(classify_xen_vcpu),
    create(Vcpu, "KVM_GET_STATS_FD", io(0xce)).returning(Stats),
    passing(Vcpu, "KVM_PRE_FAULT_MEMORY", iowr(0xd5, 64)),
    foreign(Vcpu, "KVM_SET_DEVICE_ATTR", iow(0xe1, 24),
            "an attribute other than the TSC's offset")
        .classified_by(classify_vcpu_attr),
    query(Vcpu, "KVM_GET_DEVICE_ATTR", iow(0xe2, 24)),
    query(Vcpu, "KVM_HAS_DEVICE_ATTR", iow(0xe3, 24)),
};

inline constexpr Row device[] = {
    add(Device, "KVM_SET_DEVICE_ATTR", iow(0xe1, 24))
        .with_pointer({.offset = 16, .bits = 32})
        .with_key({{4, 4}, {.offset = 0, .width = 4, .inside = true}})
        .taken_by_value({8, 8}, 2)
        .with_fd({.offset = 0, .role = FdRole::File, .inside = true})
        .exclusively()
        .classified_by(classify_device_attr)
        .because("KVM_DEV_VFIO_FILE: one file goes to one VM"),
    query(Device, "KVM_GET_DEVICE_ATTR", iow(0xe2, 24)),
    query(Device, "KVM_HAS_DEVICE_ATTR", iow(0xe3, 24)),
};

} /* namespace kvm_reset::rows */

#endif
