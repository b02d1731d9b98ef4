/*
 * Answers that are no failures, at random
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux does a launch's step in part, or not now: because of a signal, for
 * lack of entropy, since the TDX module is busy.  With KVM_RESET_COCO_NOT_READY
 * a seed decides when; the same calls in the same order get the same answers.
 * Never more than a few in a row.
 */

#ifndef COCO_NOT_READY_H
#define COCO_NOT_READY_H

#include <cstdint>

namespace coco {

class Vm;

/** Whether this step of the VM's launch is not done now. Thread-safe. */
bool not_ready(const Vm &vm, const char *step);

/** How many of these pages one call does: at least one, if there are any. */
uint64_t pages_of_one_call(const Vm &vm, uint64_t pages);

} // namespace coco

#endif
