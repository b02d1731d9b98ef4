/*
 * An architecture whose guests lack one piece of state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_STATE_WITHOUT_H
#define TESTS_UNIT_STATE_WITHOUT_H

#include <string_view>
#include <vector>

#include "arch.h"

/*
 * While it lives, nobody carries that piece, nor what stands in for it on a KVM
 * that has not got it.
 */
class StateWithout {
public:
    explicit StateWithout(std::string_view name)
        : real_(kvm_reset::arch()), lacking_(*real_)
    {
        bool out = false;

        pieces.clear();
        for (const kvm_reset::StatePiece &piece : real_->state_pieces()) {
            out = piece.name == name || (out && piece.fallback);
            if (!out) {
                pieces.push_back(piece);
            }
        }
        lacking_.state_pieces = [] {
            return std::span<const kvm_reset::StatePiece>(pieces);
        };
        kvm_reset::register_arch(&lacking_);
    }
    ~StateWithout() { kvm_reset::register_arch(real_); }
    StateWithout(const StateWithout &) = delete;

private:
    /* A table has static storage. */
    inline static std::vector<kvm_reset::StatePiece> pieces;
    const kvm_reset::Arch *real_;
    kvm_reset::Arch lacking_;
};

#endif
