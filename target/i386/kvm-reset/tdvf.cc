/*
 * What of a TDX firmware image goes where in a TD
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "tdvf.h"

#include <cerrno>
#include <cinttypes>

#include "little_endian.h"

namespace kvm_reset {

constexpr Guid tdx_metadata_offset = Guid::of(
    "e47a6535-984a-4798-865e-4685a7bf8ec2");

namespace metadata {
constexpr size_t length_at = 4;
constexpr size_t version_at = 8;
constexpr size_t count_at = 12;
constexpr size_t header_size = 16;
constexpr size_t section_size = 32;
constexpr uint32_t version = 1;
constexpr uint32_t attribute_extend = 1 << 0;
/* More than any firmware has; the pairs of them are compared. */
constexpr uint32_t most_sections = 1024;
/* Far more than any firmware needs, and hashed in a second or two. */
constexpr uint64_t largest_section = 256 << 20;
/* No CPU can address more. */
constexpr uint64_t end_of_memory = uint64_t(1) << 52;
} /* namespace metadata */

struct RawSection {
    uint32_t data_offset, data_size;
    uint64_t address, size;
    uint32_t type, attributes;
};

static RawSection read_section(const uint8_t *at)
{
    return {get_le<uint32_t>(at),      get_le<uint32_t>(at + 4),
            get_le<uint64_t>(at + 8),  get_le<uint64_t>(at + 16),
            get_le<uint32_t>(at + 24), get_le<uint32_t>(at + 28)};
}

static std::string describe(const RawSection &raw)
{
    return format("TDVF section of type %u (0x%" PRIx64 " bytes at 0x%" PRIx64
                  ")",
                  raw.type, raw.size, raw.address);
}

/* The metadata, cut to the length that its header gives. */
static Result<Bytes> find_metadata(const Ovmf &ovmf)
{
    const Bytes image = ovmf.image();
    auto data = ovmf.find(tdx_metadata_offset);

    if (!data) {
        return refuse(ENOENT, "the firmware has no TDVF metadata: it was "
                              "built without TDX");
    }
    if (data->size() < sizeof(uint32_t)) {
        return refuse(EINVAL,
                      "the firmware's entry for TDVF metadata has %zu bytes "
                      "instead of 4",
                      data->size());
    }
    const uint32_t from_end = get_le<uint32_t>(data->data());
    if (from_end > image.size() || from_end < metadata::header_size) {
        return refuse(EINVAL,
                      "the firmware says that its TDVF metadata is %u bytes "
                      "before its end, and it has %zu bytes",
                      from_end, image.size());
    }
    const Bytes all = image.last(from_end);
    if (memcmp(all.data(), "TDVF", 4)) {
        return refuse(EINVAL,
                      "the firmware's TDVF metadata lacks its signature, TDVF");
    }
    const uint32_t length = get_le<uint32_t>(all.data() + metadata::length_at);
    if (length < metadata::header_size || length > all.size()) {
        return refuse(EINVAL,
                      "the firmware's TDVF metadata says that it has %u "
                      "bytes, and %zu are left in the file",
                      length, all.size());
    }
    return all.first(length);
}

static Result<void> check_data(const Ovmf &ovmf, const RawSection &raw)
{
    const bool from_image = raw.type == TdvfSection::BootFirmware ||
                            raw.type == TdvfSection::Configuration;

    if (!from_image) {
        if (raw.data_size) {
            return refuse(EINVAL,
                          "the firmware's %s is not filled from the file, "
                          "but names %u bytes of it",
                          describe(raw).c_str(), raw.data_size);
        }
        return {};
    }
    if (uint64_t(raw.data_offset) + raw.data_size > ovmf.image().size()) {
        return refuse(EINVAL,
                      "the firmware's %s takes %u bytes at 0x%x of the file, "
                      "which has 0x%zx",
                      describe(raw).c_str(), raw.data_size, raw.data_offset,
                      ovmf.image().size());
    }
    /* QEMU would fill the rest with whatever comes next in the file. */
    if (raw.data_size != raw.size) {
        return refuse(EINVAL,
                      "the firmware's %s has %u bytes in the file: what the "
                      "others would be is not defined",
                      describe(raw).c_str(), raw.data_size);
    }
    return {};
}

