/*
 * The state of a guest that was detached from KVM, for its new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The KVM that it comes to may be another one: pieces and registers that it
 * does not have may be left behind if they say nothing.
 */

#include <algorithm>
#include <cerrno>

#include "guest_state.h"
#include "registers.h"

namespace kvm_reset {

using namespace registers;

static std::unexpected<Error> no_place(const char *what)
{
    return refuse(ENOTSUP, "%s: the guest has it, and this KVM does not", what);
}

/* A register that says what it said on a new VM says nothing. */
Result<void> GuestState::adopt_registers(Item &to, const Item &from)
{
    to.value = to.fresh;
    for (size_t i = 0; i < count_of(from.value); i++) {
        uint64_t index = read_field(from.value, index_of(i));
        size_t at = 0;
        while (at < count_of(to.value) &&
               read_field(to.value, index_of(at)) != index) {
            at++;
        }
        if (at < count_of(to.value)) {
            std::copy_n(from.value.begin() + head + i * entry_size, entry_size,
                        to.value.begin() + head + at * entry_size);
        } else if (data_of(from.value, i) != data_of(from.fresh, i)) {
            return no_place(
                format("register %#llx", (unsigned long long)index).c_str());
        }
    }
    return {};
}

Result<void> GuestState::adopt_item(const Item &from)
{
    auto to = std::ranges::find_if(items_, [&](const Item &item) {
        return item.piece == from.piece && item.object == from.object &&
               !item.absent;
    });
    bool registers = from.piece->form == PieceForm::Registers;

    if (to == items_.end()) {
        return from.value == from.fresh ? Result<void>()
                                        : no_place(from.piece->name);
    }
    to->present = true;
    to->at = from.at;
    if (registers) {
        return adopt_registers(*to, from);
    }
    if (from.value.size() > to->fresh.size()) {
        return no_place(
            format("%s of %zu bytes", from.piece->name, from.value.size())
                .c_str());
    }
    to->value = from.value;
    to->value.resize(to->fresh.size());
    return {};
}

Result<void> GuestState::adopt(const GuestState &other,
                               const Snapshot &snapshot)
{
    for (const Item &from : other.items_) {
        if (!from.present || !snapshot.object(from.object)) {
            continue;
        }
        if (Result<void> done = adopt_item(from); !done) {
            return done;
        }
    }
    pages_ = other.pages_;
    return {};
}

} /* namespace kvm_reset */
