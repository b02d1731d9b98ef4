/*
 * The words that the catalogue's rows are written in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Only for catalogue*.cc.  A word is that of the member of Row that it sets.
 * Everything is constexpr: a row costs nothing at run time, and the compiler
 * rejects a field of another struct than the argument's.
 */

#ifndef KVM_RESET_CATALOGUE_BUILDER_H
#define KVM_RESET_CATALOGUE_BUILDER_H

#include "catalogue.h"
#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset::builder {

constexpr auto System = FdClass::System;
constexpr auto Vm = FdClass::Vm;
constexpr auto Vcpu = FdClass::Vcpu;
constexpr auto Device = FdClass::Device;
constexpr auto GuestMemfd = FdClass::GuestMemfd;
constexpr auto Stats = FdClass::Stats;
using enum Effect;
using enum FdRole;
using enum WhenDetached;
constexpr auto Value = ArgKind::Value;
constexpr auto FieldIsZero = Removal::When::FieldIsZero;
constexpr auto FieldIs = Removal::When::FieldIs;
constexpr auto FlagIsSet = Removal::When::FlagIsSet;

struct NoFields {};

/*
 * A row under construction; each word says one thing about it.  @Argument is
 * what the ioctl's third argument points to.
 */
template <class Argument> class RowBuilder {
    using Struct =
        std::conditional_t<std::is_class_v<Argument>, Argument, NoFields>;
    template <class Member> using In = Member Struct::*;

public:
    constexpr RowBuilder(FdClass on, Effect effect, const char *name,
                         uint32_t request)
    {
        row_.on = on;
        row_.effect = effect;
        row_.name = name;
        row_.request = request;
        row_.arg = ioc_size(request) ? ArgKind::Struct : ArgKind::None;
        if constexpr (!std::is_void_v<Argument>) {
            row_.arg = ArgKind::Struct;
            if (sizeof(Argument) != ioc_size(request)) {
                row_.size = sizeof(Argument);
            }
        }
    }

    constexpr operator Row() const { return row_; }

    /* The argument. */
    constexpr RowBuilder &arg(ArgKind kind)
    {
        row_.arg = kind;
        return *this;
    }

    template <class Element, class Count>
    constexpr RowBuilder &tail(In<Count> count)
    {
        row_.tail = {field_of(count), sizeof(Element)};
        return *this;
    }

    constexpr RowBuilder &pointer(Pointer pointer)
    {
        row_.pointer = pointer;
        return *this;
    }

    /* Written for bytes that only @room tells of. */
    constexpr RowBuilder &room(uint16_t bytes)
    {
        row_.room = bytes;
        return *this;
    }

    /* The thing that it is about. */
    template <class... Members>
    constexpr RowBuilder &key(In<Members>... members)
    {
        (key(field_of(members)), ...);
        return *this;
    }

    constexpr RowBuilder &key(Field field)
    {
        size_t i = 0;
        while (row_.key[i].width) {
            i++;
        }
        row_.key[i] = field;
        return *this;
    }

    /* Bits of the key's @member that do not count. */
    template <class Member>
    constexpr RowBuilder &ignore(In<Member> member, uint64_t bits)
    {
        for (Field &field : row_.key) {
            if (field.width && field.offset == offset_of(member)) {
                field.ignore = bits;
            }
        }
        return *this;
    }

    constexpr RowBuilder &value_is_key()
    {
        row_.arg = ArgKind::Value;
        row_.value_is_key = true;
        return *this;
    }

    constexpr RowBuilder &family(uint32_t request)
    {
        row_.family = request;
        return *this;
    }

    /* Each has the key @member. */
    template <class Element, class Member>
    constexpr RowBuilder &each_element(Member Element::*member)
    {
        row_.each_element = true;
        return key(field_of(member));
    }

    constexpr RowBuilder &moves_to_end()
    {
        row_.moves_to_end = true;
        return *this;
    }

    constexpr RowBuilder &defines_until_launch()
    {
        row_.defines_until_launch = true;
        return *this;
    }

    /* What takes it away.  @what: the value, or the flag. */
    template <class Member>
    constexpr RowBuilder &removal(Removal::When when, In<Member> member,
                                  uint32_t what = 0)
    {
        row_.removal = {when, field_of(member), when == FlagIsSet ? what : 0,
                        when == FieldIs ? what : 0};
        return *this;
    }

    constexpr RowBuilder &removes_containing()
    {
        row_.removes_containing = true;
        return *this;
    }

    /* The files in it. */
    constexpr RowBuilder &fd(FdField field)
    {
        row_.fds[row_.fds[0].role == FdRole::None ? 0 : 1] = field;
        return *this;
    }

    template <class Member>
    constexpr RowBuilder &fd(FdRole role, In<Member> member)
    {
        return fd({offset_of(member), role});
    }

    /* There if the bits @mask of @flags are @want. */
    template <class Member, class Flags>
    constexpr RowBuilder &fd_if(FdRole role, In<Member> member, In<Flags> flags,
                                uint32_t mask, uint32_t want)
    {
        return fd({offset_of(member), role, field_of(flags), mask, want});
    }

    constexpr RowBuilder &exclusive()
    {
        row_.exclusive = true;
        return *this;
    }

    constexpr RowBuilder &when_detached(WhenDetached what)
    {
        row_.when_detached = what;
        return *this;
    }

    /* The fd that it makes: returned, or written to @member. */
    constexpr RowBuilder &creates(FdClass what)
    {
        row_.creates = what;
        return *this;
    }

    template <class Member>
    constexpr RowBuilder &creates(FdClass what, In<Member> member)
    {
        row_.creates = what;
        row_.created_in_arg = true;
        row_.created = field_of(member);
        return *this;
    }

    constexpr RowBuilder &classify(Classifier by)
    {
        row_.classify = by;
        return *this;
    }

    constexpr RowBuilder &adds_up(bool (*which)(std::span<const uint8_t> arg))
    {
        row_.adds_up = which;
        return *this;
    }

    constexpr RowBuilder &note(const char *why)
    {
        row_.note = why;
        return *this;
    }

private:
    Row row_;
};

template <class Argument = void>
constexpr RowBuilder<Argument> row(FdClass on, Effect effect, const char *name,
                                   uint32_t request)
{
    return {on, effect, name, request};
}

} /* namespace kvm_reset::builder */

#endif
