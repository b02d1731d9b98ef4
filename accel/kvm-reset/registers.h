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
#include "field_of.h"
#include "kernel.h"
#include "kvm_abi.h"

namespace kvm_reset {

namespace registers {
constexpr size_t head = sizeof(abi::kvm_msrs);
constexpr size_t entry_size = sizeof(abi::kvm_msr_entry);
constexpr Field count_field = field_of(&abi::kvm_msrs::nmsrs);
/* KVM takes no more at once. */
constexpr size_t most_at_once = 200;
} /* namespace registers */

/* A field of an entry. */
template <class Member>
constexpr Field field_of_entry(size_t entry, Member abi::kvm_msr_entry::*member)
{
    Field field = field_of(member);
    field.offset += registers::head + entry * registers::entry_size;
    return field;
}

/* Where the index of an entry is, and what it says. */
constexpr Field index_of(size_t entry)
{
    return field_of_entry(entry, &abi::kvm_msr_entry::index);
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
