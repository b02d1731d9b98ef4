/*
 * The memory slots of a launched guest's VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "memory_layout.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "classified_call.h"
#include "issue.h"
#include "kvm_abi.h"
#include "removal.h"

namespace kvm_reset {

using namespace abi;

namespace {

/* The older struct is the beginning of the newer one. */
constexpr Field slot_number = field_of(&kvm_userspace_memory_region2::slot);
static_assert(sizeof(kvm_userspace_memory_region) ==
              offset_of(&kvm_userspace_memory_region2::guest_memfd_offset));

/* Address spaces have numbers of their own: the upper half is which. */
constexpr uint32_t numbers_mask = 0xffff;

uint32_t number_of(const Entry &slot)
{
    return uint32_t(slot.arg.read(slot_number));
}

bool is_private(const Entry &slot)
{
    return std::ranges::any_of(slot.row->fds, [&](const FdField &fd) {
        return fd.role == FdRole::Object && fd_field_present(fd, slot.arg);
    });
}

Slots slots_of(const Snapshot &journal)
{
    Slots slots;

    std::ranges::copy_if(
        journal.entries, std::back_inserter(slots),
        [](const EntryPtr &entry) { return sets_slot(*entry->row); });
    return slots;
}

EntryPtr renumbered(const Entry &slot, uint32_t number)
{
    Entry copy = slot;

    copy.arg.write(slot_number, number);
    return std::make_shared<const Entry>(std::move(copy));
}

bool equal_fields(const Entry &a, const Entry &b,
                  std::initializer_list<Field> fields)
{
    return std::ranges::all_of(fields, [&](Field field) {
        return a.arg.read(field) == b.arg.read(field);
    });
}

/* But for a private slot's number. */
bool same_slot(const Entry &a, const Entry &b)
{
    using Region = kvm_userspace_memory_region2;

    if (!equal_fields(a, b,
                      {field_of(&Region::flags),
                       field_of(&Region::guest_phys_addr),
                       field_of(&Region::memory_size),
                       field_of(&Region::userspace_addr)})) {
        return false;
    }
    if (is_private(a) && is_private(b)) {
        return a.objects == b.objects &&
               equal_fields(a, b, {field_of(&Region::guest_memfd_offset)});
    }
    return is_private(a) == is_private(b) && number_of(a) == number_of(b);
}

Slots::const_iterator find_same(const Slots &slots, const Entry &slot)
{
    return std::ranges::find_if(
        slots, [&](const EntryPtr &other) { return same_slot(*other, slot); });
}

bool has_memory(const Definition &definition, const Entry &slot)
{
    return std::ranges::all_of(slot.objects, [&](ObjectId object) {
        return object == no_object || definition.object(object);
    });
}

/* As userspace does when it makes such a slot. */
Result<void> make_private(Kernel &kernel, int vm, const Entry &slot)
{
    using Region = kvm_userspace_memory_region2;
    kvm_memory_attributes all{
        .address = slot.arg.read(field_of(&Region::guest_phys_addr)),
        .size = slot.arg.read(field_of(&Region::memory_size)),
        .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE};
    int ret = kernel.ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, uintptr_t(&all));

    if (ret < 0) {
        return fail(-ret, "KVM_SET_MEMORY_ATTRIBUTES for %s",
                    describe(slot).c_str());
    }
    return {};
}

} /* namespace */

bool sets_slot(const Row &row)
{
    return row.family == KVM_SET_USER_MEMORY_REGION;
}

Result<Slots> launch_layout(Kernel &kernel, int vm, Journal &journal)
{
    Slots slots = slots_of(journal.snapshot());
    int count = kernel.ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);

    if (count <= 0) {
        return fail(EINVAL, "KVM does not say how many memory slots it has "
                            "(KVM_CAP_NR_MEMSLOTS)");
    }
    for (EntryPtr &slot : slots) {
        if (is_private(*slot)) {
            uint32_t space = number_of(*slot) & ~numbers_mask;
            Entry copy = *renumbered(*slot, space | uint32_t(--count));
            /* A replica that has the slot by its old number is told. */
            copy.version = journal.next();
            slot = std::make_shared<const Entry>(std::move(copy));
        }
    }
    return slots;
}

