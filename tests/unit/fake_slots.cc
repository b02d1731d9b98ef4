/*
 * The memory slots of a VM on the fake kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_slots.h"

#include <algorithm>
#include <cerrno>

using namespace kvm_reset::abi;

using Region = kvm_userspace_memory_region2;

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static bool is_private(const Region &region)
{
    return region.flags & KVM_MEM_GUEST_MEMFD;
}

bool FakeSlots::collides(const Region &region, uint64_t memfd) const
{
    return std::ranges::any_of(slots_, [&](const auto &known) {
        const auto &[number, other] = known;
        if (number == region.slot || number >> 16 != region.slot >> 16) {
            return false;
        }
        return overlap(other.region.guest_phys_addr, other.region.memory_size,
                       region.guest_phys_addr, region.memory_size) ||
               (is_private(region) && is_private(other.region) &&
                memfd == other.memfd &&
                overlap(other.region.guest_memfd_offset,
                        other.region.memory_size, region.guest_memfd_offset,
                        region.memory_size));
    });
}

bool FakeSlots::allows(const Region &region) const
{
    constexpr uint32_t not_private = KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES;
    auto known = slots_.find(region.slot);

    if (is_private(region) && region.flags & not_private) {
        return false;
    }
    if (known != slots_.end()) {
        const Region &old = known->second.region;
        return !is_private(old) && !is_private(region) &&
               old.memory_size == region.memory_size &&
               old.userspace_addr == region.userspace_addr &&
               !((old.flags ^ region.flags) & KVM_MEM_READONLY);
    }
    return (region.slot & 0xffff) < count;
}

int FakeSlots::set(const Region &region, uint64_t memfd,
                   std::optional<Slot> &gone)
{
    auto known = slots_.find(region.slot);

    if (!region.memory_size) {
        if (known == slots_.end()) {
            return -EINVAL;
        }
        gone = known->second;
        slots_.erase(known);
        return 0;
    }
    if (strict && !allows(region)) {
        return -EINVAL;
    }
    if (strict && collides(region, memfd)) {
        return -EEXIST;
    }
    slots_[region.slot] = {region, memfd};
    return 0;
}

bool FakeSlots::has_private(uint64_t gpa) const
{
    return std::ranges::any_of(slots_, [&](const auto &known) {
        const Region &region = known.second.region;
        return is_private(region) && gpa >= region.guest_phys_addr &&
               gpa - region.guest_phys_addr < region.memory_size;
    });
}

bool FakeSlots::logs_dirty_pages(uint32_t number) const
{
    auto known = slots_.find(number);

    return known != slots_.end() &&
           known->second.region.flags & KVM_MEM_LOG_DIRTY_PAGES;
}
