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

static bool is_secret(const PlannedStep &planned)
{
    return planned.step->command().effect == LaunchEffect::Secret;
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
    for (const LaunchPointer &pointer : command.pointers) {
        in_place_ = in_place_ || (pointer.unit &&
                                  pointer.pointing == LaunchPointing::InPlace);
    }
    steps_.push_back(
        {target, std::make_shared<const LaunchStep>(std::move(step))});
}

bool LaunchPlan::has_secret() const
{
    return std::ranges::any_of(steps_, is_secret);
}

LaunchPlan LaunchPlan::without_secret() const
{
    LaunchPlan part = *this;
    auto secret = std::ranges::find_if(part.steps_, is_secret);

    if (secret != part.steps_.end()) {
        part.steps_.erase(secret, part.steps_.end());
        part.state_ = LaunchState::Begun;
    }
    return part;
}

Result<void> LaunchPlan::take(Kernel &kernel,
                              const std::function<int(uint64_t)> &fd_of,
                              std::vector<LaunchAnswer> &answers) const
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
