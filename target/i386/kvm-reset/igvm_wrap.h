/*
 * An OVMF image as an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_WRAP_H
#define TARGET_I386_KVM_RESET_IGVM_WRAP_H

#include <optional>
#include <vector>

#include "igvm_format.h"
#include "kernel_hashes.h"

namespace kvm_reset {

struct IgvmWrap {
    Bytes firmware;                        /* as QEMU gets it by -bios */
    std::vector<igvm::Platform> platforms; /* all but Vsm; each once */
    /* SEV-SNP and SEV-ES alone: */
    unsigned vcpus = 1; /* each has a context in the file */
    uint32_t cpu_signature = 0;
    uint64_t sev_features = 1; /* of SEV-ES without bit 0 */
    /* SEV-ES alone: */
    bool fpu_in_save_area = true; /* not with KVM_SEV_ES_INIT */
    /* SEV-SNP alone: */
    uint64_t policy = 0x30000;
    std::optional<KernelHashes> kernel;
    /* Has the host fill in what OVMF's IGVM metadata asks for. */
    bool parameters = true;
};

/*
 * What the file launches is what -bios does, in the same order, so that the
 * digest is the same but for pages that hold parameters.  EINVAL, ENOENT: as
 * launch_digest() (measure.h) says of such a guest; the IGVM metadata is
 * broken.
 */
Result<std::vector<uint8_t>> wrap_ovmf(const IgvmWrap &wrap);

} /* namespace kvm_reset */

#endif
