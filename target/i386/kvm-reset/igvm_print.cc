/*
 * IGVM files and what becomes of them, in lines for people
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_print.h"

#include <cinttypes>

#include "igvm_model.h"

namespace kvm_reset {

using namespace igvm;

static std::string plural(uint64_t n, const char *one)
{
    return format("%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
}

static std::string data_at(uint32_t data)
{
    return data == no_data ? "no data" : format("data at 0x%x", data);
}

/* --- pages ---------------------------------------------------------------- */

static uint64_t size_of(const PageData &page)
{
    return page.flags & LargePage ? large_page_size : page_size;
}

/* @size bytes from @first on, and @page comes next. */
static bool goes_on(const PageData &first, uint64_t size, const PageData &page)
{
    return page.mask == first.mask && page.flags == first.flags &&
           page.type == first.type && page.gpa == first.gpa + size &&
           (first.data == no_data ? page.data == no_data
                                  : page.data == first.data + size);
}

static std::string describe(const PageData &first, uint64_t size)
{
    static constexpr struct {
        uint32_t flag;
        const char *words;
    } flags[] = {{LargePage, ", 2 MiB pages"},
                 {Unmeasured, ", unmeasured"},
                 {Shared, ", shared"}};
    std::string line = format("0x%" PRIx64 " bytes at 0x%" PRIx64 ", %s", size,
                              first.gpa, data_at(first.data).c_str());

    for (const auto &flag : flags) {
        line += first.flags & flag.flag ? flag.words : "";
    }
    switch (first.type) {
    case PageType::Normal:
        return line;
    case PageType::Secrets:
        return line + ", secrets";
    case PageType::Cpuid:
        return line + ", CPUID";
    case PageType::CpuidXfem:
        break;
    }
    return line + format(", type %u", unsigned(first.type));
}

/* --- the other headers ---------------------------------------------------- */

static std::string describe(const SnpIdBlock &block)
{
    std::string digest;

    for (uint8_t byte : block.digest) {
        digest += format("%02x", byte);
    }
    return format("version %u, guest SVN %u, %s author key, digest ",
                  block.version, block.guest_svn,
                  block.author_key_enabled ? "an" : "no") +
           digest;
}

static std::string contents_of(const IgvmHeader &header)
{
    switch (header.type) {
    case Type::GuestPolicy:
        return format("0x%" PRIx64, header.read<GuestPolicy>().policy);
    case Type::ParameterArea: {
        const auto area = header.read<ParameterArea>();
        return format("area %u, 0x%" PRIx64 " bytes, ", area.index, area.size) +
               data_at(area.data);
    }
    case Type::ParameterInsert: {
        const auto insert = header.read<ParameterInsert>();
        return format("area %u at 0x%" PRIx64, insert.area, insert.gpa);
    }
    case Type::VpContext: {
        const auto context = header.read<VpContext>();
        return format("vCPU %u at 0x%" PRIx64 ", ", context.vp, context.gpa) +
               data_at(context.data);
    }
    case Type::RequiredMemory: {
        const auto memory = header.read<RequiredMemory>();
        return format("0x%x bytes at 0x%" PRIx64, memory.size, memory.gpa);
    }
    case Type::ErrorRange: {
        const auto range = header.read<ErrorRange>();
        return format("0x%x bytes at 0x%" PRIx64, range.size, range.gpa);
    }
    case Type::SnpIdBlock:
        return describe(header.read<SnpIdBlock>());
    default:
        break;
    }
    if (is_parameter(header.type)) {
        const auto parameter = header.read<Parameter>();
        return format("area %u, offset 0x%x", parameter.area, parameter.offset);
    }
    return plural(header.content.size(), "byte");
}

static std::string line_of(const IgvmHeader &header,
                           const std::string &contents)
{
    std::string line = igvm::to_string(header.type);

    /* Some are for all platforms, and have no mask. */
    if (header.mask != UINT32_MAX) {
        line += format(", mask 0x%x", header.mask);
    }
    return line + ": " + contents + "\n";
}

std::string describe(const IgvmFile &file)
{
    const auto &headers = file.headers();
    std::string lines = format("IGVM, version %u: 0x%zx bytes, ",
                               file.version(), file.bytes().size()) +
                        plural(file.platforms().size() + headers.size(),
                               "header") +
                        format(", and %u skipped\n", file.skipped());

    for (const SupportedPlatform &platform : file.platforms()) {
        lines += format("platform, mask 0x%x: %s, version %u, highest VTL %u, "
                        "shared memory from 0x%" PRIx64 "\n",
                        platform.mask, igvm::to_string(platform.platform),
                        platform.version, platform.highest_vtl,
                        platform.shared_gpa_boundary);
    }
    for (size_t i = 0, next; i < headers.size(); i = next) {
        next = i + 1;
        if (headers[i].type != Type::PageData) {
            lines += line_of(headers[i], contents_of(headers[i]));
            continue;
        }
        const auto first = headers[i].read<PageData>();
        uint64_t size = size_of(first);
        for (; next < headers.size() && headers[next].type == Type::PageData &&
               goes_on(first, size, headers[next].read<PageData>());
             next++) {
            size += size_of(first);
        }
        lines += line_of(headers[i], describe(first, size));
    }
    return lines;
}

/* --- the launch ----------------------------------------------------------- */

std::string describe(const IgvmLaunch &launch, const IgvmX86Guest &guest,
                     const Digest &digest)
{
    uint64_t memory = 0;
    for (const MemoryRange &range : guest.guest.ram) {
        memory += range.size;
    }
    std::string lines = format("%s: ", tee_of_platform(launch.platform)) +
                        plural(guest.guest.vcpus, "vCPU") +
                        format(", %" PRIu64 " MiB\n", memory >> 20);

    for (const IgvmRegion &region : launch.plan.regions) {
        lines += format("%-10s 0x%" PRIx64 " bytes at 0x%" PRIx64 "\n",
                        to_string(region.kind), region.size, region.gpa);
    }
    for (size_t i = 0; i < launch.vcpus.size(); i++) {
        if (const auto &vcpu = launch.vcpus[i]) {
            lines += format("vCPU %-5zu CS base 0x%" PRIx64 ", RIP 0x%" PRIx64
                            "\n",
                            i, vcpu->cs.base, vcpu->rip);
        }
    }
    if (launch.plan.policy) {
        lines += format("policy     0x%" PRIx64 "\n", *launch.plan.policy);
    }
    if (digest.size) {
        lines += "digest     " + digest.hex() + "\n";
    }
    return lines;
}

} /* namespace kvm_reset */
