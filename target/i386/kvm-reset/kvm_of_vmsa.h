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

} /* namespace kvm_reset */

#endif
