/*
 * How an IGVM file launches an x86 guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Adds to the dry run what depends on the platform: which pages it has, how
 * its vCPUs start, what it measures.
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_LAUNCH_H
#define TARGET_I386_KVM_RESET_IGVM_LAUNCH_H

#include <array>
#include <optional>

#include "igvm_context.h"
#include "igvm_dry_run.h"
#include "launch_digest.h"

namespace kvm_reset {

struct IgvmX86Guest {
    igvm::Platform platform = igvm::Platform::SevSnp;
    IgvmGuest guest;
    /* SEV_FEATURES that may be asked for. */
    uint64_t sev_features = sev_features_of_kvm;
    /*
     * SEV-ES and SEV-SNP: vCPUs that the file has no context for start as
     * after a reset.  Without it they are an error, because their owner did
     * not say what they are to be measured as.
     */
    bool reset_other_vcpus = false;
    uint32_t cpu_signature = 0; /* of these: see cpu_signature.h */
};

/* What KVM_SEV_SNP_LAUNCH_FINISH takes. */
struct SnpIdentity {
    std::array<uint8_t, 96> block{};
    std::array<uint8_t, 4096> authentication{};
    bool author_key = false;
};

/* The file's bytes must outlive it. */
struct IgvmLaunch {
    igvm::Platform platform;
    IgvmPlan plan;
    /* By vCPU: how it starts; none: as after a reset. */
    std::vector<std::optional<VmsaState>> vcpus;
    uint64_t sev_features = 0; /* of all vCPUs */
    std::optional<SnpIdentity> identity;
};

/*
 * Is @file for that guest?  Errors are those of dry_run(), and EINVAL for a
 * page or a vCPU that the platform does not have.
 */
Result<IgvmLaunch> igvm_launch(const IgvmFile &file, const IgvmX86Guest &guest);

/* How pages without data are measured on SEV-SNP. */
enum class ZeroPages {
    Zero,   /* as PAGE_TYPE_ZERO, by their place: QEMU */
    Normal, /* as normal pages, by their contents: other tools */
};

/*
 * The launch digest.  EINVAL: the platform measures nothing, or the file has
 * an ID block that names another digest, which ends the launch.
 */
Result<Digest> igvm_digest(const IgvmLaunch &launch, const IgvmX86Guest &guest,
                           ZeroPages zero = ZeroPages::Zero);

} /* namespace kvm_reset */

#endif
