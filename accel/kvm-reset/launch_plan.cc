/*
 * The launch plan
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_plan.h"

#include <algorithm>
#include <cerrno>

namespace kvm_reset {

const char *to_string(LaunchState state)
{
    switch (state) {
    case LaunchState::None:
        return "none";
    case LaunchState::Begun:
        return "begun";
    case LaunchState::Finished:
        return "finished";
    }
    return "unknown";
}

static bool is_for_owner(const PlannedStep &planned)
{
    LaunchEffect effect = planned.step->command().effect;

    return effect == LaunchEffect::Secret || effect == LaunchEffect::Finish;
}

void LaunchPlan::begin()
{
    if (state_ == LaunchState::None) {
        state_ = LaunchState::Begun;
    }
}

void LaunchPlan::add(uint64_t target, LaunchStep step)
{
    const LaunchCommand &command = step.command();

    begin();
    if (command.effect == LaunchEffect::Finish) {
        state_ = LaunchState::Finished;
    }
    waits_ = waits_ || command.effect == LaunchEffect::Secret;
    for (const LaunchPointer &pointer : command.pointers) {
        in_place_ = in_place_ || (pointer.unit &&
                                  pointer.pointing == LaunchPointing::InPlace);
    }
    steps_.push_back(
        {target, std::make_shared<const LaunchStep>(std::move(step))});
}

LaunchPlan LaunchPlan::without_owner() const
{
    LaunchPlan part = *this;

    if (waits_) {
        auto rest = std::ranges::find_if(part.steps_, is_for_owner);
        part.steps_.erase(rest, part.steps_.end());
        part.state_ = LaunchState::Begun;
    }
    return part;
}

LaunchPlan LaunchPlan::with(std::vector<PlannedStep> steps) const
{
    LaunchPlan other = *this;

    other.steps_ = std::move(steps);
    other.state_ = LaunchState::Finished;
    other.waits_ = false;
    return other;
}

Result<void> LaunchPlan::take(Kernel &kernel,
                              const std::function<int(uint64_t)> &fd_of,
                              std::vector<Answer> &answers) const
{
    size_t number = 0;

    for (const PlannedStep &planned : steps_) {
        number++;
        int fd = fd_of(planned.target);
        if (fd < 0) {
            return fail(EBADF, "launch step %zu, %s: its vCPU is gone", number,
                        planned.step->name());
        }
        answers.emplace_back();
        Result<void> done = planned.step->take(kernel, fd, &answers.back());
        if (!done) {
            return std::unexpected(
                Error{done.error().code,
                      format("launch step %zu of %zu, %s", number,
                             steps_.size(), done.error().what.c_str())});
        }
    }
    return {};
}

size_t LaunchPlan::footprint() const
{
    size_t bytes = steps_.capacity() * sizeof(PlannedStep);

    for (const PlannedStep &planned : steps_) {
        bytes += planned.step->footprint();
    }
    return bytes;
}

} /* namespace kvm_reset */
