/*
 * What a call means, by its row and its argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_CLASSIFIED_CALL_H
#define KVM_RESET_CLASSIFIED_CALL_H

#include <cstdint>
#include <span>

#include "argument.h"
#include "catalogue.h"
#include "journal.h"

namespace kvm_reset {

/* The visible bytes of an argument where the caller has it. */
std::span<const uint8_t> user_bytes(const Row &row, uintptr_t arg);

/*
 * The effect of this very call.  Of a call whose elements are entries of
 * their own, the effect of the first element that matters.
 */
Effect effect_of(const Row &row, uintptr_t arg, const ClassifyContext &context);

/* The effect of one element of such a call. */
Effect effect_of_element(const Row &row, std::span<const uint8_t> element,
                         const ClassifyContext &context);

/* What the call is about. */
Key key_of(const Row &row, ObjectId target, const Argument &arg);

/* Whether @arg has the fd that @field speaks of. */
bool fd_field_present(const FdField &field, const Argument &arg);

} /* namespace kvm_reset */

#endif
