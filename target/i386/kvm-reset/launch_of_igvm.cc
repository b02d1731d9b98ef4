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

/* By the step that only its launch has; before Linux 6.10 a VM has no type. */
constexpr struct {
    const char *step;
    Platform platform;
    const char *start;
    Field policy; /* of the argument of @start; width 0: none */
    const char *policy_option;
} kinds[] = {
    {"KVM_SEV_SNP_LAUNCH_FINISH", Platform::SevSnp, "KVM_SEV_SNP_LAUNCH_START",
     field_of(&kvm_sev_snp_launch_start::policy), "sev-snp-guest,policy="},
    {"KVM_TDX_INIT_MEM_REGION", Platform::Tdx, "", {}, ""},
    {"KVM_SEV_LAUNCH_UPDATE_VMSA", Platform::SevEs, "KVM_SEV_LAUNCH_START",
     field_of(&kvm_sev_launch_start::policy), "sev-guest,policy="},
    {"KVM_SEV_LAUNCH_UPDATE_DATA", Platform::Sev, "KVM_SEV_LAUNCH_START",
     field_of(&kvm_sev_launch_start::policy), "sev-guest,policy="},
};
using LaunchKind = std::remove_reference_t<decltype(kinds[0])>;

Result<const LaunchKind *> kind_of(const Definition &recorded)
{
    if (recorded.plan.waits()) {
        return refuse(ENOTSUP,
                      "the owner of this guest has a say before it runs, by a "
                      "secret or by its measurement, which another launch "
                      "would leave out");
    }
    if (recorded.plan.state() != LaunchState::Finished) {
        return refuse(EAGAIN, "the guest was not launched yet");
    }
    for (const LaunchKind &kind : kinds) {
        if (std::ranges::any_of(
                recorded.plan.steps(), [&](const PlannedStep &planned) {
                    return planned.step->name() == std::string_view(kind.step);
                })) {
            return &kind;
        }
    }
    return refuse(ENOTSUP, "this guest was launched without a page, so no "
                           "other launch can be like it");
}

IgvmX86Guest guest_of(Platform platform, const Definition &recorded,
                      const LaunchMemory &memory, const LaunchHost &host)
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
    if (platform == Platform::Native) {
        guest.firmware = {host.rom.begin, host.rom.size};
    }
    for (const MemoryRange &range : memory.ranges()) {
        if (range.begin + range.size == four_gib) {
            if (platform != Platform::Native) {
                guest.firmware = range;
            }
        } else if (host.ram.empty()) {
            guest.ram.push_back(range);
        }
    }
    guest.parameters[igvm::Type::CommandLine] = {
        line, line + host.command_line.size() + 1};
    if (!host.madt.empty()) {
        guest.parameters[igvm::Type::Madt] = host.madt;
    }
    return x86;
}

/* --- what the platform would not take ------------------------------------- */

/* The policy is signed and measured by the platform, and was QEMU's to give. */
Result<void> check_policy(const LaunchKind &kind, const Definition &recorded,
                          const IgvmLaunch &launch)
{
    for (const EntryPtr &entry : recorded.entries) {
        const LaunchStep *step = launch_step(*entry);
        if (!step || !launch.plan.policy || !kind.policy.width ||
            step->name() != std::string_view(kind.start)) {
            continue;
        }
        const uint64_t policy = step->read(kind.policy);
        if (policy != *launch.plan.policy) {
            return refuse(EINVAL,
                          "the IGVM file's guest policy is 0x%" PRIx64
                          ", and this guest was started with 0x%" PRIx64
                          " (%s)",
                          *launch.plan.policy, policy, kind.policy_option);
        }
    }
    return {};
}

/* QEMU resets those of a SEV guest, which are not measured, when it is up. */
Result<void> check_contexts(const IgvmLaunch &launch)
{
    if (launch.platform == Platform::Sev && !launch.plan.contexts.empty()) {
        return refuse(ENOTSUP,
                      "the IGVM file has a VP context for a SEV guest, and "
                      "kvm-reset gives such a guest no registers");
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

/* --- an ordinary guest ---------------------------------------------------- */

Result<std::shared_ptr<const WrittenLaunch>>
written_launch(const LaunchMemory &memory, const IgvmLaunch &launch,
               uint64_t most_bytes)
{
    auto written = std::make_shared<WrittenLaunch>();
    uint64_t left = most_bytes;

    for (const IgvmRegion &region : launch.plan.regions) {
        if (!memory.has(region.gpa, region.size)) {
            return refuse(EINVAL,
                          "the IGVM file has 0x%" PRIx64 " bytes at the "
                          "address 0x%" PRIx64 ", where this guest has no "
                          "memory",
                          region.size, region.gpa);
        }
        if (region.data.size() > left) {
            return too_much(most_bytes);
        }
        left -= region.data.size();
        written->pages.push_back({region.gpa,
                                  region.size,
                                  {region.data.begin(), region.data.end()}});
    }
    if (!launch.vcpus.empty() && launch.vcpus[0]) {
        const VmsaPage page = vmsa_page(*launch.vcpus[0]);
        written->first_vcpu.assign(page.begin(), page.end());
    }
    return written;
}

Result<OtherLaunch> launch_ordinary(const Definition &recorded,
                                    const IgvmFile &file,
                                    const LaunchHost &host)
{
    /* It may keep from the guest what only it may write, behind SMM. */
    if (!host.rom.size) {
        return refuse(ENOTSUP,
                      "this guest's firmware is in flash, which is neither "
                      "written over nor passed by: start QEMU with -bios");
    }
    const LaunchMemory memory(recorded);
    auto launch = igvm_launch(
        file, guest_of(Platform::Native, recorded, memory, host));
    if (!launch) {
        return std::unexpected(launch.error());
    }
    auto written = written_launch(memory, *launch, host.most_bytes);
    if (!written) {
        return std::unexpected(written.error());
    }
    OtherLaunch other;
    other.written = *written;
    return other;
}

} /* namespace */

Result<OtherLaunch> x86_launch_of_igvm(Kernel &kernel,
                                       const Definition &recorded, Bytes bytes,
                                       const LaunchHost &host)
{
    const std::vector<ObjectId> vcpus = vcpus_of(recorded);
    auto file = IgvmFile::parse(bytes);
    if (!file) {
        return std::unexpected(file.error());
    }
    if (recorded.plan.state() == LaunchState::None) {
        return launch_ordinary(recorded, *file, host);
    }
    auto kind = kind_of(recorded);
    if (!kind) {
        return std::unexpected(kind.error());
    }

    const LaunchMemory memory(recorded);
    auto launch = igvm_launch(
        *file, guest_of((*kind)->platform, recorded, memory, host));
    if (!launch) {
        return std::unexpected(launch.error());
    }
    auto good = check_policy(**kind, recorded, *launch);
    if (good) {
        good = check_contexts(*launch);
    }
    if (!good) {
        return std::unexpected(good.error());
    }
    auto steps = steps_of_igvm(kernel, recorded, memory, *launch,
                               host.most_bytes);
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
    if (good = check_vcpus(planned, *launch); !good) {
        return std::unexpected(good.error());
    }
    auto measured = x86_measure(planned);
    if (!measured) {
        return std::unexpected(measured.error());
    }
    other.measurement = *measured;
    if (good = check_identity(*launch, *measured); !good) {
        return std::unexpected(good.error());
    }
    return other;
}

} /* namespace kvm_reset */
