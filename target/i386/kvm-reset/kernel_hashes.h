/*
 * The hashes of a guest's kernel, initrd and command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With `-kernel` and `kernel-hashes=on`, QEMU puts these into a table in guest
 * memory that is measured, and OVMF refuses to boot anything else.
 */

#ifndef KVM_RESET_KERNEL_HASHES_H
#define KVM_RESET_KERNEL_HASHES_H

#include <array>
#include <cstdint>
#include <string_view>

#include "launch_digest.h"

namespace kvm_reset {

/* SHA-256 each. */
struct KernelHashes {
    Digest kernel;  /* of the whole file */
    Digest initrd;  /* of the whole file; without one, of nothing */
    Digest cmdline; /* with a NUL at its end; without one, of the NUL alone */
};

Digest cmdline_hash(std::string_view cmdline);

/* 168 bytes of table, and zeros up to a multiple of 16, which SEV asks for. */
using HashTable = std::array<uint8_t, 176>;

HashTable hash_table(const KernelHashes &hashes);

} /* namespace kvm_reset */

#endif
