/*
 * How an IGVM file launches an x86 guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_launch.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "little_endian.h"

namespace kvm_reset {

using namespace igvm;

static bool has_save_areas(Platform platform)
{
    return platform == Platform::SevSnp || platform == Platform::SevEs;
}

/* --- pages ---------------------------------------------------------------- */

static Result<void> check_region(Platform platform, const IgvmRegion &region)
{
    const bool of_snp = region.kind == IgvmPages::Secrets ||
                        region.kind == IgvmPages::Cpuid;

    if (of_snp && platform != Platform::SevSnp) {
        return refuse(EINVAL,
                      "the IGVM file has a %s page for %s, at the address "
                      "0x%" PRIx64 ", and only SEV-SNP has such",
                      to_string(region.kind), to_string(platform), region.gpa);
    }
    return {};
}

/* A TD starts at the reset vector and nowhere else. */
static Result<void> check_reset_vector(const IgvmPlan &plan)
{
    for (const IgvmRegion &region : plan.regions) {
        if (MemoryRange{region.gpa, region.size}.has(reset_vector, 16) &&
            !region.data.empty()) {
            return {};
        }
    }
    return refuse(EINVAL,
                  "the IGVM file has no page at 0x%x, where a TD "
                  "starts",
                  reset_vector);
}

/* --- vCPUs ---------------------------------------------------------------- */

static Result<VmsaState> read_context(const IgvmFile &file, Platform platform,
                                      const IgvmContext &from)
{
    const bool native = platform == Platform::Native;

    if (platform == Platform::SevSnp && from.context.gpa != snp_vmsa_gpa) {
        return refuse(EINVAL,
                      "its address is 0x%" PRIx64 ", and KVM has save areas "
                      "measured at 0x%" PRIx64,
                      from.context.gpa, snp_vmsa_gpa);
    }
    if (native && from.context.vp) {
        return refuse(EINVAL,
                      "only the first vCPU of an ordinary guest starts "
                      "by itself, and this is number %u",
                      from.context.vp);
    }
    auto data = file.data(from.header, from.context.data,
                          native ? native_context_size : launch_page_size);
    if (!data) {
        return std::unexpected(data.error());
    }
    return native ? context_of_native(*data)
                  : context_of_vmsa(*data, platform == Platform::SevEs);
}

static Result<void> check_features(const IgvmX86Guest &guest, uint64_t features)
{
    const bool snp = guest.platform == Platform::SevSnp;

    if (features & ~guest.sev_features ||
        snp != bool(features & sev_feature_snp_active)) {
        return refuse(EINVAL,
                      "its SEV_FEATURES are 0x%" PRIx64
                      ", and this guest may have 0x%" PRIx64 " of them, %s "
                      "bit 0",
                      features, guest.sev_features, snp ? "with" : "without");
    }
    return {};
}

static Result<void> add_contexts(IgvmLaunch &launch, const IgvmFile &file,
                                 const IgvmX86Guest &guest)
{
    launch.vcpus.resize(guest.guest.vcpus);
    for (const IgvmContext &from : launch.plan.contexts) {
        if (guest.platform == Platform::Tdx) {
            return refuse(EINVAL,
                          "the IGVM file's %s is for a TD, whose vCPUs start "
                          "as the TDX module says",
                          from.header.describe().c_str());
        }
        auto state = read_context(file, guest.platform, from);
        if (state && has_save_areas(guest.platform)) {
            if (auto good = check_features(guest, state->sev_features); !good) {
                state = std::unexpected(good.error());
            } else if (&from != &launch.plan.contexts.front() &&
                       state->sev_features != launch.sev_features) {
                state = refuse(EINVAL,
                               "its SEV_FEATURES are 0x%" PRIx64 ", and those "
                               "of another vCPU 0x%" PRIx64,
                               state->sev_features, launch.sev_features);
            }
        }
        if (!state) {
            return std::unexpected(
                Error{state.error().code,
                      format("the IGVM file's %s, of vCPU %u: %s",
                             from.header.describe().c_str(), from.context.vp,
                             state.error().what.c_str())});
        }
        launch.sev_features = state->sev_features;
        launch.vcpus[from.context.vp] = *state;
    }
    return {};
}

static Result<void> check_all_started(IgvmLaunch &launch,
                                      const IgvmX86Guest &guest)
{
    if (!has_save_areas(guest.platform)) {
        return {};
    }
    if (guest.platform == Platform::SevSnp) {
        launch.sev_features |= sev_feature_snp_active;
    }
    for (size_t i = 0; i < launch.vcpus.size(); i++) {
        if (!launch.vcpus[i] && !guest.reset_other_vcpus) {
            return refuse(EINVAL,
                          "the IGVM file has no VP context for vCPU %zu, and "
                          "this guest has %zu vCPUs, each of which is measured",
                          i, launch.vcpus.size());
        }
    }
    return {};
}

