/*
 * Small firmware images, made for a test
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "firmware_image.h"

#include <algorithm>

#include "little_endian.h"

namespace kvm_reset {

template <class T> static void append(Blob &to, T value)
{
    to.resize(to.size() + sizeof value);
    put_le(to.data() + to.size() - sizeof value, value);
}

static void append(Blob &to, const Guid &name)
{
    to.insert(to.end(), name.bytes.begin(), name.bytes.end());
}

static void append_text(Blob &to, std::string_view text)
{
    to.insert(to.end(), text.begin(), text.end());
}

Blob words(std::initializer_list<uint32_t> numbers)
{
    Blob blob;

    for (uint32_t number : numbers) {
        append(blob, number);
    }
    return blob;
}

FirmwareImage::FirmwareImage(size_t size) : bytes_(size)
{
    /* No two pages alike. */
    for (size_t i = 0; i < size; i++) {
        bytes_[i] = uint8_t(i * 7 + i / 4096 * 13);
    }
}

FirmwareImage &FirmwareImage::entry_of_length(const Guid &name, uint16_t length)
{
    Blob entry;
    append(entry, length);
    append(entry, name);
    table_.insert(table_.begin(), entry.begin(), entry.end());
    return *this;
}

FirmwareImage &FirmwareImage::entry(const Guid &name, const Blob &data)
{
    entry_of_length(name, uint16_t(data.size() + 18));
    table_.insert(table_.begin(), data.begin(), data.end());
    return *this;
}

FirmwareImage &FirmwareImage::put(size_t at, const Blob &data)
{
    std::ranges::copy(data, bytes_.begin() + at);
    return *this;
}

FirmwareImage &FirmwareImage::metadata(const std::vector<SevSection> &sections)
{
    Blob blob;

    append_text(blob, "ASEV");
    append(blob, uint32_t(16 + 12 * sections.size()));
    append(blob, uint32_t(1));
    append(blob, uint32_t(sections.size()));
    for (const SevSection &section : sections) {
        append(blob, section.address);
        append(blob, section.size);
        append(blob, section.type);
    }
    put(metadata_offset, blob);
    return entry(names::sev_metadata, words({from_end(metadata_offset)}));
}

FirmwareImage &FirmwareImage::tdvf(const std::vector<TdvfRow> &sections)
{
    Blob blob;

    append_text(blob, "TDVF");
    append(blob, uint32_t(16 + 32 * sections.size()));
    append(blob, uint32_t(1));
    append(blob, uint32_t(sections.size()));
    for (const TdvfRow &row : sections) {
        append(blob, row.data_offset);
        append(blob, row.data_size);
        append(blob, row.address);
        append(blob, row.size);
        append(blob, row.type);
        append(blob, row.attributes);
    }
    put(tdvf_offset, blob);
    return entry(names::tdx_metadata, words({from_end(tdvf_offset)}));
}

FirmwareImage &FirmwareImage::table_length(uint16_t length)
{
    table_length_ = length;
    return *this;
}

Blob FirmwareImage::build() const
{
    Blob table = table_;
    Blob image = bytes_;

    append(table, uint16_t(table_length_ >= 0 ? table_length_
                                              : int(table_.size()) + 18));
    append(table, names::footer);
    std::ranges::copy(table, image.end() - 32 - table.size());
    return image;
}

FirmwareImage snp_image()
{
    FirmwareImage image;

    image.entry(names::reset_block, words({0x80b004}))
        .entry(names::hash_table, words({0x10c00, 0x400}))
        .metadata({
            {0x800000, 0x3000, SevSection::Memory},
            {0x80d000, 0x1000, SevSection::Secrets},
            {0x80e000, 0x1000, SevSection::Cpuid},
            {0x10000, 0x1000, SevSection::KernelHashes},
        });
    return image;
}

} /* namespace kvm_reset */
