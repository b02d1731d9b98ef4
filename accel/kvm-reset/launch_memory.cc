/*
 * The memory that a guest is launched into
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_memory.h"

#include <algorithm>

#include "field_of.h"
#include "kvm_abi.h"
#include "memory_layout.h"

namespace kvm_reset {

using namespace abi;

/* Of the other struct, struct kvm_userspace_memory_region, it is the start. */
using Region = kvm_userspace_memory_region2;

static bool has_private_memory(const LaunchPlan &plan)
{
    return plan.state() != LaunchState::None && !plan.in_place();
}

/* The other address space is SMM's. */
static bool is_of_guest(const Argument &slot)
{
    return !(slot.read(field_of(&Region::slot)) >> 16);
}

static bool is_launched_into(const LaunchPlan &plan, const Argument &slot)
{
    constexpr uint64_t four_gib = uint64_t(1) << 32;
    const uint64_t flags = slot.read(field_of(&Region::flags));

    if (has_private_memory(plan)) {
        return flags & KVM_MEM_GUEST_MEMFD;
    }
    return !(flags & KVM_MEM_READONLY) ||
           slot.read(field_of(&Region::guest_phys_addr)) +
                   slot.read(field_of(&Region::memory_size)) ==
               four_gib;
}

void LaunchMemory::add(const Argument &slot)
{
    slots_.push_back(
        {slot.read(field_of(&Region::guest_phys_addr)),
         slot.read(field_of(&Region::memory_size)),
         slot.read(field_of(&Region::userspace_addr)),
         bool(slot.read(field_of(&Region::flags)) & KVM_MEM_READONLY)});
}

LaunchMemory::LaunchMemory(const Definition &recorded)
{
    const auto &layout = recorded.plan.layout();

    for (const EntryPtr &entry : layout ? *layout : recorded.entries) {
        if (sets_slot(*entry->row) && is_of_guest(entry->arg) &&
            is_launched_into(recorded.plan, entry->arg)) {
            add(entry->arg);
        }
    }
    std::ranges::sort(slots_, {}, &Slot::gpa);
    for (const Slot &slot : slots_) {
        if (!ranges_.empty() &&
            ranges_.back().begin + ranges_.back().size == slot.gpa) {
            ranges_.back().size += slot.size;
        } else {
            ranges_.push_back({slot.gpa, slot.size});
        }
    }
}

bool LaunchMemory::has(uint64_t gpa, uint64_t size) const
{
    return std::ranges::any_of(ranges_, [&](const MemoryRange &range) {
        return range.has(gpa, size);
    });
}

std::optional<LaunchMemory::Piece> LaunchMemory::at(uint64_t gpa) const
{
    for (const Slot &slot : slots_) {
        if (gpa >= slot.gpa && gpa - slot.gpa < slot.size) {
            return Piece{slot.address + (gpa - slot.gpa),
                         slot.size - (gpa - slot.gpa), slot.read_only};
        }
    }
    return {};
}

} /* namespace kvm_reset */
