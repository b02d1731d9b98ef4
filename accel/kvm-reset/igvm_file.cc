/*
 * An IGVM file, read and found to be well-formed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "crc32.h"
#include "little_endian.h"

namespace kvm_reset {

using namespace igvm;

/* --- the types of headers ------------------------------------------------- */

enum class Section {
    Platforms,
    Initialization,
    Directives,
};

/* A type whose headers have no mask is for every platform. */
constexpr uint32_t no_mask = UINT32_MAX;

struct Kind {
    Type type;
    Section section;
    uint32_t length;
    uint32_t mask_at;
    const char *name;
};

static constexpr Kind parameter(Type type, const char *name)
{
    return {type, Section::Directives, sizeof(Parameter), no_mask, name};
}

static constexpr Kind kinds[] = {
    {Type::SupportedPlatform, Section::Platforms, sizeof(SupportedPlatform),
     no_mask, "supported platform"},
    {Type::GuestPolicy, Section::Initialization, sizeof(GuestPolicy),
     offsetof(GuestPolicy, mask), "guest policy"},
    {Type::RelocatableRegion, Section::Initialization, 48, no_mask,
     "relocatable region"},
    {Type::PageTableRelocation, Section::Initialization, 32, no_mask,
     "page table relocation"},
    {Type::ParameterArea, Section::Directives, sizeof(ParameterArea), no_mask,
     "parameter area"},
    {Type::PageData, Section::Directives, sizeof(PageData),
     offsetof(PageData, mask), "page data"},
    {Type::ParameterInsert, Section::Directives, sizeof(ParameterInsert),
     offsetof(ParameterInsert, mask), "parameter insert"},
    {Type::VpContext, Section::Directives, vp_context_length,
     offsetof(VpContext, mask), "VP context"},
    {Type::RequiredMemory, Section::Directives, sizeof(RequiredMemory),
     offsetof(RequiredMemory, mask), "required memory"},
    parameter(Type::VpCount, "VP count"),
    parameter(Type::Srat, "SRAT"),
    parameter(Type::Madt, "MADT"),
    parameter(Type::MmioRanges, "MMIO ranges"),
    {Type::SnpIdBlock, Section::Directives, sizeof(SnpIdBlock),
     offsetof(SnpIdBlock, mask), "SNP ID block"},
    parameter(Type::MemoryMap, "memory map"),
    {Type::ErrorRange, Section::Directives, sizeof(ErrorRange),
     offsetof(ErrorRange, mask), "error range"},
    parameter(Type::CommandLine, "command line"),
    parameter(Type::Slit, "SLIT"),
    parameter(Type::Pptt, "PPTT"),
    parameter(Type::DeviceTree, "device tree"),
    parameter(Type::EnvironmentInfo, "environment info"),
};

static const Kind *kind_of(uint32_t type)
{
    auto kind = std::ranges::find(kinds, Type(type), &Kind::type);
    return kind == std::end(kinds) ? nullptr : kind;
}

const char *igvm::to_string(Type type)
{
    const Kind *kind = kind_of(uint32_t(type));
    return kind ? kind->name : "unknown header";
}

bool igvm::is_parameter(Type type)
{
    const Kind *kind = kind_of(uint32_t(type));
    return kind && kind->length == sizeof(Parameter);
}

const char *igvm::to_string(Platform platform)
{
    switch (platform) {
    case Platform::Native:
        return "native";
    case Platform::Vsm:
        return "VSM";
    case Platform::SevSnp:
        return "SEV-SNP";
    case Platform::Tdx:
        return "TDX";
    case Platform::Sev:
        return "SEV";
    case Platform::SevEs:
        return "SEV-ES";
    }
    return "unknown platform";
}

std::string IgvmHeader::describe() const
{
    return format("%s at 0x%x of the file", to_string(type), offset);
}

/* --- the fixed header ----------------------------------------------------- */

Result<void> IgvmFile::read_fixed(Bytes bytes)
{
    if (bytes.size() < sizeof magic ||
        get_le<uint32_t>(bytes.data()) != magic) {
        return refuse(EINVAL, "this is no IGVM file: it does not begin with "
                              "\"IGVM\"");
    }
    if (bytes.size() < fixed_size_1) {
        return refuse(EINVAL,
                      "the IGVM file has %zu bytes, and its fixed header alone "
                      "has %zu",
                      bytes.size(), fixed_size_1);
    }
    memcpy(static_cast<void *>(&fixed_), bytes.data(), fixed_size_1);
    if (fixed_.version != 1 && fixed_.version != 2) {
        return refuse(EINVAL,
                      "the IGVM file has version %u, and only 1 and 2 are "
                      "known",
                      fixed_.version);
    }
    const size_t fixed_size = fixed_.version == 1 ? fixed_size_1 : fixed_size_2;
    if (fixed_.file_size < fixed_size || fixed_.file_size > bytes.size()) {
        return refuse(EINVAL,
                      "the IGVM file says that it has %u bytes, and %zu are "
                      "there",
                      fixed_.file_size, bytes.size());
    }
    bytes_ = bytes.first(fixed_.file_size);
    memcpy(static_cast<void *>(&fixed_), bytes.data(), fixed_size);
    if (fixed_.page_size != page_size) {
        return refuse(EINVAL,
                      "the IGVM file has pages of %u bytes, and only 4096 are "
                      "known",
                      fixed_.page_size);
    }
    if (fixed_.headers_offset % header_alignment ||
        fixed_.headers_offset < fixed_size ||
        uint64_t(fixed_.headers_offset) + fixed_.headers_size > bytes_.size()) {
        return refuse(EINVAL,
                      "the IGVM file has its variable headers, 0x%x bytes, at "
                      "0x%x, where they cannot be in a file of 0x%zx bytes",
                      fixed_.headers_size, fixed_.headers_offset,
                      bytes_.size());
    }
    if (fixed_.headers_size > most_header_bytes) {
        return refuse(EINVAL,
                      "the IGVM file has 0x%x bytes of variable headers, and "
                      "0x%x is the most that is taken",
                      fixed_.headers_size, most_header_bytes);
    }
    return {};
}

