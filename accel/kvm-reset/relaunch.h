/*
 * A guest that gets a new VM at a reset is launched again on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_RELAUNCH_H
#define KVM_RESET_RELAUNCH_H

#include <optional>

#include "transaction.h"

namespace kvm_reset {

/* What became of the last launch that was tried. */
struct LaunchOutcome {
    std::optional<LaunchMeasurement> measured;
    bool refused = false; /* for what is in it */
    bool lost = false;    /* when there was no way back */
};

/* What another VM would not have, while there are two. */
bool is_full(const Error &error);

/* Of an ordinary guest, which is not launched, these do nothing. */
class Relaunch {
public:
    /* @transaction is frozen before anything is asked. */
    Relaunch(Generations &generations, Transaction &transaction,
             LaunchOutcome &outcome)
        : generations_(generations), transaction_(transaction),
          outcome_(outcome)
    {}

    /*
     * While the guest is on its old VM: all that can be done of the launch of
     * transaction.vm(), and check().
     */
    Result<void> ahead();

    /* Whether the guest is measured as is expected of it. */
    Result<void> check();

    /* Guest memory is encrypted where it is, after the swap: ahead() did not. */
    bool in_place() const { return plan_.in_place(); }

    /* When the VM is in place: the rest of it. */
    Result<void> finish();

private:
    Result<void> compare(const Result<LaunchMeasurement> &now);
    Result<void> launch_in_place();

    Generations &generations_;
    Transaction &transaction_;
    LaunchOutcome &outcome_;
    LaunchPlan plan_;
};

} /* namespace kvm_reset */

#endif