/* --- the ID block --------------------------------------------------------- */

/*
 * AMD, SEV-SNP Firmware ABI (56860), SNP_LAUNCH_FINISH: the structures of the
 * ID block and of the ID authentication information, where a signature has
 * 512 bytes (R and S of 72 each, then zeros) and a key 1028 (curve, QX and QY).
 * IGVM has the same numbers, and 4 reserved bytes in a key.
 */
namespace id_block {
constexpr size_t digest = 0;
constexpr size_t family = 48;
constexpr size_t image = 64;
constexpr size_t version = 80;
constexpr size_t guest_svn = 84;
constexpr size_t policy = 88;
} /* namespace id_block */

namespace id_auth {
constexpr size_t id_algorithm = 0;
constexpr size_t author_algorithm = 4;
constexpr size_t id_signature = 0x40;
constexpr size_t id_key = 0x240;
constexpr size_t author_signature = 0x680;
constexpr size_t author_key = 0x880;
} /* namespace id_auth */

static void put_signature(uint8_t *to, const IdSignature &signature)
{
    memcpy(to, signature.r, sizeof signature.r);
    memcpy(to + sizeof signature.r, signature.s, sizeof signature.s);
}

static void put_key(uint8_t *to, const IdKey &key)
{
    put_le(to, key.curve);
    memcpy(to + 4, key.x, sizeof key.x);
    memcpy(to + 4 + sizeof key.x, key.y, sizeof key.y);
}

static Result<SnpIdentity> identity_of(const IgvmPlan &plan)
{
    const SnpIdBlock &from = *plan.id_block;
    SnpIdentity identity;
    uint8_t *block = identity.block.data();
    uint8_t *auth = identity.authentication.data();

    if (from.version != 1 || from.author_key_enabled > 1) {
        return refuse(EINVAL,
                      "the IGVM file's SNP ID block has version %u and %u for "
                      "\"author key enabled\", and only version 1 with 0 or 1 "
                      "is known",
                      from.version, from.author_key_enabled);
    }
    if (!plan.policy) {
        return refuse(EINVAL, "the IGVM file has an SNP ID block and no guest "
                              "policy, which is signed with it");
    }
    memcpy(block + id_block::digest, from.digest, sizeof from.digest);
    memcpy(block + id_block::family, from.family_id, sizeof from.family_id);
    memcpy(block + id_block::image, from.image_id, sizeof from.image_id);
    put_le(block + id_block::version, from.version);
    put_le(block + id_block::guest_svn, from.guest_svn);
    put_le(block + id_block::policy, *plan.policy);

    put_le(auth + id_auth::id_algorithm, from.id_key_algorithm);
    put_signature(auth + id_auth::id_signature, from.id_signature);
    put_key(auth + id_auth::id_key, from.id_key);
    identity.author_key = from.author_key_enabled;
    if (identity.author_key) {
        put_le(auth + id_auth::author_algorithm, from.author_key_algorithm);
        put_signature(auth + id_auth::author_signature, from.author_signature);
        put_key(auth + id_auth::author_key, from.author_key);
    }
    return identity;
}

/* --- all ------------------------------------------------------------------ */

Result<IgvmLaunch> igvm_launch(const IgvmFile &file, const IgvmX86Guest &guest)
{
    if (file.architecture()) {
        return refuse(EINVAL,
                      "the IGVM file is for the architecture %u, and "
                      "this guest is an x64 one, 0",
                      file.architecture());
    }
    auto plan = dry_run(file, guest.platform, guest.guest);
    if (!plan) {
        return std::unexpected(plan.error());
    }
    IgvmLaunch launch{.platform = guest.platform,
                      .plan = std::move(*plan),
                      .vcpus = {},
                      .identity = {}};
    Result<void> good;

    for (const IgvmRegion &region : launch.plan.regions) {
        if (good = check_region(guest.platform, region); !good) {
            return std::unexpected(good.error());
        }
    }
    if (guest.platform == Platform::Tdx) {
        good = check_reset_vector(launch.plan);
    }
    if (good) {
        good = add_contexts(launch, file, guest);
    }
    if (good) {
        good = check_all_started(launch, guest);
    }
    if (!good) {
        return std::unexpected(good.error());
    }
    if (launch.plan.id_block && guest.platform == Platform::SevSnp) {
        auto identity = identity_of(launch.plan);
        if (!identity) {
            return std::unexpected(identity.error());
        }
        launch.identity = *identity;
    }
    return launch;
}

} /* namespace kvm_reset */
