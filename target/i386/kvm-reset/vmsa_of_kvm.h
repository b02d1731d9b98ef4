/*
 * The save area that KVM makes of a vCPU's registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_SEV_LAUNCH_UPDATE_VMSA and KVM_SEV_SNP_LAUNCH_FINISH take no page: KVM
 * makes it of what userspace set before.  So whoever wants to know what was
 * measured reads the registers first and asks here.
 */

#ifndef KVM_RESET_VMSA_OF_KVM_H
#define KVM_RESET_VMSA_OF_KVM_H

#include <cstdint>

#include "error.h"
#include "vmsa.h"

namespace kvm_reset {

/* Each as its KVM_GET_ (or KVM_SET_) ioctl has it. */
struct KvmRegisters {
    Bytes regs;      /* struct kvm_regs */
    Bytes sregs;     /* struct kvm_sregs or kvm_sregs2 */
    Bytes debugregs; /* struct kvm_debugregs */
    Bytes xcrs;      /* struct kvm_xcrs */
    Bytes xsave;     /* struct kvm_xsave; empty with KVM_SEV_ES_INIT */
    uint64_t pat = 0x0007040600070406; /* MSR 0x277 */
    uint64_t xss = 0;                  /* MSR 0xda0 */
};

/*
 * @sev_features: what KVM_SEV_INIT2 got as vmsa_features, and for SEV-SNP
 * sev_feature_snp_active.  EINVAL: a structure is cut short, or the FPU is not
 * as after a reset, which is the one part of the page that is not made here.
 */
Result<VmsaState> vmsa_of_kvm(const KvmRegisters &registers,
                              uint64_t sev_features);

} /* namespace kvm_reset */

#endif
