/*
 * Small firmware images, made for a test
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_TESTS_FIRMWARE_IMAGE_H
#define KVM_RESET_TESTS_FIRMWARE_IMAGE_H

#include <cstdint>
#include <string_view>
#include <vector>

#include "guid.h"
#include "ovmf.h"

namespace kvm_reset {

namespace names {
constexpr Guid footer = Guid::of("96b582de-1fb2-45f7-baea-a366c55a082d");
constexpr Guid reset_block = Guid::of("00f771de-1a7e-4fcb-890e-68c77e2fb44e");
constexpr Guid sev_metadata = Guid::of("dc886566-984a-4798-a75e-5585a7bf67cc");
constexpr Guid hash_table = Guid::of("7255371f-3a3b-4b04-927b-1da6efa8d454");
constexpr Guid tdx_metadata = Guid::of("e47a6535-984a-4798-865e-4685a7bf8ec2");
} /* namespace names */

using Blob = std::vector<uint8_t>;

/* Numbers one behind the other, 32 bits each. */
Blob words(std::initializer_list<uint32_t> numbers);

struct TdvfRow {
    uint32_t data_offset, data_size;
    uint64_t address, size;
    uint32_t type, attributes;
};

/*
 * Entries are put into the table from its end towards the front, in the order
 * in which they are added; metadata starts at metadata_offset.
 */
class FirmwareImage {
public:
    static constexpr size_t metadata_offset = 0x100;
    static constexpr size_t tdvf_offset = 0x800;

    explicit FirmwareImage(size_t size = 0x4000);

    FirmwareImage &entry(const Guid &name, const Blob &data);
    FirmwareImage &entry_of_length(const Guid &name, uint16_t length);
    FirmwareImage &metadata(const std::vector<SevSection> &sections);
    FirmwareImage &tdvf(const std::vector<TdvfRow> &sections);
    FirmwareImage &put(size_t at, const Blob &data);

    /* Of the table, instead of the true one. */
    FirmwareImage &table_length(uint16_t length);

    /* The image as it is in a file. */
    Blob build() const;

    /* What metadata() wants for an offset that counts from the end. */
    uint32_t from_end(size_t at) const { return uint32_t(bytes_.size() - at); }

private:
    Blob bytes_;
    Blob table_; /* up to, and without, the footer */
    int table_length_ = -1;
};

/* All that an SNP guest needs: reset block, metadata, hash table. */
FirmwareImage snp_image();

/* The words that all those errors must have that are about @what. */
inline bool says(const Error &error, std::string_view what)
{
    return error.what.find(what) != std::string::npos &&
           error.what.find('\n') == std::string::npos;
}

} /* namespace kvm_reset */

#endif
