/*
 * A self-contained copy of an ioctl's argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "argument.h"

#include <cstring>

namespace kvm_reset {

uint64_t read_field(std::span<const uint8_t> bytes, Field field)
{
    uint64_t value = 0;

    if (field.width && size_t(field.offset) + field.width <= bytes.size()) {
        memcpy(&value, bytes.data() + field.offset, field.width);
    }
    return value;
}

void write_field(std::span<uint8_t> bytes, Field field, uint64_t value)
{
    if (field.width && size_t(field.offset) + field.width <= bytes.size()) {
        memcpy(bytes.data() + field.offset, &value, field.width);
    }
}

static size_t pointed_size(const Pointer &pointer, unsigned index,
                           std::span<const uint8_t> bytes)
{
    uint64_t count = 1;

    if (pointer.count.width) {
        Field field = pointer.count;
        field.offset += index * pointer.stride;
        count = read_field(bytes, field);
    }
    uint64_t bits = count * pointer.bits;
    return (bits + pointer.round - 1) / pointer.round * pointer.round / 8;
}

static bool has_pointers(const Row &row, std::span<const uint8_t> bytes)
{
    const Pointer &pointer = row.pointer;

    return pointer.bits && (!pointer.when.width ||
                            read_field(bytes, pointer.when) == pointer.is);
}

Argument Argument::copy(const Row &row, uintptr_t arg)
{
    Argument copy;

    if (row.arg == ArgKind::Value) {
        copy.value_ = arg;
        return copy;
    }
    if (row.arg == ArgKind::None || !arg) {
        return copy;
    }

    auto from = reinterpret_cast<const uint8_t *>(arg);
    size_t size = fixed_size(row);
    if (row.tail.element) {
        size += row.tail.element * read_field({from, size}, row.tail.count);
    }
    copy.buffer_.assign(from, from + size);
    copy.visible_ = size;

    if (!has_pointers(row, copy.bytes())) {
        return copy;
    }
    for (unsigned i = 0; i < row.pointer.repeat; i++) {
        Field field{uint16_t(row.pointer.offset + i * row.pointer.stride), 8};
        uint64_t address = read_field(copy.bytes(), field);
        size_t length = pointed_size(row.pointer, i, copy.bytes());

        write_field(copy.buffer_, field, 0);
        if (!address || !length) {
            continue;
        }
        size_t to = (copy.buffer_.size() + 7) & ~size_t(7);
        copy.buffer_.resize(to + length);
        memcpy(copy.buffer_.data() + to,
               reinterpret_cast<const void *>(address), length);
        copy.links_.push_back({field.offset, uint32_t(to), uint32_t(length)});
    }
    return copy;
}

unsigned Argument::elements(const Row &row) const
{
    return row.tail.element ? read(row.tail.count) : 0;
}

Argument Argument::element(const Row &row, unsigned index) const
{
    size_t fixed = fixed_size(row);
    auto from = buffer_.begin() + fixed + size_t(index) * row.tail.element;
    Argument one;

    one.buffer_.assign(buffer_.begin(), buffer_.begin() + fixed);
    one.buffer_.insert(one.buffer_.end(), from, from + row.tail.element);
    one.visible_ = one.buffer_.size();
    one.write(row.tail.count, 1);
    return one;
}

std::span<const uint8_t> Argument::pointed(unsigned index) const
{
    if (index >= links_.size()) {
        return {};
    }
    return std::span(buffer_).subspan(links_[index].to, links_[index].length);
}

Field Argument::in_live(Field field) const
{
    if (field.inside) {
        field.offset += links_.empty() ? buffer_.size() : links_[0].to;
    }
    return field;
}

uint64_t Argument::read(Field field) const
{
    return read_field(buffer_, in_live(field));
}

void Argument::write(Field field, uint64_t value)
{
    write_field(buffer_, in_live(field), value);
}

LiveArgument Argument::live(size_t room) const
{
    LiveArgument live{buffer_, uintptr_t(value_)};

    if (room > live.bytes.size()) {
        live.bytes.resize(room);
    }

    for (const Link &link : links_) {
        uint64_t address = uint64_t(live.bytes.data() + link.to);
        memcpy(live.bytes.data() + link.at, &address, sizeof(address));
    }
    return live;
}

size_t Argument::footprint() const
{
    return buffer_.capacity() + links_.capacity() * sizeof(Link);
}

} /* namespace kvm_reset */
