/*
 * The registers that KVM makes a save area of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The other way round from vmsa_of_kvm.h.
 */

#ifndef KVM_RESET_KVM_OF_VMSA_H
#define KVM_RESET_KVM_OF_VMSA_H

#include <vector>

#include "definition.h"
#include "vmsa.h"

namespace kvm_reset {

/*
 * What userspace gave @vcpu before the launch, as recorded in @snapshot, with
 * the registers of @state in it.  What @state does not have stays, and what was
 * never given is not there: whoever takes these looks at what they make.
 */
std::vector<Entry> entries_of_vmsa(const Snapshot &snapshot, ObjectId vcpu,
                                   const VmsaState &state);

/*
 * Gives the vCPU behind @fd the registers of the save area @page, but for what
 * only a save area has.  Fails if KVM takes no such registers.
 */
Result<void> x86_start_vcpu(Kernel &kernel, int fd, Bytes page);

} /* namespace kvm_reset */

#endif
