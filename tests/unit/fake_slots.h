/*
 * The memory slots of a VM on the fake kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keeps Linux's rules about them, where a test wants that: no two overlap, and
 * a private one is made and deleted, and never changed.
 */

#ifndef TESTS_UNIT_FAKE_SLOTS_H
#define TESTS_UNIT_FAKE_SLOTS_H

#include <cstdint>
#include <map>
#include <optional>

#include "kvm_abi.h"

class FakeSlots {
public:
    /* Else any slot can be set. */
    bool strict = false;

    /* What KVM_CAP_NR_MEMSLOTS says. */
    static constexpr uint32_t count = 32764;

    struct Slot {
        kvm_reset::abi::kvm_userspace_memory_region2 region;
        uint64_t memfd = 0; /* which file, of a private one */
    };

    /* 0, or a negative errno.  What was there before is in @gone. */
    int set(const kvm_reset::abi::kvm_userspace_memory_region2 &region,
            uint64_t memfd, std::optional<Slot> &gone);

    bool has_private(uint64_t gpa) const;
    bool logs_dirty_pages(uint32_t number) const;
    const std::map<uint32_t, Slot> &all() const { return slots_; }

private:
    bool
    allows(const kvm_reset::abi::kvm_userspace_memory_region2 &region) const;
    bool collides(const kvm_reset::abi::kvm_userspace_memory_region2 &region,
                  uint64_t memfd) const;

    std::map<uint32_t, Slot> slots_;
};

#endif
