/*
 * What answers a guest's ioctls while it is detached from KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is no VM behind its fds.  What defines is recorded and not issued,
 * interrupts wait, and the rest fails (ENODEV).
 */

#ifndef KVM_RESET_DETACHED_VM_H
#define KVM_RESET_DETACHED_VM_H

#include "pending_interrupts.h"

namespace kvm_reset {

class DetachedVm {
public:
    /* Answers a call that is not recorded: negative errno on failure. */
    int answer(const Row &row, ObjectId target, uintptr_t arg);

    /* … one that is, if KVM could have taken it without making an fd. */
    int answer_recorded(const Row &row, Effect effect,
                        const Argument &arg) const;

    PendingInterrupts &pending() { return pending_; }

private:
    PendingInterrupts pending_;
};

} /* namespace kvm_reset */

#endif
