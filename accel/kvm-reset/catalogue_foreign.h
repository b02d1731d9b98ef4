/*
 * The catalogue's rows: what x86's KVM never takes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ioctls of other architectures, and those that Linux has given up.  A call
 * that succeeds all the same is not understood.  The numbers are what the
 * names would be here, whatever their architecture makes of them.  Included
 * by catalogue.cc alone.
 */

#ifndef KVM_RESET_CATALOGUE_FOREIGN_H
#define KVM_RESET_CATALOGUE_FOREIGN_H

#include "catalogue_builder.h"

namespace kvm_reset::rows {

using namespace builder;

inline constexpr Row arm[] = {
    foreign(Vm, "KVM_ARM_SET_DEVICE_ADDR", iow(0xab, 16), "arm64"),
    foreign(Vm, "KVM_ARM_PREFERRED_TARGET", ior(0xaf, 32), "arm64"),
    foreign(Vm, "KVM_ARM_MTE_COPY_TAGS", ior(0xb4, 48), "arm64"),
    foreign(Vm, "KVM_ARM_SET_COUNTER_OFFSET", iow(0xb5, 16), "arm64"),
    foreign(Vm, "KVM_ARM_GET_REG_WRITABLE_MASKS", ior(0xb6, 64), "arm64"),
    foreign(Vcpu, "KVM_ARM_VCPU_INIT", iow(0xae, 32), "arm64"),
    foreign(Vcpu, "KVM_ARM_VCPU_FINALIZE", iow(0xc2, 4), "arm64"),
};

inline constexpr Row powerpc[] = {
    foreign(Vm, "KVM_PPC_GET_PVINFO", iow(0xa1, 128), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_SMMU_INFO", ior(0xa6, 592), "powerpc"),
    foreign(Vm, "KVM_PPC_ALLOCATE_HTAB", iowr(0xa7, 4), "powerpc"),
    foreign(Vm, "KVM_CREATE_SPAPR_TCE", iow(0xa8, 16), "powerpc"),
    foreign(Vm, "KVM_CREATE_SPAPR_TCE_64", iow(0xa8, 32), "powerpc"),
    foreign(Vm, "KVM_ALLOCATE_RMA", ior(0xa9, 8), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_HTAB_FD", iow(0xaa, 32), "powerpc"),
    foreign(Vm, "KVM_PPC_RTAS_DEFINE_TOKEN", iow(0xac, 128), "powerpc"),
    foreign(Vm, "KVM_PPC_RESIZE_HPT_PREPARE", ior(0xad, 16), "powerpc"),
    foreign(Vm, "KVM_PPC_RESIZE_HPT_COMMIT", ior(0xae, 16), "powerpc"),
    foreign(Vm, "KVM_PPC_CONFIGURE_V3_MMU", iow(0xaf, 16), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_RMMU_INFO", iow(0xb0, 96), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_CPU_CHAR", ior(0xb1, 32), "powerpc"),
    foreign(Vm, "KVM_PPC_SVM_OFF", io(0xb3), "powerpc"),
    foreign(Vcpu, "KVM_DIRTY_TLB", iow(0xaa, 16), "powerpc"),
};

inline constexpr Row s390[] = {
    foreign(System, "KVM_S390_ENABLE_SIE", io(0x06), "s390"),
    foreign(Vm, "KVM_S390_INTERRUPT", iow(0x94, 16), "s390"),
    foreign(Vm, "KVM_S390_MEM_OP", iow(0xb1, 64), "s390"),
    foreign(Vm, "KVM_S390_GET_SKEYS", iow(0xb2, 64), "s390"),
    foreign(Vm, "KVM_S390_SET_SKEYS", iow(0xb3, 64), "s390"),
    foreign(Vm, "KVM_S390_GET_CMMA_BITS", iowr(0xb8, 32), "s390"),
    foreign(Vm, "KVM_S390_SET_CMMA_BITS", iow(0xb9, 32), "s390"),
    foreign(Vm, "KVM_S390_PV_COMMAND", iowr(0xc5, 32), "s390"),
    foreign(Vm, "KVM_S390_ZPCI_OP", iow(0xd1, 72), "s390"),
    foreign(Vcpu, "KVM_S390_UCAS_MAP", iow(0x50, 24), "s390"),
    foreign(Vcpu, "KVM_S390_UCAS_UNMAP", iow(0x51, 24), "s390"),
    foreign(Vcpu, "KVM_S390_VCPU_FAULT", iow(0x52, 8), "s390"),
    foreign(Vcpu, "KVM_S390_INTERRUPT", iow(0x94, 16), "s390"),
    foreign(Vcpu, "KVM_S390_STORE_STATUS", iow(0x95, 8), "s390"),
    foreign(Vcpu, "KVM_S390_SET_INITIAL_PSW", iow(0x96, 16), "s390"),
    foreign(Vcpu, "KVM_S390_INITIAL_RESET", io(0x97), "s390"),
    foreign(Vcpu, "KVM_S390_MEM_OP", iow(0xb1, 64), "s390"),
    foreign(Vcpu, "KVM_S390_IRQ", iow(0xb4, 72), "s390"),
    foreign(Vcpu, "KVM_S390_SET_IRQ_STATE", iow(0xb5, 32), "s390"),
    foreign(Vcpu, "KVM_S390_GET_IRQ_STATE", iow(0xb6, 32), "s390"),
    foreign(Vcpu, "KVM_S390_NORMAL_RESET", io(0xc3), "s390"),
    foreign(Vcpu, "KVM_S390_CLEAR_RESET", io(0xc4), "s390"),
    foreign(Vcpu, "KVM_S390_PV_CPU_COMMAND", iowr(0xd0, 32), "s390"),
};

/* Still in the headers of Linux 6.1; no kernel of today takes them. */
inline constexpr Row given_up[] = {
    foreign(System, "__KVM_DEPRECATED_MAIN_W_0x06", iow(0x06, 8),
            "tracing of 2008"),
    foreign(System, "__KVM_DEPRECATED_MAIN_0x07", io(0x07), "tracing of 2008"),
    foreign(System, "__KVM_DEPRECATED_MAIN_0x08", io(0x08), "tracing of 2008"),
    foreign(Vm, "KVM_SET_MEMORY_REGION", iow(0x40, 24),
            "memory that the kernel allocates"),
    foreign(Vm, "KVM_SET_MEMORY_ALIAS", iow(0x43, 32), "memory aliases"),
    foreign(Vm, "KVM_ASSIGN_PCI_DEVICE", ior(0x69, 64),
            "device assignment before VFIO"),
    foreign(Vm, "__KVM_DEPRECATED_VM_R_0x70", ior(0x70, 64),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_DEV_IRQ", iow(0x70, 64),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_DEASSIGN_PCI_DEVICE", iow(0x72, 64),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_MSIX_NR", iow(0x73, 8),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_MSIX_ENTRY", iow(0x74, 16),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_DEASSIGN_DEV_IRQ", iow(0x75, 64),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_INTX_MASK", iow(0xa4, 64),
            "device assignment before VFIO"),
    foreign(Vcpu, "__KVM_DEPRECATED_VCPU_W_0x87", iow(0x87, 80),
            "guest debugging before KVM_SET_GUEST_DEBUG"),
};

} /* namespace kvm_reset::rows */

#endif
