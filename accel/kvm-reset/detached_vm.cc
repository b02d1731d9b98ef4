/*
 * What answers a guest's ioctls while it is detached from KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "detached_vm.h"

#include <cerrno>

namespace kvm_reset {

int DetachedVm::answer(const Row &row, ObjectId target, uintptr_t arg)
{
    switch (row.when_detached) {
    case WhenDetached::Waits:
        pending_.add(row, target, Argument::copy(row, arg));
        return 0;
    case WhenDetached::Nothing:
        return -ENOENT;
    case WhenDetached::Refused:
        break;
    }
    return -ENODEV;
}

/* What creates an fd cannot be answered without KVM. */
int DetachedVm::answer_recorded(const Row &row, Effect effect,
                                const Argument &arg) const
{
    if (effect == Effect::Create) {
        return -ENODEV;
    }
    return row.each_element ? int(arg.elements(row)) : 0;
}

} /* namespace kvm_reset */
