/*
 * The parameter areas of an IGVM file while it is executed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_areas.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

namespace kvm_reset {

using namespace igvm;

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
        /* Memory that the file leaves alone is shared at first: as QEMU. */
        return bytes_of(uint32_t(1));
    default:
        return std::nullopt;
    }
}

/* --- areas ---------------------------------------------------------------- */

Result<void> IgvmMemory::ask_for(const IgvmHeader &header, uint64_t bytes)
{
    if (bytes > most_ - asked_) {
        return refuse(EFBIG,
                      "the IGVM file's %s asks for 0x%" PRIx64
                      " bytes, which with what came before is more than the "
                      "0x%" PRIx64 " that a file may take beyond RAM",
                      header.describe().c_str(), bytes, most_);
    }
    asked_ += bytes;
    return {};
}

Result<void> IgvmAreas::add(const IgvmHeader &header)
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
    if (auto good = memory_.ask_for(header, wanted.size); !good) {
        return good;
    }
    Area area{.size = wanted.size};
    if (wanted.data != no_data) {
        auto data = file_.data(header, wanted.data, wanted.size);
        if (!data) {
            return std::unexpected(data.error());
        }
        area.initial = *data;
    }
    areas_[wanted.index] = std::move(area);
    return {};
}

Result<IgvmAreas::Area *> IgvmAreas::find(const IgvmHeader &header,
                                          uint32_t index)
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

/* Time is the host's, and a file may fill an area again and again. */
Result<void> IgvmAreas::count(const IgvmHeader &header, uint64_t bytes)
{
    if (bytes > guest_.most_filled - filled_) {
        return refuse(EFBIG,
                      "the IGVM file's %s wants 0x%" PRIx64
                      " bytes filled in, which with what came before is more "
                      "than the 0x%" PRIx64 " that are",
                      header.describe().c_str(), bytes, guest_.most_filled);
    }
    filled_ += bytes;
    return {};
}

Result<void> IgvmAreas::fill(const IgvmHeader &header)
{
    const auto wanted = header.read<Parameter>();

    auto found = find(header, wanted.area);
    if (!found) {
        return std::unexpected(found.error());
    }
    Area &area = **found;
    if (wanted.offset > area.size) {
        return refuse(EINVAL,
                      "the IGVM file's %s begins at 0x%x of its area, which "
                      "has 0x%" PRIx64 " bytes",
                      header.describe().c_str(), wanted.offset, area.size);
    }
    const uint64_t room = area.size - wanted.offset;
    auto contents = contents_of(header.type, guest_);
    if (!contents) {
        area.fault = area.fault.value_or(
            Error{EINVAL, format("the IGVM file's %s asks for something that "
                                 "this guest does not have",
                                 header.describe().c_str())});
        return {};
    }
    if (contents->size() > room) {
        area.fault = area.fault.value_or(Error{
            EINVAL, format("the IGVM file's %s has room for 0x%" PRIx64
                           " bytes, and this guest's takes 0x%zx",
                           header.describe().c_str(), room, contents->size())});
        return {};
    }
    const uint64_t copied = area.filled.empty() ? area.size : 0;
    if (auto good = count(header, copied + contents->size()); !good) {
        return good;
    }
    if (copied) {
        area.filled.assign(area.initial.begin(), area.initial.end());
        area.filled.resize(area.size);
    }
    std::ranges::copy(*contents, area.filled.begin() + wanted.offset);
    return {};
}

Result<IgvmAreas::Area> IgvmAreas::take(const IgvmHeader &header)
{
    auto area = find(header, header.read<ParameterInsert>().area);
    if (!area) {
        return std::unexpected(area.error());
    }
    if ((*area)->fault) {
        return std::unexpected(*(*area)->fault);
    }
    (*area)->inserted = true;
    return std::move(**area);
}

} /* namespace kvm_reset */
