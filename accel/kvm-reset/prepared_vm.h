/*
 * A prepared VM: a replica, and what was done of the guest's launch on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_PREPARED_VM_H
#define KVM_RESET_PREPARED_VM_H

#include <optional>
#include <vector>

#include "launch_measurement.h"
#include "launch_plan.h"
#include "replica.h"

namespace kvm_reset {

class PreparedVm {
public:
    explicit PreparedVm(Replica made) : replica(std::move(made)) {}
    PreparedVm(PreparedVm &&) = default;
    PreparedVm &operator=(PreparedVm &&) = default;
    /* Not inline: with -O3 g++ 12 warns of what it makes of it. */
    ~PreparedVm();

    Replica replica;

    /* Launches the guest: takes every step of @plan. */
    Result<void> launch(Kernel &kernel, const LaunchPlan &plan);
    bool launched() const { return launched_; }

    /* What is measured at its launch; for who finds that out ahead of need. */
    void set_measured(Result<LaunchMeasurement> measured)
    {
        measured_ = std::move(measured);
    }
    const std::optional<Result<LaunchMeasurement>> &measured() const
    {
        return measured_;
    }

    /* What KVM answered, to the definitions and to the launch. */
    std::vector<Answer> take_answers();

private:
    std::vector<Answer> answers_; /* to the launch */
    bool launched_ = false;
    std::optional<Result<LaunchMeasurement>> measured_;
};

} /* namespace kvm_reset */

#endif
