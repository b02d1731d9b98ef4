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

using namespace abi;
using namespace builder;

/* A struct of which nobody here has to know more. */
template <size_t size> using Bytes = uint8_t[size];

constexpr Row foreign(FdClass on, const char *name, uint32_t request,
                      const char *note)
{
    return row(on, Foreign, name, request).note(note);
}

inline constexpr Row arm[] = {
    foreign(Vm, "KVM_ARM_SET_DEVICE_ADDR", iow<Bytes<16>>(0xab), "arm64"),
    foreign(Vm, "KVM_ARM_PREFERRED_TARGET", ior<Bytes<32>>(0xaf), "arm64"),
    foreign(Vm, "KVM_ARM_MTE_COPY_TAGS", ior<Bytes<48>>(0xb4), "arm64"),
    foreign(Vm, "KVM_ARM_SET_COUNTER_OFFSET", iow<Bytes<16>>(0xb5), "arm64"),
    foreign(Vm, "KVM_ARM_GET_REG_WRITABLE_MASKS", ior<Bytes<64>>(0xb6),
            "arm64"),
    foreign(Vcpu, "KVM_ARM_VCPU_INIT", iow<Bytes<32>>(0xae), "arm64"),
    foreign(Vcpu, "KVM_ARM_VCPU_FINALIZE", iow<Bytes<4>>(0xc2), "arm64"),
};

