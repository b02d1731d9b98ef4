/*
 * The launch digest of a guest that was launched, from what was recorded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_PLAN_DIGEST_H
#define TARGET_I386_KVM_RESET_PLAN_DIGEST_H

#include "definition.h"
#include "error.h"
#include "launch_measurement.h"
#include "vmsa_of_kvm.h"

namespace kvm_reset {

/* See Arch::measure. */
Result<LaunchMeasurement> x86_measure(const Definition &definition);

/*
 * The save area that KVM makes of the state that userspace gave @vcpu before
 * the launch, as recorded in @snapshot.  EINVAL: it gave too little.
 */
Result<VmsaState> recorded_vmsa(uint64_t vm_type, const Snapshot &snapshot,
                                ObjectId vcpu);

} /* namespace kvm_reset */

#endif
