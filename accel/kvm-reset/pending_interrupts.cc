/*
 * Interrupts that wait
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "pending_interrupts.h"

#include <cerrno>
#include <vector>

#include "classified_call.h"

namespace kvm_reset {

/* The last three of a line have an edge in them, if there was one. */
constexpr size_t most_of_one = 3;

void PendingInterrupts::add(const Row &row, ObjectId target, Argument arg)
{
    Key key = key_of(row, target, arg);
    std::vector<size_t> same;

    for (size_t i = 0; i < calls_.size(); i++) {
        if (calls_[i].key == key) {
            same.push_back(i);
        }
    }
    if (!same.empty() && calls_[same.back()].arg == arg) {
        return;
    }
    if (same.size() == most_of_one) {
        calls_.erase(calls_.begin() + same.front());
    }
    calls_.push_back({&row, key, std::move(arg)});
}

Result<void> PendingInterrupts::deliver(Kernel &kernel,
                                        const Snapshot &snapshot) const
{
    for (const Call &call : calls_) {
        const Object *object = snapshot.object(call.key.target);
        if (!object) {
            continue;
        }
        LiveArgument live = call.arg.live(call.row->room);
        int ret = kernel.ioctl(object->fd, call.row->request, live.pass());
        if (ret < 0) {
            return fail(-ret, "%s, which had waited", call.row->name);
        }
    }
    return {};
}

} /* namespace kvm_reset */
