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
     * built.  A launch cannot: it measured the vCPUs that there were.
     */
    bool follow(const Snapshot &snapshot);

    /* Launches the guest: takes every step of @plan. */
    Result<void> launch(Kernel &kernel, const LaunchPlan &plan);
    bool launched() const { return launched_; }

    /*
     * What is measured at its launch, which has these vCPUs; for who finds
     * that out ahead of need.
     */
    void set_measured(Result<LaunchMeasurement> measured,
                      std::vector<ObjectId> vcpus)
    {
        measured_ = std::move(measured);
        vcpus_ = std::move(vcpus);
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
    std::vector<ObjectId> vcpus_; /* … when that was measured */
};

/*
 * A vCPU that was plugged in after the launch was finished, for people:
 * "KVM_CREATE_VCPU 0x2".
 */
std::optional<std::string> plugged_vcpu(const Definition &definition);

} /* namespace kvm_reset */

#endif
