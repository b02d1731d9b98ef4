/*
 * The launch digest of a guest that has not been started yet
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Does, with files, what QEMU and KVM do with a guest, in the same order.
 */

#ifndef KVM_RESET_MEASURE_H
#define KVM_RESET_MEASURE_H

#include <cstdint>
#include <optional>
#include <vector>

#include "error.h"
#include "kernel_hashes.h"
#include "launch_digest.h"
#include "ovmf.h"

namespace kvm_reset {

enum class Tee {
    Sev,
    SevEs,
    Snp,
    Tdx
};

constexpr unsigned most_vcpus = 4096; /* KVM's own limit */

struct Guest {
    Tee tee;
    Bytes firmware;               /* the file that QEMU gets by -bios */
    unsigned vcpus = 1;           /* SEV-ES and SNP: 1 to most_vcpus */
    uint32_t cpu_signature = 0;   /* SEV-ES and SNP: see cpu_signature.h */
    uint64_t sev_features = 0;    /* SEV-ES and SNP: as in the save area */
    bool fpu_in_save_area = true; /* not with KVM_SEV_ES_INIT */
    TdxPages tdx_pages = TdxPages::OnePass;
    std::optional<KernelHashes> kernel; /* not TDX, which measures it later */
};

/*
 * EINVAL: the firmware is broken, or the guest cannot be like that;
 * ENOENT: the firmware lacks what this kind of guest needs.
 */
Result<Digest> launch_digest(const Guest &guest);

/*
 * What is in OVMF's section for kernel hashes on SEV-SNP.  EINVAL: the table
 * does not lie in it.
 */
Result<std::vector<uint8_t>> kernel_hash_pages(const Ovmf &ovmf,
                                               const SevSection &section,
                                               const KernelHashes &kernel);

/* ENOENT: there is a kernel, and no such section. */
std::unexpected<Error> no_hash_section();

} /* namespace kvm_reset */

#endif
