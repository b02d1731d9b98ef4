/*
 * How an entry is taken away again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_REMOVAL_H
#define KVM_RESET_REMOVAL_H

#include <optional>

#include "journal.h"

namespace kvm_reset {

/* Whether @arg, of an ioctl that adds, says that it takes away. */
bool is_removal(const Row &row, const Argument &arg);

struct RemovalCall {
    uint32_t request = 0;
    Argument arg;
};

/*
 * The call that takes away what @entry added; nothing, if KVM has no way to
 * take it away from a VM.
 */
std::optional<RemovalCall> removal_of(const Entry &entry);

} /* namespace kvm_reset */

#endif
