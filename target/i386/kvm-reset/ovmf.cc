/*
 * The tables at the end of an OVMF image that a confidential launch needs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "ovmf.h"

#include <algorithm>
#include <cerrno>

#include "little_endian.h"

namespace kvm_reset {

constexpr Guid table_footer = Guid::of("96b582de-1fb2-45f7-baea-a366c55a082d");
constexpr Guid sev_es_reset_block = Guid::of(
    "00f771de-1a7e-4fcb-890e-68c77e2fb44e");
constexpr Guid sev_metadata_offset = Guid::of(
    "dc886566-984a-4798-a75e-5585a7bf67cc");
constexpr Guid sev_hash_table = Guid::of(
    "7255371f-3a3b-4b04-927b-1da6efa8d454");

/* Behind the table is the reset vector and what belongs to it. */
constexpr size_t behind_table = 32;
/* What follows an entry's data: the length of all of it, and the name. */
constexpr size_t guid_size = 16;
constexpr size_t trailer = sizeof(uint16_t) + guid_size;

/* What kernel hashes take (see kernel_hashes.h). */
constexpr uint32_t hash_table_size = 176;

/* --- the table ------------------------------------------------------------ */

static Result<void> check_size(size_t size)
{
    if (size == 0 || size % launch_page_size) {
        return refuse(EINVAL,
                      "the firmware has %zu bytes, which is no multiple of "
                      "4096: is it a whole firmware image?",
                      size);
    }
    if (size > most_firmware) {
        return refuse(EINVAL,
                      "the firmware has %zu bytes, and QEMU takes 16 MiB at "
                      "most: is it a firmware image?",
                      size);
    }
    return {};
}

/* What ends at the end of @bytes, entry by entry, towards the front. */
template <class Entry>
static Result<void> read_entries(Bytes bytes, std::vector<Entry> &entries)
{
    while (bytes.size() >= trailer) {
        const uint8_t *end = bytes.data() + bytes.size();
        const size_t length = get_le<uint16_t>(end - trailer);

        if (length < trailer || length > bytes.size()) {
            return refuse(EINVAL,
                          "the table at the firmware's end is broken: its "
                          "entry %zu from the end has a length of %zu, and "
                          "%zu bytes are left",
                          entries.size() + 1, length, bytes.size());
        }
        bytes = bytes.first(bytes.size() - length);
        entries.push_back(
            {Guid::at(end - guid_size), Bytes(end - length, length - trailer)});
    }
    return {};
}

Result<Ovmf> Ovmf::parse(Bytes image)
{
    Ovmf ovmf;

    if (auto good = check_size(image.size()); !good) {
        return std::unexpected(good.error());
    }
    ovmf.image_ = image;

    const Bytes before = image.first(image.size() - behind_table);
    const uint8_t *end = before.data() + before.size();
    const Guid name = Guid::at(end - guid_size);
    const size_t length = get_le<uint16_t>(end - trailer);

    if (name == sev_es_reset_block) {
        /* OVMF of 2020 had this one entry there and no table. */
        if (auto good = read_entries(
                before.last(std::min(before.size(), std::max(length, trailer))),
                ovmf.entries_);
            !good) {
            return std::unexpected(good.error());
        }
    } else if (name == table_footer) {
        if (length < trailer || length > before.size()) {
            return refuse(EINVAL,
                          "the table at the firmware's end is broken: it "
                          "says that it has %zu bytes",
                          length);
        }
        if (auto good = read_entries(
                before.last(length).first(length - trailer), ovmf.entries_);
            !good) {
            return std::unexpected(good.error());
        }
    }
    return ovmf;
}

std::optional<Bytes> Ovmf::find(const Guid &name) const
{
    for (const Entry &entry : entries_) {
        if (entry.name == name) {
            return entry.data;
        }
    }
    return std::nullopt;
}

/* --- SEV-ES --------------------------------------------------------------- */

Result<uint32_t> sev_es_reset_address(const Ovmf &ovmf)
{
    auto data = ovmf.find(sev_es_reset_block);
    if (!data) {
        return refuse(ENOENT, "the firmware has no SEV-ES reset block: it "
                              "was built without SEV-ES");
    }
    if (data->size() < sizeof(uint32_t)) {
        return refuse(EINVAL,
                      "the firmware's SEV-ES reset block has %zu bytes "
                      "instead of 4",
                      data->size());
    }
    const uint32_t address = get_le<uint32_t>(data->data());
    if (!address) {
        return refuse(EINVAL, "the firmware's SEV-ES reset address is zero");
    }
    return address;
}

/* --- kernel hashes -------------------------------------------------------- */

static std::unexpected<Error> no_hash_table()
{
    return refuse(ENOENT, "the firmware has no table for kernel hashes: take "
                          "one that has (Debian's is in ovmf-amdsev)");
}