static Result<TdvfSection> check_section(const Ovmf &ovmf,
                                         const RawSection &raw)
{
    if (raw.type > TdvfSection::TemporaryMemory) {
        return refuse(EINVAL,
                      "the firmware's %s is of a type that QEMU does not "
                      "launch: it knows 0 to %u",
                      describe(raw).c_str(),
                      unsigned(TdvfSection::TemporaryMemory));
    }
    if (!raw.size) {
        return refuse(EINVAL, "the firmware's %s is empty",
                      describe(raw).c_str());
    }
    if (raw.address % launch_page_size) {
        return refuse(EINVAL, "the firmware's %s does not begin at a page",
                      describe(raw).c_str());
    }
    if (raw.size % launch_page_size) {
        return refuse(EINVAL, "the firmware's %s does not end at a page",
                      describe(raw).c_str());
    }
    if (raw.size > metadata::largest_section) {
        return refuse(EINVAL, "the firmware's %s is absurdly large",
                      describe(raw).c_str());
    }
    if (raw.address > metadata::end_of_memory - raw.size) {
        return refuse(EINVAL, "the firmware's %s lies beyond all memory",
                      describe(raw).c_str());
    }
    const bool measured = raw.attributes & metadata::attribute_extend;
    if (measured && raw.type == TdvfSection::Hob) {
        return refuse(EINVAL,
                      "the firmware wants its %s measured, whose contents "
                      "depend on the machine",
                      describe(raw).c_str());
    }
    if (auto good = check_data(ovmf, raw); !good) {
        return std::unexpected(good.error());
    }
    return TdvfSection{
        .type = raw.type,
        .measured = measured,
        .address = raw.address,
        .size = raw.size,
        .data = raw.data_size
                  ? ovmf.image().subspan(raw.data_offset, raw.data_size)
                  : Bytes(),
    };
}

static Result<void> check_overlap(const RawSection &raw,
                                  const std::vector<TdvfSection> &before)
{
    for (const TdvfSection &other : before) {
        if (raw.address < other.address + other.size &&
            other.address < raw.address + raw.size) {
            return refuse(EINVAL,
                          "the firmware's %s overlaps its section at 0x%" PRIx64
                          " of 0x%" PRIx64 " bytes",
                          describe(raw).c_str(), other.address, other.size);
        }
    }
    return {};
}

static Result<uint32_t> count_sections(Bytes table)
{
    const uint32_t version = get_le<uint32_t>(table.data() +
                                              metadata::version_at);
    const uint32_t count = get_le<uint32_t>(table.data() + metadata::count_at);

    if (version != metadata::version) {
        return refuse(EINVAL,
                      "the firmware's TDVF metadata has version %u, and "
                      "only version %u is known",
                      version, metadata::version);
    }
    if (count < 2 || count > metadata::most_sections ||
        table.size() !=
            metadata::header_size + count * metadata::section_size) {
        return refuse(EINVAL,
                      "the firmware's TDVF metadata has %zu bytes, which "
                      "does not fit the %u sections that it announces",
                      table.size(), count);
    }
    return count;
}

Result<std::vector<TdvfSection>> tdvf_sections(const Ovmf &ovmf)
{
    auto table = find_metadata(ovmf);
    if (!table) {
        return std::unexpected(table.error());
    }
    auto count = count_sections(*table);
    if (!count) {
        return std::unexpected(count.error());
    }

    std::vector<TdvfSection> sections;
    for (uint32_t i = 0; i < *count; i++) {
        const RawSection raw = read_section(
            table->data() + metadata::header_size + i * metadata::section_size);
        auto section = check_section(ovmf, raw);
        if (!section) {
            return std::unexpected(section.error());
        }
        if (auto good = check_overlap(raw, sections); !good) {
            return std::unexpected(good.error());
        }
        sections.push_back(*section);
    }
    return sections;
}

} /* namespace kvm_reset */