void lay_out(Definition &definition)
{
    const std::optional<Slots> &layout = definition.plan.layout();

    if (!layout) {
        return;
    }
    std::erase_if(definition.entries,
                  [](const EntryPtr &entry) { return sets_slot(*entry->row); });
    std::ranges::copy_if(
        *layout, std::back_inserter(definition.entries),
        [&](const EntryPtr &slot) { return has_memory(definition, *slot); });
    std::ranges::sort(definition.entries, {}, &Entry::order);
}

void MemoryLayout::begin(const Definition &definition)
{
    *this = {};
    if (definition.plan.layout()) {
        waits_ = true;
        in_place_ = slots_of(definition);
    }
}

MemoryLayout MemoryLayout::waiting(const Snapshot &journal) const
{
    MemoryLayout copy = *this;

    if (!std::exchange(copy.waits_, true)) {
        copy.in_place_ = slots_of(journal);
        for (EntryPtr &slot : copy.in_place_) {
            auto number = numbers_.find(number_of(*slot));
            if (number != numbers_.end()) {
                slot = renumbered(*slot, number->second);
            }
        }
        copy.numbers_.clear();
    }
    return copy;
}

/* By a private slot that userspace knows by another number. */
bool MemoryLayout::taken(uint32_t number) const
{
    return std::ranges::any_of(numbers_, [number](const auto &known) {
        return known.second == number;
    });
}

int MemoryLayout::set(Kernel &kernel, int vm, const Row &row,
                      const Argument &arg)
{
    if (waits_) {
        return 0;
    }
    uint32_t number = uint32_t(arg.read(slot_number));
    bool removes = is_removal(row, arg);
    auto known = numbers_.find(number);
    if (known == numbers_.end() && taken(number)) {
        return removes ? -EINVAL : -ENOSPC;
    }
    Argument issued = arg;
    if (known != numbers_.end()) {
        issued.write(slot_number, known->second);
    }
    LiveArgument live = issued.live(row.room);
    int ret = kernel.ioctl(vm, row.request, live.pass());
    if (ret >= 0 && removes) {
        numbers_.erase(number);
    }
    return ret;
}

Result<void> MemoryLayout::remove_others(Kernel &kernel, int vm,
                                         const Slots &wanted)
{
    for (auto i = in_place_.begin(); i != in_place_.end();) {
        if (find_same(wanted, **i) != wanted.end()) {
            ++i;
            continue;
        }
        if (auto done = issue_removal(kernel, **i, vm, nullptr); !done) {
            return done;
        }
        i = in_place_.erase(i);
    }
    return {};
}

/* Under userspace's number, if no other slot has it. */
Result<EntryPtr> MemoryLayout::add(Kernel &kernel, int vm, const EntryPtr &slot)
{
    auto is_free = [this](uint32_t number) {
        return std::ranges::find(in_place_, number, [](const EntryPtr &there) {
                   return number_of(*there);
               }) == in_place_.end();
    };
    uint32_t number = number_of(*slot);
    EntryPtr made = slot;

    if (!is_free(number)) {
        while (is_private(*slot) && number & numbers_mask && !is_free(number)) {
            number--;
        }
        if (!is_free(number)) {
            return fail(ENOSPC, "%s: its number is a private slot's",
                        describe(*slot).c_str());
        }
        made = renumbered(*slot, number);
    }
    Result<void> done;
    if (is_private(*made)) {
        done = make_private(kernel, vm, *made);
    }
    if (done) {
        done = issue(kernel, *made, vm, nullptr);
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    in_place_.push_back(made);
    return made;
}

Result<void> MemoryLayout::apply(Kernel &kernel, int vm,
                                 const Snapshot &journal)
{
    if (!waits_) {
        return {};
    }
    Slots wanted = slots_of(journal);
    Numbers numbers;
    Result<void> done = remove_others(kernel, vm, wanted);

    for (const EntryPtr &slot : wanted) {
        if (!done) {
            break;
        }
        auto same = find_same(in_place_, *slot);
        Result<EntryPtr> there = same != in_place_.end()
                                   ? *same
                                   : add(kernel, vm, slot);
        if (!there) {
            done = std::unexpected(there.error());
        } else if (number_of(**there) != number_of(*slot)) {
            numbers[number_of(*slot)] = number_of(**there);
        }
    }
    if (!done) {
        done.error().what = "guest memory as the reset of devices left it: " +
                            done.error().what;
        return done;
    }
    waits_ = false;
    in_place_.clear();
    numbers_ = std::move(numbers);
    return {};
}

} /* namespace kvm_reset */
