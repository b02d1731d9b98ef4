/*
 * From what an IGVM file asks for to KVM's commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_of_igvm.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <string_view>

#include "field_of.h"
#include "steps_of_igvm.h"
#include "kvm_of_vmsa.h"
#include "launch_abi.h"
#include "plan_digest.h"

namespace kvm_reset {

using namespace abi;
using igvm::Platform;

namespace {

constexpr uint64_t four_gib = uint64_t(1) << 32;

/* --- the guest ------------------------------------------------------------ */

Result<Platform> platform_of(const Definition &recorded)
{
    switch (recorded.vm_type) {
    case KVM_X86_SNP_VM:
        return Platform::SevSnp;
    case KVM_X86_TDX_VM:
        return Platform::Tdx;
    }
    return refuse(ENOTSUP,
                  "only an SEV-SNP guest or a TD can be launched from "
                  "an IGVM file at a reset, and this guest is neither");
}

IgvmX86Guest guest_of(Platform platform, const Definition &recorded,
                      const LaunchHost &host)
{
    IgvmX86Guest x86;
    IgvmGuest &guest = x86.guest;
    const uint8_t *line = reinterpret_cast<const uint8_t *>(
        host.command_line.c_str());

    x86.platform = platform;
    guest.vcpus = uint32_t(vcpus_of(recorded).size());
    guest.most_memory = host.most_bytes;
    for (const LaunchHost::Range &range : host.ram) {
        guest.ram.push_back({range.begin, range.size});
    }
    for (const MemoryRange &range : private_memory(recorded)) {
        if (range.begin + range.size == four_gib) {
            guest.firmware = range;
        } else if (host.ram.empty()) {
            guest.ram.push_back(range);
        }
    }
    guest.parameters[igvm::Type::CommandLine] = {
        line, line + host.command_line.size() + 1};
    return x86;
}

/* --- what the platform would not take ------------------------------------- */

/* The policy is signed and measured by the platform, and was QEMU's to give. */
Result<void> check_policy(const Definition &recorded, const IgvmLaunch &launch)
{
    for (const EntryPtr &entry : recorded.entries) {
        const LaunchStep *step = launch_step(*entry);
        if (!step || !launch.plan.policy ||
            step->name() != std::string_view("KVM_SEV_SNP_LAUNCH_START")) {
            continue;
        }
        const uint64_t policy = step->read(
            field_of(&kvm_sev_snp_launch_start::policy));
        if (policy != *launch.plan.policy) {
            return refuse(EINVAL,
                          "the IGVM file's guest policy is 0x%" PRIx64
                          ", and this guest was started with 0x%" PRIx64
                          " (sev-snp-guest,policy=)",
                          *launch.plan.policy, policy);
        }
    }
    return {};
}

/* Of these registers KVM would make another page, which would be measured. */
Result<void> check_vcpus(const Definition &planned, const IgvmLaunch &launch)
{
    const std::vector<ObjectId> vcpus = vcpus_of(planned);

    for (size_t i = 0; i < launch.vcpus.size(); i++) {
        if (!launch.vcpus[i]) {
            continue;
        }
        VmsaState wanted = *launch.vcpus[i];
        wanted.sev_features = launch.sev_features;
        auto made = recorded_vmsa(planned.vm_type, planned, vcpus[i]);
        if (!made) {
            return std::unexpected(made.error());
        }
        const VmsaPage a = vmsa_page(wanted), b = vmsa_page(*made);
        const auto differs = std::ranges::mismatch(a, b);
        if (differs.in1 != a.end()) {
            return refuse(EINVAL,
                          "vCPU %zu of this guest would have 0x%02x at 0x%zx "
                          "of its save area, and the IGVM file wants 0x%02x",
                          i, *differs.in2, size_t(differs.in1 - a.begin()),
                          *differs.in1);
        }
    }
    return {};
}

Result<void> check_identity(const IgvmLaunch &launch,
                            const LaunchMeasurement &measured)
{
    if (!launch.identity || !launch.plan.id_block) {
        return {};
    }
    Digest named{.size = sizeof launch.plan.id_block->digest};
    std::ranges::copy(launch.plan.id_block->digest, named.bytes.begin());
    if (named.hex() != measured.digest) {
        return refuse(EINVAL,
                      "the IGVM file's SNP ID block is of another launch: this "
                      "guest's digest is %s",
                      measured.digest.c_str());
    }
    return {};
}

} /* namespace */

Result<OtherLaunch> x86_launch_of_igvm(Kernel &kernel,
                                       const Definition &recorded, Bytes bytes,
                                       const LaunchHost &host)
{
    const std::vector<ObjectId> vcpus = vcpus_of(recorded);
    auto platform = platform_of(recorded);
    if (!platform) {
        return std::unexpected(platform.error());
    }
    auto file = IgvmFile::parse(bytes);
    if (!file) {
        return std::unexpected(file.error());
    }

    const IgvmX86Guest guest = guest_of(*platform, recorded, host);
    auto launch = igvm_launch(*file, guest);
    if (!launch) {
        return std::unexpected(launch.error());
    }
    if (auto good = check_policy(recorded, *launch); !good) {
        return std::unexpected(good.error());
    }
    auto steps = steps_of_igvm(kernel, recorded, *launch, host.most_bytes);
    if (!steps) {
        return std::unexpected(steps.error());
    }

    OtherLaunch other;
    other.steps = std::move(*steps);
    for (size_t i = 0; i < launch->vcpus.size(); i++) {
        if (launch->vcpus[i]) {
            std::ranges::move(
                entries_of_vmsa(recorded, vcpus[i], *launch->vcpus[i]),
                std::back_inserter(other.definitions));
        }
    }
    Definition planned = recorded;
    other.put_into(planned);
    if (auto good = check_vcpus(planned, *launch); !good) {
        return std::unexpected(good.error());
    }
    auto measured = x86_measure(planned);
    if (!measured) {
        return std::unexpected(measured.error());
    }
    other.measurement = *measured;
    if (auto good = check_identity(*launch, *measured); !good) {
        return std::unexpected(good.error());
    }
    return other;
}

} /* namespace kvm_reset */
