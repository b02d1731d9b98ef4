/*
 * What an OVMF image wants of the IGVM file that it is in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * edk2, OvmfPkg/ResetVector/X64/IgvmMetadata.asm; the GUID is in OVMF's table.
 */

#ifndef KVM_RESET_OVMF_IGVM_H
#define KVM_RESET_OVMF_IGVM_H

#include <cstdint>
#include <utility>
#include <vector>

#include "igvm_format.h"
#include "ovmf.h"

namespace kvm_reset {

/* Where it looks for what the host fills in. */
struct OvmfParameters {
    uint64_t address = 0;
    uint64_t size = 0; /* whole pages; 0: it wants nothing */
    /* Each with its offset from @address, which is less than @size. */
    std::vector<std::pair<igvm::Type, uint32_t>> wanted;

    bool has(uint64_t page) const
    {
        return page >= address && page - address < size;
    }
};

/* EINVAL: the firmware's table of it is broken. */
Result<OvmfParameters> ovmf_parameters(const Ovmf &ovmf);

} /* namespace kvm_reset */

#endif
