/*
 * The guest that a user wants an IGVM file for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_MODEL_H
#define TARGET_I386_KVM_RESET_IGVM_MODEL_H

#include <optional>
#include <string_view>

#include "igvm_launch.h"

namespace kvm_reset {

struct IgvmModel {
    igvm::Platform platform = igvm::Platform::SevSnp;
    uint32_t vcpus = 0; /* 0: all that the file has contexts for, at least 1 */
    uint64_t memory = uint64_t(2) << 30;
    /* As IgvmX86Guest has them. */
    bool reset_other_vcpus = false;
    uint32_t cpu_signature = 0;
};

/*
 * The guest of QEMU's machine q35.  Its memory map has its RAM; what else QEMU
 * fills in (MADT, SRAT, …) is there, and taken to be empty.
 */
IgvmX86Guest igvm_guest_of(const IgvmModel &model, const IgvmFile &file);

/* By the names that --tee has: "sev-es". */
std::optional<igvm::Platform> platform_of_tee(std::string_view name);
const char *tee_of_platform(igvm::Platform platform);

} /* namespace kvm_reset */

#endif
