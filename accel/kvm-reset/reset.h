/*
 * A reset gives the guest a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_RESET_H
#define KVM_RESET_RESET_H

#include "generations.h"

namespace kvm_reset {

/*
 * Gives the guest a new VM.  The caller has stopped the vCPUs.  On failure
 * the guest is on its old VM as if nothing had been asked, and it may be
 * asked again.
 *
 * A confidential guest is launched again: if two of it can be, before
 * anything is touched.  Memory that is encrypted in place can belong to
 * one VM at a time, so that such a guest's old VM goes first.  If the
 * launch fails then, status().lost says so.  A guest that was given a
 * secret is launched up to there; the rest is its owner's to do again.
 */
Result<Phases> reset(Generations &generations);

} /* namespace kvm_reset */

#endif
