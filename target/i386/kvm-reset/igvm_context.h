/*
 * How the vCPUs of an x86 guest start, as an IGVM file says it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_CONTEXT_H
#define TARGET_I386_KVM_RESET_IGVM_CONTEXT_H

#include "error.h"
#include "vmsa.h"

namespace kvm_reset {

/* SEV_FEATURES that KVM may offer: SNP, DebugSwap, Secure TSC. */
constexpr uint64_t sev_features_of_kvm = 1 << 0 | 1 << 5 | 1 << 9;

/*
 * The registers of a save area of 4096 bytes, as they are measured: a vCPU is
 * given them without EFER.SVME, which KVM adds.  EINVAL: KVM takes no such
 * registers, or would make another page of them.  That page is what is
 * measured, so its owner would wait for a digest that never comes.  @es: it may
 * lack the FPU, as one of a guest started with KVM_SEV_ES_INIT does.
 */
Result<VmsaState> context_of_vmsa(Bytes page, bool es);

/*
 * The registers of a native context of igvm::native_context_size bytes; what
 * it does not have is as after a reset.  EINVAL: KVM takes no such registers.
 */
Result<VmsaState> context_of_native(Bytes bytes);

} /* namespace kvm_reset */

#endif
