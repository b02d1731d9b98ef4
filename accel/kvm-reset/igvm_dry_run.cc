/*
 * An IGVM file, executed against a model of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_dry_run.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "little_endian.h"

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

/* --- what the host fills in ----------------------------------------------- */

template <class T> static std::vector<uint8_t> bytes_of(const T &value)
{
    const auto *from = reinterpret_cast<const uint8_t *>(&value);
    return {from, from + sizeof value};
}

std::vector<uint8_t> igvm_memory_map(const IgvmGuest &guest)
{
    std::vector<uint8_t> map;

    auto add = [&map](const MemoryRange &range) {
        const MemoryMapEntry entry{.first_page = range.begin / page_size,
                                   .pages = range.size / page_size,
                                   .type = 0,
                                   .flags = 0,
                                   .reserved = 0};
        const auto bytes = bytes_of(entry);
        map.insert(map.end(), bytes.begin(), bytes.end());
    };
    for (const MemoryRange &range : guest.ram) {
        add(range);
    }
    add({});
    return map;
}

static std::optional<std::vector<uint8_t>> contents_of(Type parameter,
                                                       const IgvmGuest &guest)
{
    auto given = guest.parameters.find(parameter);

    if (given != guest.parameters.end()) {
        return given->second;
    }
    switch (parameter) {
    case Type::VpCount:
        return bytes_of(guest.vcpus);
    case Type::MemoryMap:
        return igvm_memory_map(guest);
    case Type::EnvironmentInfo:
        return bytes_of(uint32_t(0)); /* memory is private at first */
    default:
        return std::nullopt;
    }
}

/* --- the run -------------------------------------------------------------- */

namespace {

/* Parameters of other platforms may be in it, so a fault is told at last. */
struct Area {
    std::vector<uint8_t> bytes;
    bool inserted = false;
    std::optional<Error> fault;
};

struct Place {
    uint64_t begin, end;
    const IgvmHeader *header;
};

class Run {
public:
    Run(const IgvmFile &file, const IgvmGuest &guest, uint32_t mask)
        : file_(file), guest_(guest)
    {
        plan_.mask = mask;
    }

    Result<IgvmPlan> run();

private:
    Result<void> execute(const IgvmHeader &header);
    Result<void> add_policy(const IgvmHeader &header);
    Result<void> add_area(const IgvmHeader &header);
    Result<void> fill_area(const IgvmHeader &header);
    Result<void> insert_area(const IgvmHeader &header);
    Result<void> add_pages(const IgvmHeader &header);
    Result<void> add_context(const IgvmHeader &header);
    Result<void> add_id_block(const IgvmHeader &header);
    Result<void> check_memory(const IgvmHeader &header);

    Result<void> ask_for(const IgvmHeader &header, uint64_t bytes);
    Result<void> place(const IgvmHeader &header, uint64_t gpa, uint64_t size);
    Result<Area *> find_area(const IgvmHeader &header, uint32_t index);
    void add_region(const IgvmRegion &region);
    Result<void> check_overlaps();

    const IgvmFile &file_;
    const IgvmGuest &guest_;
    IgvmPlan plan_;
    std::map<uint32_t, Area> areas_;
    std::vector<Place> places_;
    std::vector<bool> started_; /* vCPUs that have a context */
    uint64_t memory_ = 0, launched_ = 0;
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

/* Memory beyond the guest's RAM is the host's. */
Result<void> Run::ask_for(const IgvmHeader &header, uint64_t bytes)
{
    if (bytes > guest_.most_memory - memory_) {
        return refuse(EFBIG,
                      "the IGVM file's %s asks for 0x%" PRIx64
                      " bytes, which with what came before is more than the "
                      "0x%" PRIx64 " that a file may take beyond RAM",
                      header.describe().c_str(), bytes, guest_.most_memory);
    }
    memory_ += bytes;
    return {};
}

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
        if (auto good = ask_for(header, size); !good) {
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

Result<void> Run::add_area(const IgvmHeader &header)
{
    const auto wanted = header.read<ParameterArea>();

    if (areas_.contains(wanted.index)) {
        return refuse(EINVAL, "the IGVM file's %s is the second of number %u",
                      header.describe().c_str(), wanted.index);
    }
    if (!wanted.size || wanted.size % page_size) {
        return refuse(EINVAL,
                      "the IGVM file's %s has 0x%" PRIx64
                      " bytes, which are not whole pages",
                      header.describe().c_str(), wanted.size);
    }
    if (auto good = ask_for(header, wanted.size); !good) {
        return good;
    }
    Area area;
    if (wanted.data != no_data) {
        auto data = file_.data(header, wanted.data, wanted.size);
        if (!data) {
            return std::unexpected(data.error());
        }
        area.bytes.assign(data->begin(), data->end());
    } else {
        area.bytes.resize(wanted.size);
    }
    areas_[wanted.index] = std::move(area);
    return {};
}

Result<Area *> Run::find_area(const IgvmHeader &header, uint32_t index)
{
    auto found = areas_.find(index);

    if (found == areas_.end()) {
        return refuse(EINVAL,
                      "the IGVM file's %s is about area %u, which "
                      "is not there before it",
                      header.describe().c_str(), index);
    }
    if (found->second.inserted) {
        return refuse(EINVAL,
                      "the IGVM file's %s is about area %u, which was "
                      "inserted before it",
                      header.describe().c_str(), index);
    }
    return &found->second;
}

Result<void> Run::fill_area(const IgvmHeader &header)
{
    const auto wanted = header.read<Parameter>();

    auto area = find_area(header, wanted.area);
    if (!area) {
        return std::unexpected(area.error());
    }
    std::vector<uint8_t> &bytes = (*area)->bytes;
    if (wanted.offset > bytes.size()) {
        return refuse(EINVAL,
                      "the IGVM file's %s begins at 0x%x of its area, which "
                      "has 0x%zx bytes",
                      header.describe().c_str(), wanted.offset, bytes.size());
    }
    auto contents = contents_of(header.type, guest_);
    std::optional<Error> &fault = (*area)->fault;
    if (!contents) {
        fault = fault.value_or(Error{
            EINVAL, format("the IGVM file's %s asks for something that this "
                           "guest does not have",
                           header.describe().c_str())});
    } else if (contents->size() > bytes.size() - wanted.offset) {
        fault = fault.value_or(Error{
            EINVAL,
            format("the IGVM file's %s has room for 0x%zx bytes, and this "
                   "guest's takes 0x%zx",
                   header.describe().c_str(), bytes.size() - wanted.offset,
                   contents->size())});
    } else {
        std::ranges::copy(*contents, bytes.begin() + wanted.offset);
    }
    return {};
}

Result<void> Run::insert_area(const IgvmHeader &header)
{
    const auto insert = header.read<ParameterInsert>();

    auto area = find_area(header, insert.area);
    if (!area) {
        return std::unexpected(area.error());
    }
    if ((*area)->fault) {
        return std::unexpected(*(*area)->fault);
    }
    const uint64_t size = (*area)->bytes.size();
    if (auto good = place(header, insert.gpa, size); !good) {
        return good;
    }
    (*area)->inserted = true;
    plan_.areas.push_back(std::move((*area)->bytes));
    plan_.regions.push_back(
        {IgvmPages::Unmeasured, insert.gpa, size, plan_.areas.back()});
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
        return fill_area(header);
    }
    if (!(header.mask & plan_.mask)) {
        return {};
    }
    switch (header.type) {
    case Type::GuestPolicy:
        return add_policy(header);
    case Type::ParameterArea:
        return add_area(header);
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
