/*
 * Another launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "other_launch.h"

#include <algorithm>
#include <utility>

namespace kvm_reset {

void OtherLaunch::put_into(Definition &definition) const
{
    for (const Entry &other : definitions) {
        auto recorded = std::ranges::find(definition.entries, other.order,
                                          &Entry::order);
        /* What is not there is measured otherwise, and refused for that. */
        if (recorded != definition.entries.end()) {
            *recorded = std::make_shared<const Entry>(other);
        }
    }
    definition.plan = definition.plan.with(steps);
    definition.other = id;
}

size_t OtherLaunch::footprint() const
{
    size_t bytes = sizeof(*this) + definitions.size() * sizeof(Entry);

    for (const PlannedStep &planned : steps) {
        bytes += planned.step->footprint();
    }
    return bytes;
}

void LaunchChoice::choose(OtherLaunchPtr other, bool once)
{
    once_ = once ? other : nullptr;
    standing_ = once ? nullptr : std::move(other);
    if (!standing_) {
        proven_ = nullptr; /* it was taken back by whoever brought it */
    }
}

void LaunchChoice::launched()
{
    in_place_ = next();
    if (!std::exchange(once_, nullptr)) {
        proven_ = standing_;
    }
}

bool LaunchChoice::give_up()
{
    if (!std::exchange(once_, nullptr) && standing_ == proven_) {
        return false;
    }
    standing_ = proven_;
    return true;
}

} /* namespace kvm_reset */
