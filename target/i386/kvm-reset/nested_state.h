/*
 * What KVM_GET_NESTED_STATE does not say of a nested guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_NESTED_STATE_H
#define KVM_RESET_NESTED_STATE_H

#include <cstdint>
#include <vector>

#include "error.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

/*
 * Adds to @state, a kvm_nested_state of AMD's, Hyper-V's part of the VMCB of the
 * L2 that runs.  KVM takes it when L2 is entered and when state is put, and does
 * not give it back.  It is where L1 has put it: in guest memory, at the address
 * that the state has.  Without it L2's TLB flushes, which KVM did, would be
 * exits to an L1 that does not expect them.  Where there is no such memory, or
 * no L2, @state stays as it is.
 */
Result<void> add_enlightenments(Kernel &kernel, const Snapshot &snapshot,
                                std::vector<uint8_t> &state);

} /* namespace kvm_reset */

#endif
