/*
 * What the core asks of an architecture
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core knows KVM's ABI and no CPU.  The few questions whose answer
 * depends on one are asked here; target/ARCH/kvm-reset/ answers them.
 */

#ifndef KVM_RESET_ARCH_H
#define KVM_RESET_ARCH_H

#include <cstdint>
#include <vector>

#include "kernel.h"

namespace kvm_reset {

struct Arch {
    const char *name;
    /*
     * The MSRs that define a vCPU rather than being its state, sorted; read
     * from the kernel through the open KVM device @system.
     */
    std::vector<uint32_t> (*defining_msrs)(Kernel &kernel, int system);
};

/* @arch has static storage.  Called before main(), once. */
bool register_arch(const Arch *arch);

/* The architecture that this program was linked with, or nullptr. */
const Arch *arch();

} /* namespace kvm_reset */

#endif
