/*
 * A guest that goes on gets a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All that takes long is done while the guest runs.  While it is stopped its
 * state is read and put into the replica, which then takes the old VM's place;
 * nothing is done to the old VM that cannot be undone.
 */

#ifndef KVM_RESET_PRESERVE_H
#define KVM_RESET_PRESERVE_H

#include <memory>

#include "transaction.h"

namespace kvm_reset {

/*
 * First prepare(), while the guest runs: that builds the replica and finds out
 * what there is to carry, and refuses (ENOTSUP) what cannot be.  Then run(),
 * with the vCPUs stopped; hooks run that say that they do at such a
 * transaction, and none in Phase::BeforeRun.  Then, when the guest runs again,
 * release_old_vm().  On failure of either the guest is on its old VM as if
 * nothing had been asked.
 */
class Preserve {
public:
    explicit Preserve(Generations &generations) : generations_(generations) {}

    Result<void> prepare();
    Result<Durations> run();
    /* Instead: it was only to be seen whether it can be done. */
    void cancel() { prepared_.reset(); }

    /* What prepare() began, or nullptr; it is the caller's then. */
    std::unique_ptr<Transaction> take() { return std::move(prepared_); }

private:
    Result<void> attempt_preparing();

    Generations &generations_;
    std::unique_ptr<Transaction> prepared_;
};

/* Stops the guest and has its new VM know what it knows. */
Result<void> stop_and_follow(Transaction &transaction);

} /* namespace kvm_reset */

#endif
