/*
 * vCPUs on the fake kernel, as QEMU resets them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_RESET_VCPU_H
#define TESTS_UNIT_RESET_VCPU_H

#include "confidential_guest.h"
#include "vmsa.h"

/* What CPUID 1 says, which a reset CPU has in EDX. */
constexpr uint32_t signature = 0xa00f11;

/* As QEMU resets an x86 CPU. */
inline void reset_vcpu(Guest &guest, int fd, uint32_t entry)
{
    using namespace kvm_reset::abi;
    constexpr kvm_segment segment{
        .limit = 0xffff, .type = 3, .present = 1, .s = 1};
    kvm_sregs2 sregs{.cs = segment,
                     .ds = segment,
                     .es = segment,
                     .fs = segment,
                     .gs = segment,
                     .ss = segment,
                     .tr = segment,
                     .ldt = segment,
                     .gdt = {.limit = 0xffff},
                     .idt = {.limit = 0xffff},
                     .cr0 = 0x60000010,
                     .apic_base = 0xfee00900};
    sregs.cs.base = entry & 0xffff0000;
    sregs.cs.selector = 0xf000;
    sregs.cs.type = sregs.tr.type = 11;
    sregs.ldt.type = 2;
    sregs.tr.s = sregs.ldt.s = 0;
    guest.ioctl(fd, KVM_SET_SREGS2, sregs);

    guest.ioctl(fd, KVM_SET_REGS,
                kvm_regs{.rdx = signature, .rip = entry & 0xffff, .rflags = 2});
    guest.ioctl(fd, KVM_SET_DEBUGREGS,
                kvm_debugregs{.dr6 = 0xffff0ff0, .dr7 = 0x400});
    guest.ioctl(fd, KVM_SET_XCRS,
                kvm_xcrs{.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = 1}}});
    uint8_t xsave[4096] = {0x7f, 0x03};
    xsave[24] = 0x80;
    xsave[25] = 0x1f;
    guest.ioctl(fd, KVM_SET_XSAVE, xsave);
    guest.ioctl(
        fd, KVM_SET_MSRS,
        kvm_msrs_of<1>{.entries = {{.index = 0x277, .data = 0x7040600070406}}});
}

inline void reset_vcpus(ConfidentialGuest &guest)
{
    for (int fd : guest.vcpus) {
        reset_vcpu(guest, fd, kvm_reset::reset_vector);
    }
}

#endif
