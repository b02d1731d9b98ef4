/*
 * How long the platform itself worked on a launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_LAUNCH_WORK_H
#define COCO_LAUNCH_WORK_H

#include <cstdint>
#include <ctime>

#include "user.h"
#include "vm.h"

namespace coco {

/**
 * For as long as it lives the platform is at work on a KVM_MEMORY_ENCRYPT_OP,
 * whose command @arg points to.  The one that finishes the launch is followed
 * by the event `launch_work`, so that others can tell what of a reset is the
 * platform's.
 */
class LaunchWork {
public:
    LaunchWork(Vm *vm, uintptr_t arg)
        : vm_(vm), began_(now()), was_launched_(vm->launched)
    {
        if (copy_in(&command_, arg) != 0) {
            command_ = ~0u;
        }
    }
    ~LaunchWork();
    LaunchWork(const LaunchWork &) = delete;
    LaunchWork &operator=(const LaunchWork &) = delete;

private:
    static uint64_t now()
    {
        timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return static_cast<uint64_t>(time.tv_sec) * 1000000000 +
               static_cast<uint64_t>(time.tv_nsec);
    }

    Vm *vm_;
    uint64_t began_;
    bool was_launched_;
    uint32_t command_;
};

} // namespace coco

#endif
