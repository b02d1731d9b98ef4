/*
 * How much private memory all guests together have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A page is counted from when it is put into a guest_memfd until it was taken
 * from the guest again: longer than the program has the guest_memfd's fd.
 * Each change of a MiB or more, and the last of a VM, is an event `memory` of
 * the log.
 */

#ifndef COCO_PRIVATE_MEMORY_H
#define COCO_PRIVATE_MEMORY_H

#include <cstdint>

namespace coco {

class Vm;

/** Counts it; false, and nothing is counted, if the host has not so much
 *  (KVM_RESET_COCO_PRIVATE_MIB). Thread-safe, as is the other. */
bool take_private_memory(Vm *vm, uint64_t bytes);
void give_private_memory(Vm *vm, uint64_t bytes);

} // namespace coco

#endif
