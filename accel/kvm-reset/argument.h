/*
 * A self-contained copy of an ioctl's argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a caller passes to ioctl() may lie on its stack and point to more of
 * it.  An Argument holds all of that by value, in one buffer: the fixed part,
 * the flexible tail, then whatever the pointers inside pointed to.  The
 * pointers themselves are zero in the copy, so that two copies are equal when
 * they say the same; live() puts them back for a replay.
 */

#ifndef KVM_RESET_ARGUMENT_H
#define KVM_RESET_ARGUMENT_H

#include <cstdint>
#include <span>
#include <vector>

#include "catalogue.h"

namespace kvm_reset {

/* An argument ready to be passed to ioctl(); owns what it points to. */
struct LiveArgument {
    std::vector<uint8_t> bytes;
    uintptr_t value = 0;

    uintptr_t pass() const
    {
        return bytes.empty() ? value : uintptr_t(bytes.data());
    }
};

class Argument {
public:
    Argument() = default;

    /*
     * Copies what @row says @arg is.  Reads caller memory: @arg must be valid
     * for the ioctl.  A null pointer is kept as the value 0.
     */
    static Argument copy(const Row &row, uintptr_t arg);

    /* A copy that holds element @index of the tail alone. */
    Argument element(const Row &row, unsigned index) const;
    unsigned elements(const Row &row) const;

    uint64_t value() const { return value_; }

    /* The fixed part and the tail, pointers zeroed. */
    std::span<const uint8_t> bytes() const
    {
        return std::span(buffer_).first(visible_);
    }

    /* What pointer number @index points to; empty when it is null. */
    std::span<const uint8_t> pointed(unsigned index = 0) const;

    /* Fields of the visible bytes or, if field.inside, of pointed(). */
    uint64_t read(Field field) const;
    void write(Field field, uint64_t value);

    /* Where @field is in live().bytes, whether or not it is pointed to. */
    Field in_live(Field field) const;

    /* With zeros behind the end, up to @room bytes. */
    LiveArgument live(size_t room = 0) const;

    /* Heap bytes. */
    size_t footprint() const;

    bool operator==(const Argument &) const = default;

private:
    struct Link {
        uint32_t at; /* of the pointer, in buffer_ */
        uint32_t to; /* of what it points to, in buffer_ */
        uint32_t length;
        bool operator==(const Link &) const = default;
    };

    std::vector<uint8_t> buffer_;
    std::vector<Link> links_;
    uint64_t value_ = 0;
    uint32_t visible_ = 0;
};

/* A little-endian field of @bytes; 0 when it lies outside. */
uint64_t read_field(std::span<const uint8_t> bytes, Field field);
void write_field(std::span<uint8_t> bytes, Field field, uint64_t value);

} /* namespace kvm_reset */

#endif
