/*
 * Lists of registers, as KVM_GET_MSRS and KVM_SET_MSRS take them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_REGISTERS_H
#define KVM_RESET_REGISTERS_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "argument.h"
#include "kernel.h"

namespace kvm_reset {

/* struct kvm_msrs: the count, padding, then entries. */
namespace registers {
constexpr size_t head = 8;
constexpr size_t entry_size = 16;
constexpr Field count_field{0, 4};
/* KVM takes no more at once. */
constexpr size_t most_at_once = 200;
} /* namespace registers */

/* Where the index of an entry is, and what it says. */
constexpr Field index_of(size_t entry)
{
    return {uint16_t(registers::head + entry * registers::entry_size), 4};
}
uint64_t data_of(std::span<const uint8_t> list, size_t entry);
size_t count_of(std::span<const uint8_t> list);

/* A list of these, which say nothing yet. */
std::vector<uint8_t> registers_of(std::span<const uint32_t> indices);

/* A part of @all, ready for the ioctl. */
std::vector<uint8_t> part_of(std::span<const uint8_t> all, size_t from,
                             size_t count);

/*
 * Reads as many as KVM gives from the first on; the number, or a negative
 * errno.
 */
int get_registers(Kernel &kernel, uint32_t request, int fd,
                  std::span<uint8_t> all);

} /* namespace kvm_reset */

#endif
