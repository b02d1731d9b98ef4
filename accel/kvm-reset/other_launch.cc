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
    if (written) {
        return; /* the VM is the same one */
    }
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
    if (written) {
        bytes += sizeof *written + written->first_vcpu.size();
        for (const WrittenLaunch::Pages &pages : written->pages) {
            bytes += sizeof pages + pages.bytes.size();
        }
    }
    return bytes;
}

void LaunchChoice::Standing::set(OtherLaunchPtr other)
{
    next = std::move(other);
    if (!next) {
        proven = nullptr;
    }
}

void LaunchChoice::choose(LaunchSource by, OtherLaunchPtr other, bool once)
{
    const bool guest = by == LaunchSource::Guest;

    if (guest || !once) {
        guests_.set(guest && !once ? other : nullptr);
    }
    if (!guest && !once) {
        hosts_.set(other);
    }
    once_ = once ? std::move(other) : nullptr;
}

void LaunchChoice::launched()
{
    in_place_ = next();
    if (!std::exchange(once_, nullptr)) {
        stands().proven = in_place_;
    }
}

bool LaunchChoice::give_up()
{
    if (std::exchange(once_, nullptr)) {
        return true;
    }
    Standing &last = stands();
    if (last.next == last.proven) {
        return false;
    }
    last.next = last.proven;
    return true;
}

void LaunchChoice::drop_in_place()
{
    for (Standing *standing : {&guests_, &hosts_}) {
        if (standing->next == in_place_) {
            standing->set(nullptr);
        }
    }
    if (once_ == in_place_) {
        once_ = nullptr;
    }
    in_place_ = nullptr;
}

} /* namespace kvm_reset */
