/*
 * The words that the catalogue's rows are written in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Only for catalogue*.cc.  Everything is constexpr: a row costs nothing at
 * run time, and a contradiction in one can be refused by the compiler.
 */

#ifndef KVM_RESET_CATALOGUE_BUILDER_H
#define KVM_RESET_CATALOGUE_BUILDER_H

#include <initializer_list>

#include "catalogue.h"

namespace kvm_reset::builder {

constexpr auto System = FdClass::System;
constexpr auto Vm = FdClass::Vm;
constexpr auto Vcpu = FdClass::Vcpu;
constexpr auto Device = FdClass::Device;
constexpr auto GuestMemfd = FdClass::GuestMemfd;
constexpr auto Stats = FdClass::Stats;

/* KVM's ioctl numbers, as asm-generic/ioctl.h puts them together. */
constexpr uint32_t kvm_ioc(uint32_t direction, uint32_t number, uint32_t size)
{
    return direction << 30 | size << 16 | 0xae << 8 | number;
}

constexpr uint32_t io(uint32_t number)
{
    return kvm_ioc(0, number, 0);
}

constexpr uint32_t iow(uint32_t number, uint32_t size)
{
    return kvm_ioc(1, number, size);
}

constexpr uint32_t ior(uint32_t number, uint32_t size)
{
    return kvm_ioc(2, number, size);
}

constexpr uint32_t iowr(uint32_t number, uint32_t size)
{
    return kvm_ioc(3, number, size);
}

/* A row under construction; each word says one thing about it. */
struct Entry : Row {
    constexpr Entry(FdClass fd_class, const char *row_name, uint32_t number,
                    Effect row_effect)
    {
        on = fd_class;
        name = row_name;
        request = number;
        effect = row_effect;
        arg = ioc_size(number) ? ArgKind::Struct : ArgKind::None;
    }

    /* The argument. */
    constexpr Entry takes_value() const
    {
        Entry row = *this;
        row.arg = ArgKind::Value;
        return row;
    }

    constexpr Entry points_to(uint16_t bytes) const
    {
        Entry row = *this;
        row.arg = ArgKind::Struct;
        row.size = bytes;
        return row;
    }

    constexpr Entry with_tail(Field count, uint16_t element) const
    {
        Entry row = *this;
        row.tail = {count, element};
        return row;
    }

    constexpr Entry with_pointer(Pointer what) const
    {
        Entry row = *this;
        row.pointer = what;
        return row;
    }

    /* What it defines. */
    constexpr Entry with_key(std::initializer_list<Field> fields) const
    {
        Entry row = *this;
        size_t i = 0;
        for (Field field : fields) {
            row.key[i++] = field;
        }
        return row;
    }

    constexpr Entry by_value() const
    {
        Entry row = takes_value();
        row.value_is_key = true;
        return row;
    }

    constexpr Entry of_family(uint32_t number) const
    {
        Entry row = *this;
        row.family = number;
        return row;
    }

    constexpr Entry element_by_element() const
    {
        Entry row = *this;
        row.each_element = true;
        return row;
    }

    constexpr Entry in_latest_order() const
    {
        Entry row = *this;
        row.latest = true;
        return row;
    }

    /* What takes it away. */
    constexpr Entry taken_by_zero(Field field) const
    {
        Entry row = *this;
        row.removal = {Removal::When::FieldIsZero, field};
        return row;
    }

    constexpr Entry taken_by_value(Field field, uint64_t value) const
    {
        Entry row = *this;
        row.removal = {Removal::When::FieldIs, field, 0, value};
        return row;
    }

    constexpr Entry taken_by_flag(Field flags, uint32_t mask) const
    {
        Entry row = *this;
        row.removal = {Removal::When::FlagIsSet, flags, mask};
        return row;
    }

    constexpr Entry removing_containing() const
    {
        Entry row = *this;
        row.removes_containing = true;
        return row;
    }

    /* The files in it. */
    constexpr Entry with_fd(FdField field) const
    {
        Entry row = *this;
        row.fds[row.fds[0].role == FdRole::None ? 0 : 1] = field;
        return row;
    }

    constexpr Entry eventfd(uint16_t offset) const
    {
        return with_fd({offset, FdRole::Eventfd});
    }

    constexpr Entry eventfd_if(uint16_t offset, Field flags, uint32_t mask,
                               uint32_t want) const
    {
        return with_fd({offset, FdRole::Eventfd, flags, mask, want});
    }

    constexpr Entry counts_until_launch() const
    {
        Entry row = *this;
        row.until_launch = true;
        return row;
    }

    /* What becomes of it while the guest is detached from KVM. */
    constexpr Entry waiting() const
    {
        Entry row = *this;
        row.detached = WhenDetached::Waits;
        return row;
    }

    constexpr Entry with_nothing_to_tell() const
    {
        Entry row = *this;
        row.detached = WhenDetached::Nothing;
        return row;
    }

    constexpr Entry with_room(uint16_t bytes) const
    {
        Entry row = *this;
        row.room = bytes;
        return row;
    }

    constexpr Entry exclusively() const
    {
        Entry row = *this;
        row.exclusive = true;
        return row;
    }

    /* The fd that it creates. */
    constexpr Entry returning(FdClass what) const
    {
        Entry row = *this;
        row.creates = what;
        return row;
    }

    constexpr Entry creating(FdClass what, Field where) const
    {
        Entry row = *this;
        row.creates = what;
        row.created_in_arg = true;
        row.created = where;
        return row;
    }

    constexpr Entry classified_by(Classifier by) const
    {
        Entry row = *this;
        row.classify = by;
        return row;
    }

    constexpr Entry because(const char *why) const
    {
        Entry row = *this;
        row.note = why;
        return row;
    }
};

constexpr Entry query(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Query};
}

constexpr Entry run(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Run};
}

constexpr Entry passing(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Volatile};
}

constexpr Entry define(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Define};
}

constexpr Entry add(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Add};
}

constexpr Entry remove(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Remove};
}

constexpr Entry create(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Create};
}

constexpr Entry launch(FdClass on, const char *name, uint32_t request)
{
    return {on, name, request, Effect::Launch};
}

constexpr Entry foreign(FdClass on, const char *name, uint32_t request,
                        const char *note)
{
    return Entry(on, name, request, Effect::Foreign).because(note);
}

} /* namespace kvm_reset::builder */

#endif