inline constexpr Row powerpc[] = {
    foreign(Vm, "KVM_PPC_GET_PVINFO", iow<Bytes<128>>(0xa1), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_SMMU_INFO", ior<Bytes<592>>(0xa6), "powerpc"),
    foreign(Vm, "KVM_PPC_ALLOCATE_HTAB", iowr<Bytes<4>>(0xa7), "powerpc"),
    foreign(Vm, "KVM_CREATE_SPAPR_TCE", iow<Bytes<16>>(0xa8), "powerpc"),
    foreign(Vm, "KVM_CREATE_SPAPR_TCE_64", iow<Bytes<32>>(0xa8), "powerpc"),
    foreign(Vm, "KVM_ALLOCATE_RMA", ior<Bytes<8>>(0xa9), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_HTAB_FD", iow<Bytes<32>>(0xaa), "powerpc"),
    foreign(Vm, "KVM_PPC_RTAS_DEFINE_TOKEN", iow<Bytes<128>>(0xac), "powerpc"),
    foreign(Vm, "KVM_PPC_RESIZE_HPT_PREPARE", ior<Bytes<16>>(0xad), "powerpc"),
    foreign(Vm, "KVM_PPC_RESIZE_HPT_COMMIT", ior<Bytes<16>>(0xae), "powerpc"),
    foreign(Vm, "KVM_PPC_CONFIGURE_V3_MMU", iow<Bytes<16>>(0xaf), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_RMMU_INFO", iow<Bytes<96>>(0xb0), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_CPU_CHAR", ior<Bytes<32>>(0xb1), "powerpc"),
    foreign(Vm, "KVM_PPC_SVM_OFF", io(0xb3), "powerpc"),
    foreign(Vm, "KVM_PPC_GET_COMPAT_CAPS", io(0xb8), "powerpc"),
    foreign(Vcpu, "KVM_DIRTY_TLB", iow<Bytes<16>>(0xaa), "powerpc"),
};

inline constexpr Row s390[] = {
    foreign(System, "KVM_S390_ENABLE_SIE", io(0x06), "s390"),
    foreign(Vm, "KVM_S390_KEYOP", iowr<Bytes<16>>(0x53), "s390"),
    foreign(Vm, "KVM_S390_INTERRUPT", iow<Bytes<16>>(0x94), "s390"),
    foreign(Vm, "KVM_S390_MEM_OP", iow<Bytes<64>>(0xb1), "s390"),
    foreign(Vm, "KVM_S390_GET_SKEYS", iow<Bytes<64>>(0xb2), "s390"),
    foreign(Vm, "KVM_S390_SET_SKEYS", iow<Bytes<64>>(0xb3), "s390"),
    foreign(Vm, "KVM_S390_GET_CMMA_BITS", iowr<Bytes<32>>(0xb8), "s390"),
    foreign(Vm, "KVM_S390_SET_CMMA_BITS", iow<Bytes<32>>(0xb9), "s390"),
    foreign(Vm, "KVM_S390_PV_COMMAND", iowr<Bytes<32>>(0xc5), "s390"),
    foreign(Vm, "KVM_S390_ZPCI_OP", iow<Bytes<72>>(0xd1), "s390"),
    foreign(Vcpu, "KVM_S390_UCAS_MAP", iow<Bytes<24>>(0x50), "s390"),
    foreign(Vcpu, "KVM_S390_UCAS_UNMAP", iow<Bytes<24>>(0x51), "s390"),
    foreign(Vcpu, "KVM_S390_VCPU_FAULT", iow<Bytes<8>>(0x52), "s390"),
    foreign(Vcpu, "KVM_S390_INTERRUPT", iow<Bytes<16>>(0x94), "s390"),
    foreign(Vcpu, "KVM_S390_STORE_STATUS", iow<Bytes<8>>(0x95), "s390"),
    foreign(Vcpu, "KVM_S390_SET_INITIAL_PSW", iow<Bytes<16>>(0x96), "s390"),
    foreign(Vcpu, "KVM_S390_INITIAL_RESET", io(0x97), "s390"),
    foreign(Vcpu, "KVM_S390_MEM_OP", iow<Bytes<64>>(0xb1), "s390"),
    foreign(Vcpu, "KVM_S390_IRQ", iow<Bytes<72>>(0xb4), "s390"),
    foreign(Vcpu, "KVM_S390_SET_IRQ_STATE", iow<Bytes<32>>(0xb5), "s390"),
    foreign(Vcpu, "KVM_S390_GET_IRQ_STATE", iow<Bytes<32>>(0xb6), "s390"),
    foreign(Vcpu, "KVM_S390_NORMAL_RESET", io(0xc3), "s390"),
    foreign(Vcpu, "KVM_S390_CLEAR_RESET", io(0xc4), "s390"),
    foreign(Vcpu, "KVM_S390_PV_CPU_COMMAND", iowr<Bytes<32>>(0xd0), "s390"),
};

/* Still in the headers of Linux 6.1; no kernel of today takes them. */
inline constexpr Row given_up[] = {
    foreign(System, "__KVM_DEPRECATED_MAIN_W_0x06", iow<Bytes<8>>(0x06),
            "tracing of 2008"),
    foreign(System, "__KVM_DEPRECATED_MAIN_0x07", io(0x07), "tracing of 2008"),
    foreign(System, "__KVM_DEPRECATED_MAIN_0x08", io(0x08), "tracing of 2008"),
    foreign(Vm, "KVM_SET_MEMORY_REGION", iow<Bytes<24>>(0x40),
            "memory that the kernel allocates"),
    foreign(Vm, "KVM_SET_MEMORY_ALIAS", iow<Bytes<32>>(0x43), "memory aliases"),
    foreign(Vm, "KVM_ASSIGN_PCI_DEVICE", ior<Bytes<64>>(0x69),
            "device assignment before VFIO"),
    foreign(Vm, "__KVM_DEPRECATED_VM_R_0x70", ior<Bytes<64>>(0x70),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_DEV_IRQ", iow<Bytes<64>>(0x70),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_DEASSIGN_PCI_DEVICE", iow<Bytes<64>>(0x72),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_MSIX_NR", iow<Bytes<8>>(0x73),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_MSIX_ENTRY", iow<Bytes<16>>(0x74),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_DEASSIGN_DEV_IRQ", iow<Bytes<64>>(0x75),
            "device assignment before VFIO"),
    foreign(Vm, "KVM_ASSIGN_SET_INTX_MASK", iow<Bytes<64>>(0xa4),
            "device assignment before VFIO"),
    foreign(Vcpu, "__KVM_DEPRECATED_VCPU_W_0x87", iow<Bytes<80>>(0x87),
            "guest debugging before KVM_SET_GUEST_DEBUG"),
};

} /* namespace kvm_reset::rows */

#endif
