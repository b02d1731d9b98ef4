/*
 * Makes an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_writer.h"

#include <algorithm>

#include "crc32.h"
#include "little_endian.h"

namespace kvm_reset {

using namespace igvm;

/* Until the file is built, offsets count from the data's begin, and from 1. */
uint32_t IgvmWriter::data(std::span<const uint8_t> bytes)
{
    const uint32_t offset = uint32_t(data_.size()) + 1;

    data_.insert(data_.end(), bytes.begin(), bytes.end());
    return offset;
}

IgvmWriter &IgvmWriter::add_bytes(uint32_t type,
                                  std::span<const uint8_t> content)
{
    const size_t at = headers_.size();

    headers_.resize(at + header_prefix +
                    (content.size() + header_alignment - 1) / header_alignment *
                        header_alignment);
    put_le(&headers_[at], type);
    put_le(&headers_[at + 4], uint32_t(content.size()));
    std::ranges::copy(content, headers_.begin() + at + header_prefix);
    return *this;
}

void IgvmWriter::add_with_data(Type type, std::span<const uint8_t> content,
                               size_t offset, uint32_t data)
{
    const size_t at = headers_.size() + header_prefix + offset;

    add_bytes(uint32_t(type), content);
    if (data != no_data) {
        references_.push_back(at);
    }
}

template <class T> static std::span<const uint8_t> bytes_of(const T &content)
{
    return {reinterpret_cast<const uint8_t *>(&content), sizeof content};
}

IgvmWriter &IgvmWriter::add(const SupportedPlatform &platform)
{
    return add(Type::SupportedPlatform, platform);
}

IgvmWriter &IgvmWriter::add(const GuestPolicy &policy)
{
    return add(Type::GuestPolicy, policy);
}

IgvmWriter &IgvmWriter::add(ParameterArea area)
{
    add_with_data(Type::ParameterArea, bytes_of(area),
                  offsetof(ParameterArea, data), area.data);
    return *this;
}

IgvmWriter &IgvmWriter::add(PageData page)
{
    add_with_data(Type::PageData, bytes_of(page), offsetof(PageData, data),
                  page.data);
    return *this;
}

IgvmWriter &IgvmWriter::add(const ParameterInsert &insert)
{
    return add(Type::ParameterInsert, insert);
}

IgvmWriter &IgvmWriter::add(VpContext context)
{
    add_with_data(Type::VpContext, bytes_of(context).first(vp_context_length),
                  offsetof(VpContext, data), context.data);
    return *this;
}

std::vector<uint8_t> IgvmWriter::build(uint32_t version) const
{
    const size_t fixed_size = version == 1 ? fixed_size_1 : fixed_size_2;
    const uint32_t data_begin = uint32_t(fixed_size + headers_.size());
    const FixedHeader fixed{
        .version = version,
        .headers_offset = uint32_t(fixed_size),
        .headers_size = uint32_t(headers_.size()),
        .file_size = uint32_t(data_begin + data_.size()),
    };
    std::vector<uint8_t> file(data_begin + data_.size());

    std::ranges::copy(bytes_of(fixed).first(fixed_size), file.begin());
    std::ranges::copy(headers_, file.begin() + fixed_size);
    std::ranges::copy(data_, file.begin() + data_begin);
    for (size_t reference : references_) {
        uint8_t *field = &file[fixed_size + reference];
        put_le(field, get_le<uint32_t>(field) - 1 + data_begin);
    }
    set_igvm_checksum(file);
    return file;
}

void set_igvm_checksum(std::span<uint8_t> file)
{
    uint8_t *checksum = &file[offsetof(FixedHeader, checksum)];
    FixedHeader fixed;
    Crc32 crc;

    memcpy(static_cast<void *>(&fixed), file.data(), fixed_size_1);
    put_le(checksum, uint32_t(0));
    crc.update(file.first(fixed.version == 1 ? fixed_size_1 : fixed_size_2));
    crc.update(file.subspan(fixed.headers_offset, fixed.headers_size));
    put_le(checksum, crc.value());
}

} /* namespace kvm_reset */
