/*
 * A prepared VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "prepared_vm.h"

#include <algorithm>
#include <iterator>

namespace kvm_reset {

PreparedVm::~PreparedVm() = default;

bool PreparedVm::follow(const Definition &definition)
{
    if (measured_ &&
        (vcpus_of(definition) != vcpus_ || definition.other != other_)) {
        if (launched_) {
            return false;
        }
        measured_.reset();
    }
    return replica.follow(definition).has_value();
}

Result<void> PreparedVm::launch(Kernel &kernel, const LaunchPlan &plan)
{
    Result<void> done = plan.take(kernel, replica.fd_of(), answers_);

    launched_ = done && plan.state() != LaunchState::None;
    return done;
}

std::vector<Answer> PreparedVm::take_answers()
{
    std::vector<Answer> all = replica.take_answers();

    std::ranges::move(answers_, std::back_inserter(all));
    answers_.clear();
    return all;
}

std::optional<std::string> plugged_vcpu(const Definition &definition)
{
    if (definition.plan.state() != LaunchState::Finished) {
        return {};
    }
    for (const EntryPtr &entry : definition.entries) {
        const Object *object = definition.object(entry->order);
        if (object && object->kind == FdClass::Vcpu &&
            !definition.plan.launched(object->id)) {
            return describe(*entry);
        }
    }
    return {};
}

} /* namespace kvm_reset */
