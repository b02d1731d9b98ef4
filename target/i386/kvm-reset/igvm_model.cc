/*
 * The guest that a user wants an IGVM file for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_model.h"

#include <algorithm>

#include "ovmf.h"

namespace kvm_reset {

using namespace igvm;

/* --- q35 ------------------------------------------------------------------ */

/* With more memory than fits below the PCI hole, less of it is below. */
constexpr uint64_t most_below = 0xb0000000;
constexpr uint64_t below_if_split = 0x80000000;

static std::vector<MemoryRange> ram_of_q35(uint64_t memory)
{
    if (memory <= most_below) {
        return {{0, memory}};
    }
    return {{0, below_if_split}, {four_gib, memory - below_if_split}};
}

/* --- vCPUs ---------------------------------------------------------------- */

static uint32_t vcpus_with_context(const IgvmFile &file, Platform platform)
{
    auto found = std::ranges::find(file.platforms(), platform,
                                   &SupportedPlatform::platform);
    uint32_t vcpus = 0;

    if (found == file.platforms().end()) {
        return 0;
    }
    for (const IgvmHeader &header : file.headers()) {
        if (header.type == Type::VpContext && header.mask & found->mask) {
            vcpus = std::max(vcpus, header.read<VpContext>().vp + 1u);
        }
    }
    return vcpus;
}

/* --- all ------------------------------------------------------------------ */

IgvmX86Guest igvm_guest_of(const IgvmModel &model, const IgvmFile &file)
{
    IgvmX86Guest guest;

    guest.platform = model.platform;
    guest.guest.ram = ram_of_q35(model.memory);
    guest.guest.firmware = {four_gib - most_firmware, most_firmware};
    guest.guest.vcpus = model.vcpus
                          ? model.vcpus
                          : std::max(1u,
                                     vcpus_with_context(file, model.platform));
    for (Type type : {Type::Srat, Type::Madt, Type::CommandLine, Type::Slit,
                      Type::Pptt, Type::DeviceTree, Type::MmioRanges}) {
        guest.guest.parameters[type] = {};
    }
    guest.reset_other_vcpus = model.reset_other_vcpus;
    guest.cpu_signature = model.cpu_signature;
    return guest;
}

static constexpr struct {
    std::string_view name;
    Platform platform;
} tees[] = {
    {"snp", Platform::SevSnp},    {"sev", Platform::Sev},
    {"sev-es", Platform::SevEs},  {"tdx", Platform::Tdx},
    {"native", Platform::Native},
};

std::optional<Platform> platform_of_tee(std::string_view name)
{
    for (const auto &tee : tees) {
        if (tee.name == name) {
            return tee.platform;
        }
    }
    return std::nullopt;
}

const char *tee_of_platform(Platform platform)
{
    for (const auto &tee : tees) {
        if (tee.platform == platform) {
            return tee.name.data();
        }
    }
    return igvm::to_string(platform);
}

} /* namespace kvm_reset */
