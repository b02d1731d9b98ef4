/*
 * What an x86 KVM offers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_X86_HOST_FEATURES_H
#define KVM_RESET_X86_HOST_FEATURES_H

#include <string>
#include <vector>

#include "error.h"
#include "journal.h"
#include "kernel.h"
#include "host_features.h"

namespace kvm_reset {

/* Asks the KVM device that is open at @system. */
Result<HostFeatures> x86_host_features(Kernel &kernel, int system);

/*
 * What @before has and @now has not, of what a guest of @snapshot can know of:
 * capabilities, and the features that its CPUID says.  In words.
 */
std::vector<std::string> x86_missing_features(const HostFeatures &before,
                                              const HostFeatures &now,
                                              const Snapshot &snapshot);

} /* namespace kvm_reset */

#endif
