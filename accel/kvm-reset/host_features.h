/*
 * What a KVM offers, to tell whether another one can take its place
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_HOST_FEATURES_H
#define KVM_RESET_HOST_FEATURES_H

#include <cstdint>
#include <set>

namespace kvm_reset {

/*
 * Things that a KVM has or has not.  What a number means is the
 * architecture's (arch.h).
 */
using HostFeatures = std::set<uint64_t>;

} /* namespace kvm_reset */

#endif
