/*
 * A range of guest physical addresses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_MEMORY_RANGE_H
#define KVM_RESET_MEMORY_RANGE_H

#include <cstdint>

namespace kvm_reset {

struct MemoryRange {
    uint64_t begin = 0;
    uint64_t size = 0;

    /* Does all of @size bytes at @gpa lie in it?  No sum wraps. */
    bool has(uint64_t gpa, uint64_t bytes) const
    {
        return gpa >= begin && bytes <= size && gpa - begin <= size - bytes;
    }
};

} /* namespace kvm_reset */

#endif
