/*
 * Interrupts that were raised while the guest was detached from KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No vCPU runs meanwhile, so nobody acknowledges anything: of a line that goes
 * up and down many times, one time is as good as all of them.
 */

#ifndef KVM_RESET_PENDING_INTERRUPTS_H
#define KVM_RESET_PENDING_INTERRUPTS_H

#include <vector>

#include "argument.h"
#include "catalogue.h"
#include "error.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

class PendingInterrupts {
public:
    /* A call that raises or lowers one, by its row. */
    void add(const Row &row, ObjectId target, Argument arg);

    /*
     * Issues them, in order, on what @snapshot says userspace knows.  They
     * stay until clear().
     */
    Result<void> deliver(Kernel &kernel, const Snapshot &snapshot) const;
    void clear() { calls_.clear(); }
    size_t size() const { return calls_.size(); }

private:
    struct Call {
        const Row *row;
        Key key;
        Argument arg;
    };

    std::vector<Call> calls_;
};

} /* namespace kvm_reset */

#endif
