/*
 * An IGVM file, executed against a model of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_dry_run.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "igvm_areas.h"

namespace kvm_reset {

using namespace igvm;

const char *to_string(IgvmPages kind)
{
    switch (kind) {
    case IgvmPages::Normal:
        return "normal";
    case IgvmPages::Zero:
        return "zero";
    case IgvmPages::Unmeasured:
        return "unmeasured";
    case IgvmPages::Secrets:
        return "secrets";
    case IgvmPages::Cpuid:
        return "CPUID";
    case IgvmPages::Shared:
        return "shared";
    }
    return "unknown";
}

/* --- the run -------------------------------------------------------------- */

namespace {

struct Place {
    uint64_t begin, end;
    const IgvmHeader *header;
};

class Run {
public:
    Run(const IgvmFile &file, const IgvmGuest &guest, uint32_t mask)
        : file_(file), guest_(guest), memory_(guest.most_memory),
          areas_(file, guest, memory_)
    {
        plan_.mask = mask;
    }

    Result<IgvmPlan> run();

private:
    Result<void> execute(const IgvmHeader &header);
    Result<void> add_policy(const IgvmHeader &header);
    Result<void> insert_area(const IgvmHeader &header);
    Result<void> add_pages(const IgvmHeader &header);
    Result<void> add_context(const IgvmHeader &header);
    Result<void> add_id_block(const IgvmHeader &header);
    Result<void> check_memory(const IgvmHeader &header);

    Result<void> place(const IgvmHeader &header, uint64_t gpa, uint64_t size);
    void add_region(const IgvmRegion &region);
    Result<void> check_overlaps();

