/*
 * The launch digest of a guest that an IGVM file launches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_launch.h"

#include <algorithm>
#include <cerrno>

namespace kvm_reset {

using namespace igvm;

/* Zeros, of which a region may be long. */
constexpr size_t zeros_size = 1 << 16;
static const std::array<uint8_t, zeros_size> zeros{};

/* Hands @region's bytes to @take in pieces, whole pages each. */
template <class Take>
static Result<void> for_bytes(const IgvmRegion &region, Take take)
{
    if (!region.data.empty()) {
        return take(region.gpa, region.data);
    }
    for (uint64_t at = 0; at < region.size; at += zeros_size) {
        const size_t size = std::min<uint64_t>(region.size - at, zeros_size);
        if (auto done = take(region.gpa + at, Bytes(zeros).first(size));
            !done) {
            return done;
        }
    }
    return {};
}

/* By vCPU, in the order in which KVM measures them. */
static std::vector<VmsaPage> save_areas(const IgvmLaunch &launch,
                                        const IgvmX86Guest &guest)
{
    std::vector<VmsaPage> pages;

    for (const std::optional<VmsaState> &vcpu : launch.vcpus) {
        pages.push_back(
            vmsa_page(vcpu ? *vcpu
                           : initial_vmsa(reset_vector, guest.cpu_signature,
                                          launch.sev_features)));
    }
    return pages;
}

/* --- SEV and SEV-ES ------------------------------------------------------- */

static Result<Digest> sev_digest(const IgvmLaunch &launch,
                                 const IgvmX86Guest &guest)
{
    SevDigest digest;

    for (const IgvmRegion &region : launch.plan.regions) {
        if (region.kind == IgvmPages::Normal ||
            region.kind == IgvmPages::Zero) {
            auto added = for_bytes(region,
                                   [&](uint64_t, Bytes bytes) -> Result<void> {
                                       digest.update(bytes);
                                       return {};
                                   });
            if (!added) {
                return std::unexpected(added.error());
            }
        }
    }
    if (launch.platform == Platform::SevEs) {
        for (const VmsaPage &page : save_areas(launch, guest)) {
            digest.update(page);
        }
    }
    return digest.digest();
}

/* --- SEV-SNP -------------------------------------------------------------- */

static Result<void> add(SnpDigest &digest, const IgvmRegion &region,
                        ZeroPages zero)
{
    switch (region.kind) {
    case IgvmPages::Zero:
        if (zero == ZeroPages::Zero) {
            return digest.add(SnpPage::Zero, region.gpa, region.size);
        }
        [[fallthrough]];
    case IgvmPages::Normal:
        return for_bytes(region, [&](uint64_t gpa, Bytes bytes) {
            return digest.add(SnpPage::Normal, gpa, bytes);
        });
    case IgvmPages::Unmeasured:
        return digest.add(SnpPage::Unmeasured, region.gpa, region.size);
    case IgvmPages::Secrets:
        return digest.add(SnpPage::Secrets, region.gpa, region.size);
    case IgvmPages::Cpuid:
        return digest.add(SnpPage::Cpuid, region.gpa, region.size);
    case IgvmPages::Shared:
        return {};
    }
    return {};
}

static Result<Digest> snp_digest(const IgvmLaunch &launch,
                                 const IgvmX86Guest &guest, ZeroPages zero)
{
    SnpDigest digest;

    for (const IgvmRegion &region : launch.plan.regions) {
        if (auto added = add(digest, region, zero); !added) {
            return std::unexpected(added.error());
        }
    }
    for (const VmsaPage &page : save_areas(launch, guest)) {
        if (auto added = digest.add_vmsa(page); !added) {
            return std::unexpected(added.error());
        }
    }
    const Digest made = digest.digest();
    if (launch.plan.id_block &&
        !std::ranges::equal(launch.plan.id_block->digest, made.span())) {
        return refuse(EINVAL,
                      "the IGVM file's SNP ID block is of another launch: this "
                      "guest's digest is %s",
                      made.hex().c_str());
    }
    return made;
}

/* --- TDX ------------------------------------------------------------------ */

static Result<Digest> tdx_digest(const IgvmLaunch &launch)
{
    TdxDigest digest;

    for (const IgvmRegion &region : launch.plan.regions) {
        Result<void> added;
        switch (region.kind) {
        case IgvmPages::Normal:
        case IgvmPages::Zero:
            added = for_bytes(region, [&](uint64_t gpa, Bytes bytes) {
                return digest.add(gpa, bytes, true);
            });
            break;
        case IgvmPages::Unmeasured:
            added = digest.add(region.gpa, region.size);
            break;
        default:
            break;
        }
        if (!added) {
            return std::unexpected(added.error());
        }
    }
    return digest.digest();
}

/* --- all ------------------------------------------------------------------ */

Result<Digest> igvm_digest(const IgvmLaunch &launch, const IgvmX86Guest &guest,
                           ZeroPages zero)
{
    switch (launch.platform) {
    case Platform::Sev:
    case Platform::SevEs:
        return sev_digest(launch, guest);
    case Platform::SevSnp:
        return snp_digest(launch, guest, zero);
    case Platform::Tdx:
        return tdx_digest(launch);
    case Platform::Native:
    case Platform::Vsm:
        break;
    }
    return refuse(EINVAL, "nothing is measured of a guest of the platform %s",
                  to_string(launch.platform));
}

} /* namespace kvm_reset */
