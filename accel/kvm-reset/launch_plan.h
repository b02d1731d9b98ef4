/*
 * The launch plan: how a confidential guest was launched, to do it again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the guest is (KVM_SEV_INIT2, KVM_TDX_INIT_VM, …) is in the journal
 * like any other definition, at its place among them.  So is the state that
 * userspace gave the vCPUs before the launch locked it, and the attributes of
 * memory.  The plan has what comes after all of those: the pages, the vCPUs
 * that are measured, the end; in the order in which it was done.
 *
 * The journal changes after the launch (a device comes), the plan does not;
 * that is why the two are apart and the plan goes last.  Pages are launched
 * into memory slots, so the plan has those, too, as they were then.
 */

#ifndef KVM_RESET_LAUNCH_PLAN_H
#define KVM_RESET_LAUNCH_PLAN_H

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "launch_step.h"

namespace kvm_reset {

struct Entry;

enum class LaunchState : uint8_t {
    None,     /* an ordinary guest */
    Begun,    /* not locked yet, or it waits for its owner's secret */
    Finished, /* locked */
};

const char *to_string(LaunchState state);

struct PlannedStep {
    uint64_t target = 0; /* the ObjectId of the VM or vCPU */
    LaunchStepPtr step;
};

class LaunchPlan {
public:
    LaunchState state() const { return state_; }
    const std::vector<PlannedStep> &steps() const { return steps_; }

    /* The first definition of a confidential guest. */
    void begin();
    /* A Step, Finish or Secret that the kernel has taken. */
    void add(uint64_t target, LaunchStep step);

    /*
     * Guest memory is encrypted where it is, so two VMs cannot both be
     * launched.
     */
    bool in_place() const { return in_place_; }

    /*
     * The owner had a say before the guest ran: by a secret, which is not
     * here and must come again, or by looking at the measurement.
     */
    void waits_for_owner() { waits_ = true; }
    bool waits() const { return waits_; }

    /* The vCPUs that there were at the end of the launch. */
    void set_vcpus(std::vector<uint64_t> vcpus) { vcpus_ = std::move(vcpus); }
    bool launched(uint64_t vcpu) const
    {
        return std::ranges::find(vcpus_, vcpu) != vcpus_.end();
    }

    /*
     * The memory slots that there were at the end of the first launch, to
     * launch on; see memory_layout.h.
     */
    using Layout = std::vector<std::shared_ptr<const Entry>>;
    void set_layout(Layout layout) { layout_ = std::move(layout); }
    const std::optional<Layout> &layout() const { return layout_; }

    /*
     * What can be done without the owner: all, or up to the secret or the
     * end of the launch.
     */
    LaunchPlan without_owner() const;

    /* The same guest, launched by other steps, to the end. */
    LaunchPlan with(std::vector<PlannedStep> steps) const;

    /*
     * Takes every step; @fd_of gives the new fd of what the old one was
     * taken on.  Stops at the first that fails.
     */
    Result<void> take(Kernel &kernel, const std::function<int(uint64_t)> &fd_of,
                      std::vector<Answer> &answers) const;

    size_t footprint() const;

private:
    LaunchState state_ = LaunchState::None;
    bool in_place_ = false;
    bool waits_ = false;
    std::vector<PlannedStep> steps_;
    std::vector<uint64_t> vcpus_; /* the ObjectIds */
    std::optional<Layout> layout_;
};

} /* namespace kvm_reset */

#endif
