/*
 * The call that takes away what an entry adds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_REMOVAL_H
#define KVM_RESET_REMOVAL_H

#include <optional>

#include "journal.h"

namespace kvm_reset {

struct TakingAway {
    uint32_t request = 0;
    Argument arg;
};

/* Nothing, if KVM has no way to take it away from a VM. */
std::optional<TakingAway> taking_away(const Entry &entry);

} /* namespace kvm_reset */

#endif
