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

} /* namespace kvm_reset */
