/*
 * The pieces of an x86 guest's volatile state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_STATE_PIECES_H
#define KVM_RESET_STATE_PIECES_H

#include <span>

#include "state_piece.h"

namespace kvm_reset {

/* In the order in which they are put into a new VM. */
std::span<const StatePiece> x86_state_pieces();

} /* namespace kvm_reset */

#endif
