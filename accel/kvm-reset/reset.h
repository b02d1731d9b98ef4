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
 *
 * An error that waits is no failure: the guest's old VM is going, and the
 * reset is to be asked for again when reaper().on_progress() tells of
 * something, and a moment later at the latest.
 *
 * If the host has not enough for two VMs of a confidential guest, its old VM
 * goes first.  Then the guest has none until the next reset, whatever becomes
 * of it.
 */
Result<Durations> reset(Generations &generations);

/* A reset that waits is not to be asked for again: it has failed, for @why. */
void give_up_reset(Generations &generations, const char *why);

} /* namespace kvm_reset */

#endif