    const IgvmFile &file_;
    const IgvmGuest &guest_;
    IgvmMemory memory_;
    IgvmAreas areas_;
    IgvmPlan plan_;
    std::vector<Place> places_;
    std::vector<bool> started_; /* vCPUs that have a context */
    uint64_t launched_ = 0;
};

Result<void> Run::add_policy(const IgvmHeader &header)
{
    if (plan_.policy) {
        return refuse(EINVAL, "the IGVM file's %s is its second for one guest",
                      header.describe().c_str());
    }
    plan_.policy = header.read<GuestPolicy>().policy;
    return {};
}

/* --- memory --------------------------------------------------------------- */

Result<void> Run::place(const IgvmHeader &header, uint64_t gpa, uint64_t size)
{
    const bool firmware = guest_.firmware.has(gpa, size);

    if (gpa % page_size || !size || size % page_size) {
        return refuse(
            EINVAL,
            "the IGVM file's %s is not made of whole pages: 0x%" PRIx64
            " bytes at the address 0x%" PRIx64,
            header.describe().c_str(), size, gpa);
    }
    if (!firmware &&
        std::ranges::none_of(guest_.ram, [&](const MemoryRange &range) {
            return range.has(gpa, size);
        })) {
        return refuse(EINVAL,
                      "the IGVM file's %s wants 0x%" PRIx64
                      " bytes at the address 0x%" PRIx64
                      ", which this guest does not have",
                      header.describe().c_str(), size, gpa);
    }
    if (size > guest_.most_launched - launched_) {
        return refuse(EFBIG,
                      "the IGVM file's %s wants 0x%" PRIx64
                      " bytes launched, which with what came before is more "
                      "than the 0x%" PRIx64 " that are",
                      header.describe().c_str(), size, guest_.most_launched);
    }
    if (firmware) {
        if (auto good = memory_.ask_for(header, size); !good) {
            return good;
        }
    }
    launched_ += size;
    places_.push_back({gpa, gpa + size, &header});
    return {};
}

Result<void> Run::check_overlaps()
{
    auto before = [](const Place &a, const Place &b) {
        return a.begin < b.begin;
    };

    if (!std::ranges::is_sorted(places_, before)) {
        std::ranges::stable_sort(places_, before);
    }
    for (size_t i = 1; i < places_.size(); i++) {
        const Place &a = places_[i - 1], &b = places_[i];
        if (b.begin < a.end) {
            return refuse(EINVAL,
                          "the IGVM file's %s and its %s both fill the address "
                          "0x%" PRIx64,
                          a.header->describe().c_str(),
                          b.header->describe().c_str(), b.begin);
        }
    }
    return {};
}

/* Pages that follow each other in the file and in the guest are one region. */
void Run::add_region(const IgvmRegion &region)
{
    if (!plan_.regions.empty()) {
        IgvmRegion &last = plan_.regions.back();
        const bool follows = region.data.empty()
                               ? last.data.empty()
                               : last.data.data() + last.data.size() ==
                                     region.data.data();
        if (last.kind == region.kind && last.gpa + last.size == region.gpa &&
            follows) {
            last.size += region.size;
            if (!region.data.empty()) {
                last.data = {last.data.data(), last.size};
            }
            return;
        }
    }
    plan_.regions.push_back(region);
}

/* --- areas ---------------------------------------------------------------- */

Result<void> Run::insert_area(const IgvmHeader &header)
{
    const uint64_t gpa = header.read<ParameterInsert>().gpa;

    auto area = areas_.take(header);
    if (!area) {
        return std::unexpected(area.error());
    }
    if (auto good = place(header, gpa, area->size); !good) {
        return good;
    }
    Bytes data = area->initial;
    if (!area->filled.empty()) {
        data = plan_.areas.emplace_back(std::move(area->filled));
    }
    plan_.regions.push_back({IgvmPages::Unmeasured, gpa, area->size, data});
    return {};
}

/* --- pages ---------------------------------------------------------------- */

Result<IgvmPages> kind_of(const IgvmHeader &header, const PageData &page)
{
    if (page.flags & ~(LargePage | Unmeasured | Shared)) {
        return refuse(EINVAL,
                      "the IGVM file's %s has the flags 0x%x, of which "
                      "only 1, 2 and 4 are known",
                      header.describe().c_str(), page.flags);
    }
    switch (page.type) {
    case PageType::Normal:
        return page.flags & Shared     ? IgvmPages::Shared
             : page.flags & Unmeasured ? IgvmPages::Unmeasured
             : page.data == no_data    ? IgvmPages::Zero
                                       : IgvmPages::Normal;
    case PageType::Secrets:
        return IgvmPages::Secrets;
    case PageType::Cpuid:
        return IgvmPages::Cpuid;
    case PageType::CpuidXfem:
        break;
    }
    return refuse(EINVAL,
                  "the IGVM file's %s is of type %u, which KVM does not have",
                  header.describe().c_str(), unsigned(page.type));
}

Result<void> Run::add_pages(const IgvmHeader &header)
{
    const auto page = header.read<PageData>();
    const uint64_t size = page.flags & LargePage ? large_page_size : page_size;

    auto kind = kind_of(header, page);
    if (!kind) {
        return std::unexpected(kind.error());
    }
    const bool filled = *kind == IgvmPages::Secrets ||
                      *kind == IgvmPages::Cpuid;
    if (filled && page.flags) {
        return refuse(EINVAL,
                      "the IGVM file's %s has the flags 0x%x, and what the "
                      "platform fills in is one measured, private page",
                      header.describe().c_str(), page.flags);
    }
    if (page.gpa % size) {
        return refuse(EINVAL,
                      "the IGVM file's %s of 0x%" PRIx64
                      " bytes is at the address 0x%" PRIx64
                      ", which is no multiple of that",
                      header.describe().c_str(), size, page.gpa);
    }
    IgvmRegion region{*kind, page.gpa, size, {}};
    if (page.data != no_data) {
        auto data = file_.data(header, page.data, size);
        if (!data) {
            return std::unexpected(data.error());
        }
        if (!filled) {
            region.data = *data;
        }
    }
    if (auto good = place(header, page.gpa, size); !good) {
        return good;
    }
    add_region(region);
    return {};
}

/* --- the rest ------------------------------------------------------------- */

Result<void> Run::add_context(const IgvmHeader &header)
{
    const auto context = header.read<VpContext>();

    if (context.vp >= guest_.vcpus) {
        return refuse(EINVAL,
                      "the IGVM file's %s is of vCPU %u, and this guest has %u "
                      "of them, from 0 on",
                      header.describe().c_str(), context.vp, guest_.vcpus);
    }
    started_.resize(guest_.vcpus);
    if (started_[context.vp]) {
        return refuse(EINVAL, "the IGVM file's %s is the second of vCPU %u",
                      header.describe().c_str(), context.vp);
    }
    started_[context.vp] = true;
    plan_.contexts.push_back({context, header});
    return {};
}

Result<void> Run::add_id_block(const IgvmHeader &header)
{
    if (plan_.id_block) {
        return refuse(EINVAL, "the IGVM file's %s is its second for one guest",
                      header.describe().c_str());
    }
    plan_.id_block = header.read<SnpIdBlock>();
    return {};
}

/* It is there from the start; other pages may be put into it. */
Result<void> Run::check_memory(const IgvmHeader &header)
{
    const auto memory = header.read<RequiredMemory>();

    if (std::ranges::none_of(guest_.ram, [&](const MemoryRange &range) {
            return range.has(memory.gpa, memory.size);
        })) {
        return refuse(EINVAL,
                      "the IGVM file's %s wants RAM, 0x%x bytes at the address "
                      "0x%" PRIx64 ", where this guest has none",
                      header.describe().c_str(), memory.size, memory.gpa);
    }
    return {};
}

Result<void> Run::execute(const IgvmHeader &header)
{
    if (is_parameter(header.type)) {
        return areas_.fill(header);
    }
    if (!(header.mask & plan_.mask)) {
        return {};
    }
    switch (header.type) {
    case Type::GuestPolicy:
        return add_policy(header);
    case Type::ParameterArea:
        return areas_.add(header);
    case Type::ParameterInsert:
        return insert_area(header);
    case Type::PageData:
        return add_pages(header);
    case Type::VpContext:
        return add_context(header);
    case Type::SnpIdBlock:
        return add_id_block(header);
    case Type::RequiredMemory:
        return check_memory(header);
    default:
        /* What it is says nothing of the launch: nothing is relocated. */
        return {};
    }
}

Result<IgvmPlan> Run::run()
{
    for (const IgvmHeader &header : file_.headers()) {
        if (auto good = execute(header); !good) {
            return std::unexpected(good.error());
        }
    }
    if (auto good = check_overlaps(); !good) {
        return std::unexpected(good.error());
    }
    if (plan_.regions.empty()) {
        return refuse(EINVAL, "the IGVM file has no page for this platform");
    }
    return std::move(plan_);
}

} /* namespace */

Result<IgvmPlan> dry_run(const IgvmFile &file, Platform platform,
                         const IgvmGuest &guest)
{
    auto found = std::ranges::find(file.platforms(), platform,
                                   &SupportedPlatform::platform);

    if (found == file.platforms().end()) {
        std::string names;
        for (const SupportedPlatform &other : file.platforms()) {
            names += names.empty() ? "" : ", ";
            names += to_string(other.platform);
        }
        return refuse(ENOENT, "the IGVM file is for %s, and not for %s",
                      names.c_str(), to_string(platform));
    }
    return Run(file, guest, found->mask).run();
}

} /* namespace kvm_reset */
