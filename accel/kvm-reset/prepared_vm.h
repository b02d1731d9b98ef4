/*
 * A prepared VM: a replica, and what was done of the guest's launch on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_PREPARED_VM_H
#define KVM_RESET_PREPARED_VM_H

#include <optional>
#include <string>
#include <vector>

#include "definition.h"
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

    /*
     * Makes it follow what changed; false: it cannot, so a new one has to be
     * built.  A launch cannot: it measured the vCPUs that there were, and is
     * one or another.
     */
    bool follow(const Definition &definition);

    /* Launches the guest: takes every step of @plan. */
    Result<void> launch(Kernel &kernel, const LaunchPlan &plan);
    bool launched() const { return launched_; }

    /*
     * What is measured when @definition is launched; for who finds that out
     * ahead of need.
     */
    void set_measured(Result<LaunchMeasurement> measured,
                      const Definition &definition)
    {
        measured_ = std::move(measured);
        vcpus_ = vcpus_of(definition);
        other_ = definition.other;
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
    /* … when that was measured */
    std::vector<ObjectId> vcpus_;
    uint64_t other_ = 0; /* see Definition */
};

/*
 * A vCPU that was plugged in after the launch was finished, for people:
 * "KVM_CREATE_VCPU 0x2".
 */
std::optional<std::string> plugged_vcpu(const Definition &definition);

} /* namespace kvm_reset */

#endif
