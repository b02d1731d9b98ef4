/*
 * Numbers in little endian, as x86 and its firmware tables have them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_LITTLE_ENDIAN_H
#define KVM_RESET_LITTLE_ENDIAN_H

#include <bit>
#include <cstdint>
#include <cstring>

namespace kvm_reset {

/* These are compiled for x86 hosts alone, so a copy is enough. */
static_assert(std::endian::native == std::endian::little);

/* The caller knows that sizeof(T) bytes are there. */
template <class T> T get_le(const uint8_t *from)
{
    T value;
    memcpy(&value, from, sizeof value);
    return value;
}

template <class T> void put_le(uint8_t *to, T value)
{
    memcpy(to, &value, sizeof value);
}

} /* namespace kvm_reset */

#endif
