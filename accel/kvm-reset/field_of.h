/*
 * Fields of KVM's structs, by name
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * field_of(&kvm_irqfd::gsi) is the Field {4, 4}: the compiler counts.
 */

#ifndef KVM_RESET_FIELD_OF_H
#define KVM_RESET_FIELD_OF_H

#include <type_traits>

#include "catalogue.h"

namespace kvm_reset {

/* What offsetof says of a member whose name is in a pointer. */
template <class Struct, class Member>
constexpr uint16_t offset_of(Member Struct::*member)
{
    union Place {
        char bytes[sizeof(Struct)];
        Struct object;
    };
    constexpr Place place{};
    const void *wanted = &(place.object.*member);
    uint16_t offset = 0;

    while (wanted != static_cast<const void *>(&place.bytes[offset])) {
        offset++;
    }
    return offset;
}

/* Of an array, its first element. */
template <class Struct, class Member>
constexpr Field field_of(Member Struct::*member)
{
    return {offset_of(member), sizeof(std::remove_all_extents_t<Member>)};
}

/* @member of the struct, or of the first element, that @outer is. */
template <class Outer, class Middle, class Struct, class Member>
constexpr Field field_of(Middle Outer::*outer, Member Struct::*member)
{
    static_assert(std::is_same_v<std::remove_all_extents_t<Middle>, Struct>);
    return {uint16_t(offset_of(outer) + offset_of(member)), sizeof(Member)};
}

/* What a pointer in the argument points to. */
template <class T> constexpr Field pointed()
{
    return {.offset = 0, .width = sizeof(T), .inside = true};
}

} /* namespace kvm_reset */

#endif
