/*
 * What an x86 KVM offers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_X86_OFFER_H
#define KVM_RESET_X86_OFFER_H

#include <string>
#include <vector>

#include "error.h"
#include "journal.h"
#include "kernel.h"
#include "offer.h"

namespace kvm_reset {

/* Asks the KVM device that is open at @system. */
Result<Offer> x86_offer(Kernel &kernel, int system);

/*
 * What @before has and @now has not, of what a guest of @snapshot can know of:
 * capabilities, and the features that its CPUID says.  In words.
 */
std::vector<std::string> x86_lacks(const Offer &before, const Offer &now,
                                   const Snapshot &snapshot);

} /* namespace kvm_reset */

#endif