Result<HashTableArea> hash_table_area(const Ovmf &ovmf)
{
    auto data = ovmf.find(sev_hash_table);
    if (!data) {
        return no_hash_table();
    }
    if (data->size() < sizeof(HashTableArea)) {
        return refuse(EINVAL,
                      "the firmware's entry for kernel hashes has %zu bytes "
                      "instead of 8",
                      data->size());
    }
    const HashTableArea area = {get_le<uint32_t>(data->data()),
                                get_le<uint32_t>(data->data() + 4)};
    if (!area.address && !area.size) {
        /* As OVMF's builds without the checker have it. */
        return no_hash_table();
    }
    if (!area.address || area.size < hash_table_size ||
        area.address + uint64_t(area.size) > four_gib) {
        return refuse(EINVAL,
                      "the firmware's area for kernel hashes (%u bytes at "
                      "0x%x) cannot hold their %u bytes",
                      area.size, area.address, hash_table_size);
    }
    return area;
}

/* --- SEV-SNP -------------------------------------------------------------- */

namespace metadata {
constexpr size_t version_at = 8;
constexpr size_t count_at = 12;
constexpr size_t header_size = 16;
constexpr size_t section_size = 12;
constexpr uint32_t version = 1;
/* More than any firmware has; the pairs of them are compared. */
constexpr uint32_t most_sections = 1024;
/* Far more than any firmware needs. */
constexpr uint32_t largest_section = 256 << 20;
} /* namespace metadata */

/* The metadata, cut to the length that its header gives. */
static Result<Bytes> find_metadata(const Ovmf &ovmf)
{
    const Bytes image = ovmf.image();
    auto data = ovmf.find(sev_metadata_offset);

    if (!data) {
        return refuse(ENOENT, "the firmware has no SEV metadata: it was "
                              "built without SEV-SNP");
    }
    if (data->size() < sizeof(uint32_t)) {
        return refuse(EINVAL,
                      "the firmware's entry for SEV metadata has %zu bytes "
                      "instead of 4",
                      data->size());
    }
    const uint32_t from_end = get_le<uint32_t>(data->data());
    if (from_end > image.size() || from_end < metadata::header_size) {
        return refuse(EINVAL,
                      "the firmware says that its SEV metadata is %u bytes "
                      "before its end, and it has %zu bytes",
                      from_end, image.size());
    }
    const Bytes all = image.last(from_end);
    if (memcmp(all.data(), "ASEV", 4)) {
        return refuse(EINVAL,
                      "the firmware's SEV metadata lacks its signature, ASEV");
    }
    const uint32_t length = get_le<uint32_t>(all.data() + 4);
    if (length < metadata::header_size || length > all.size()) {
        return refuse(EINVAL,
                      "the firmware's SEV metadata says that it has %u bytes, "
                      "and %zu are left in the file",
                      length, all.size());
    }
    return all.first(length);
}

static std::string describe(const SevSection &section)
{
    return format("SEV section of type %u (0x%x bytes at 0x%x)", section.type,
                  section.size, section.address);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static Result<void> check_section(const Ovmf &ovmf, const SevSection &section,
                                  const std::vector<SevSection> &before)
{
    if (section.address % launch_page_size || section.size % launch_page_size) {
        return refuse(EINVAL, "the firmware's %s is not made of whole pages",
                      describe(section).c_str());
    }
    if (section.size > metadata::largest_section) {
        return refuse(EINVAL, "the firmware's %s is absurdly large",
                      describe(section).c_str());
    }
    if (section.address + uint64_t(section.size) > four_gib ||
        overlap(section.address, section.size, ovmf.address(),
                ovmf.image().size())) {
        return refuse(EINVAL, "the firmware's %s overlaps the firmware",
                      describe(section).c_str());
    }
    for (const SevSection &other : before) {
        if (overlap(section.address, section.size, other.address, other.size)) {
            return refuse(EINVAL, "the firmware's %s overlaps its %s",
                          describe(section).c_str(), describe(other).c_str());
        }
    }
    return {};
}

Result<std::vector<SevSection>> sev_sections(const Ovmf &ovmf)
{
    auto table = find_metadata(ovmf);
    if (!table) {
        return std::unexpected(table.error());
    }
    const uint32_t version = get_le<uint32_t>(table->data() +
                                              metadata::version_at);
    const uint32_t count = get_le<uint32_t>(table->data() + metadata::count_at);

    if (version != metadata::version) {
        return refuse(EINVAL,
                      "the firmware's SEV metadata has version %u, and "
                      "only version %u is known",
                      version, metadata::version);
    }
    if (count > metadata::most_sections ||
        table->size() <
            metadata::header_size + count * metadata::section_size) {
        return refuse(EINVAL,
                      "the firmware's SEV metadata has %zu bytes, which "
                      "does not fit the %u sections that it announces",
                      table->size(), count);
    }

    std::vector<SevSection> sections;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = table->data() + metadata::header_size +
                            i * metadata::section_size;
        const SevSection section = {get_le<uint32_t>(at),
                                    get_le<uint32_t>(at + 4),
                                    get_le<uint32_t>(at + 8)};
        if (auto good = check_section(ovmf, section, sections); !good) {
            return std::unexpected(good.error());
        }
        sections.push_back(section);
    }
    return sections;
}

} /* namespace kvm_reset */
