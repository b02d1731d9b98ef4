/*
 * The memory that a guest is launched into
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A confidential guest's launches are on the memory slots of the first one
 * (memory_layout.h), so what came later, or went, does not count.
 */

#ifndef KVM_RESET_LAUNCH_MEMORY_H
#define KVM_RESET_LAUNCH_MEMORY_H

#include <cstdint>
#include <optional>
#include <vector>

#include "definition.h"
#include "memory_range.h"

namespace kvm_reset {

class LaunchMemory {
public:
    /*
     * What is private in the slots of @recorded; or, if that is not apart, its
     * RAM and the firmware below 4 GiB, which alone may be read-only.
     */
    explicit LaunchMemory(const Definition &recorded);

    /* Ascending, and none touches the next. */
    const std::vector<MemoryRange> &ranges() const { return ranges_; }
    bool has(uint64_t gpa, uint64_t size) const;

    struct Piece {
        uint64_t address; /* where userspace has it */
        uint64_t size;    /* up to the end of the slot */
        bool read_only;
    };
    /* From @gpa on; nothing: the guest has none there. */
    std::optional<Piece> at(uint64_t gpa) const;

private:
    struct Slot {
        uint64_t gpa, size, address;
        bool read_only;
    };
    void add(const Argument &slot);
    std::vector<Slot> slots_;
    std::vector<MemoryRange> ranges_;
};

} /* namespace kvm_reset */

#endif