Result<void> IgvmFile::check_sum() const
{
    const size_t size = fixed_.version == 1 ? fixed_size_1 : fixed_size_2;
    FixedHeader without = fixed_;
    Crc32 crc;

    without.checksum = 0;
    crc.update({reinterpret_cast<const uint8_t *>(&without), size});
    crc.update(variable());
    if (crc.value() != fixed_.checksum) {
        return refuse(EINVAL,
                      "the IGVM file is damaged: the checksum of its headers "
                      "is 0x%08x, and it says 0x%08x",
                      crc.value(), fixed_.checksum);
    }
    return {};
}

/* --- the variable headers ------------------------------------------------- */

Result<void> IgvmFile::add_platform(const IgvmHeader &header)
{
    const auto platform = header.read<SupportedPlatform>();

    if (!std::has_single_bit(platform.mask) || platform.mask & masks_) {
        return refuse(EINVAL,
                      "the IGVM file's %s has the mask 0x%x, which is not one "
                      "bit of its own",
                      header.describe().c_str(), platform.mask);
    }
    if (std::ranges::count(platforms_, platform.platform,
                           &SupportedPlatform::platform)) {
        return refuse(EINVAL, "the IGVM file names the platform %s twice",
                      to_string(platform.platform));
    }
    masks_ |= platform.mask;
    platforms_.push_back(platform);
    return {};
}

Result<void> IgvmFile::read_headers()
{
    const Bytes all = variable();
    Section section = Section::Platforms;
    uint32_t count = 0;

    for (size_t at = 0, next; at < all.size(); at = next) {
        const uint32_t offset = fixed_.headers_offset + at;
        if (all.size() - at < header_prefix) {
            return refuse(EINVAL,
                          "the IGVM file's last header, at 0x%x, is cut short",
                          offset);
        }
        if (count++ == most_headers) {
            return refuse(EINVAL,
                          "the IGVM file has more than %u headers, which is "
                          "the most that is taken",
                          most_headers);
        }
        const uint32_t type = get_le<uint32_t>(&all[at]);
        const uint32_t length = get_le<uint32_t>(&all[at + 4]);
        if (length > all.size() - at - header_prefix) {
            return refuse(EINVAL,
                          "the IGVM file's header at 0x%x has 0x%x bytes, more "
                          "than are left for headers",
                          offset, length);
        }
        /* The last may end without padding. */
        next = std::min(all.size(), at + header_prefix +
                                        (length + header_alignment - 1) /
                                            header_alignment *
                                            header_alignment);

        const Kind *kind = kind_of(type);
        if (!kind) {
            if (type & may_be_skipped) {
                skipped_++;
                continue;
            }
            return refuse(EINVAL,
                          "the IGVM file's header at 0x%x is of type 0x%x, "
                          "which is not known",
                          offset, type);
        }
        IgvmHeader header{kind->type, offset,
                          all.subspan(at + header_prefix, length), no_mask};
        if (length != kind->length) {
            return refuse(EINVAL,
                          "the IGVM file's %s has %u bytes, and such a header "
                          "has %u",
                          header.describe().c_str(), length, kind->length);
        }
        if (kind->section < section) {
            return refuse(EINVAL,
                          "the IGVM file's %s comes too late: platforms are "
                          "first, then initialization, then directives",
                          header.describe().c_str());
        }
        section = kind->section;
        if (kind->type == Type::SupportedPlatform) {
            if (auto good = add_platform(header); !good) {
                return good;
            }
            continue;
        }
        if (kind->mask_at != no_mask) {
            header.mask = get_le<uint32_t>(&header.content[kind->mask_at]);
            if (!header.mask || header.mask & ~masks_) {
                return refuse(EINVAL,
                              "the IGVM file's %s has the mask 0x%x, and the "
                              "masks of its platforms are 0x%x",
                              header.describe().c_str(), header.mask, masks_);
            }
        }
        headers_.push_back(header);
    }
    if (platforms_.empty()) {
        return refuse(EINVAL, "the IGVM file names no platform that it is for");
    }
    return {};
}

/* --- all ------------------------------------------------------------------ */

Result<IgvmFile> IgvmFile::parse(Bytes bytes)
{
    IgvmFile file;

    auto good = file.read_fixed(bytes);
    if (good) {
        good = file.check_sum();
    }
    if (good) {
        good = file.read_headers();
    }
    if (!good) {
        return std::unexpected(good.error());
    }
    return file;
}

Result<Bytes> IgvmFile::data(const IgvmHeader &header, uint32_t offset,
                             uint64_t size) const
{
    const uint64_t begin = uint64_t(fixed_.headers_offset) +
                           fixed_.headers_size;

    if (offset < begin || offset > bytes_.size() ||
        size > bytes_.size() - offset) {
        return refuse(EINVAL,
                      "the IGVM file's %s wants 0x%llx bytes at 0x%x of the "
                      "file, whose data is from 0x%llx to 0x%zx",
                      header.describe().c_str(), (unsigned long long)size,
                      offset, (unsigned long long)begin, bytes_.size());
    }
    return bytes_.subspan(offset, size);
}

} /* namespace kvm_reset */
