/*
 * The save area of an SEV-ES or SEV-SNP vCPU (VMSA), as it is measured
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM makes the page from the registers that it holds when the launch ends;
 * the platform measures every byte of it.  The layout is that of the AMD64
 * Architecture Programmer's Manual, volume 2, appendix B, "State save area for
 * SEV-ES".  Here are the fields that KVM fills; all else is zero.
 */

#ifndef KVM_RESET_VMSA_H
#define KVM_RESET_VMSA_H

#include <array>
#include <cstdint>

#include "launch_digest.h"

namespace kvm_reset {

/* SEV_FEATURES (VMSA offset 0x3b0), those that have a meaning here. */
constexpr uint64_t sev_feature_snp_active = 1 << 0;

/* Where the first vCPU of every x86 machine starts. */
constexpr uint32_t reset_vector = 0xfffffff0;

struct VmsaSegment {
    uint16_t selector = 0;
    uint16_t attributes = 0; /* see vmsa_attributes() */
    uint32_t limit = 0;
    uint64_t base = 0;
};

/* A descriptor's attribute bits, 8 to 15 and 20 to 23, packed into 12 bits. */
constexpr uint16_t vmsa_attributes(unsigned type, bool s, unsigned dpl,
                                   bool present, bool avl = false,
                                   bool l = false, bool db = false,
                                   bool g = false)
{
    return (type & 15) | s << 4 | (dpl & 3) << 5 | present << 7 | avl << 8 |
           l << 9 | db << 10 | g << 11;
}

/* General-purpose registers by their x86 numbers. */
enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8
};

struct VmsaState {
    VmsaSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t cpl = 0;
    std::array<uint64_t, 16> gpr{};
    uint64_t rip = 0, rflags = 0;
    /* EFER and CR4 as KVM runs them: with SVME, and with the host's MCE. */
    uint64_t efer = 0, cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;
    uint64_t dr6 = 0, dr7 = 0;
    uint64_t xcr0 = 0, xss = 0, g_pat = 0;
    uint32_t pkru = 0;
    uint64_t sev_features = 0;
    /* Zero with KVM_SEV_ES_INIT, which leaves the FPU out. */
    uint32_t mxcsr = 0;
    uint16_t x87_fcw = 0;
};

/* As KVM_SEV_ES_INIT has it. */
inline VmsaState without_fpu(VmsaState state)
{
    state.mxcsr = 0;
    state.x87_fcw = 0;
    return state;
}

using VmsaPage = std::array<uint8_t, launch_page_size>;

VmsaPage vmsa_page(const VmsaState &state);

/* The fields of @page, 4096 bytes; what else is there is left out. */
VmsaState vmsa_state(Bytes page);

/*
 * What a vCPU that QEMU made and KVM is about to launch looks like:
 * @entry is where it starts (reset_vector, or the AP reset vector of the
 * firmware, see ovmf.h), @signature is CPUID 1's EAX (see cpu_signature.h),
 * which a reset CPU has in EDX.
 */
VmsaState initial_vmsa(uint32_t entry, uint32_t signature,
                       uint64_t sev_features);

} /* namespace kvm_reset */

#endif
