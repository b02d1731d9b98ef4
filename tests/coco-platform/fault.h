/*
 * Faults and delays on demand
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_FAULT_H
#define COCO_FAULT_H

#include <cstdint>
#include <optional>

namespace coco {

/*
 * In place of an errno: the step is answered as if it had been done, and is
 * not.  Only for those that add pages.
 */
constexpr int kStepLost = 4095;

struct Fault {
    int error; /* errno, or kStepLost */
    uint32_t fw_error;
};

/**
 * To be asked once at the start of each step that the README lists, by its
 * name: counts it, waits as long as KVM_RESET_COCO_DELAY says, and returns
 * the fault that KVM_RESET_COCO_FAULT wants here.  Thread-safe.
 */
std::optional<Fault> step(const char *what, uint64_t pages = 0);

} // namespace coco

#endif
