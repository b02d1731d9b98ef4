/*
 * What an OVMF image wants of the IGVM file that it is in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "ovmf_igvm.h"

#include <cerrno>
#include <cstring>

#include "igvm_file.h"
#include "little_endian.h"

namespace kvm_reset {

constexpr Guid igvm_metadata_offset = Guid::of(
    "784fa70e-3176-4677-8a20-04b68699e374");

namespace metadata {
constexpr size_t length_at = 4;
constexpr size_t version_at = 8;
constexpr size_t count_at = 12;
constexpr size_t header_size = 16;
constexpr size_t row_size = 12; /* address, size, type */
constexpr uint32_t version = 1;
enum Row : uint32_t {
    Area = 0x100,
    MemoryMap = 0x101, /* these two count from the area's begin */
    VpCount = 0x102,
};
} /* namespace metadata */

/* The rows; none if the firmware knows nothing of IGVM. */
static Result<Bytes> find_rows(const Ovmf &ovmf)
{
    const Bytes image = ovmf.image();
    auto entry = ovmf.find(igvm_metadata_offset);

    if (!entry) {
        return Bytes();
    }
    const uint32_t from_end = entry->size() < sizeof(uint32_t)
                                ? 0
                                : get_le<uint32_t>(entry->data());
    if (from_end < metadata::header_size || from_end > image.size() ||
        memcmp(image.last(from_end).data(), "IGVM", 4)) {
        return refuse(EINVAL,
                      "the firmware's IGVM metadata is not where its table "
                      "says, %u bytes before its end",
                      from_end);
    }
    const Bytes all = image.last(from_end);
    const uint32_t length = get_le<uint32_t>(&all[metadata::length_at]);
    const uint32_t version = get_le<uint32_t>(&all[metadata::version_at]);
    const uint32_t count = get_le<uint32_t>(&all[metadata::count_at]);
    if (version != metadata::version) {
        return refuse(EINVAL,
                      "the firmware's IGVM metadata has version %u, and only "
                      "version %u is known",
                      version, metadata::version);
    }
    if (length > all.size() ||
        length !=
            metadata::header_size + uint64_t(count) * metadata::row_size) {
        return refuse(EINVAL,
                      "the firmware's IGVM metadata says that it has %u bytes "
                      "and %u rows, and %zu bytes are left in the file",
                      length, count, all.size());
    }
    return all.subspan(metadata::header_size, length - metadata::header_size);
}

static Result<void> check(const OvmfParameters &parameters)
{
    if (parameters.address % launch_page_size ||
        parameters.size % launch_page_size) {
        return refuse(EINVAL,
                      "the firmware's area for IGVM parameters (0x%llx bytes "
                      "at 0x%llx) is not made of whole pages",
                      (unsigned long long)parameters.size,
                      (unsigned long long)parameters.address);
    }
    for (auto [type, offset] : parameters.wanted) {
        if (offset >= parameters.size) {
            return refuse(EINVAL,
                          "the firmware wants its IGVM parameter %s at 0x%x of "
                          "an area of 0x%llx bytes",
                          igvm::to_string(type), offset,
                          (unsigned long long)parameters.size);
        }
    }
    return {};
}

Result<OvmfParameters> ovmf_parameters(const Ovmf &ovmf)
{
    OvmfParameters parameters;

    auto rows = find_rows(ovmf);
    if (!rows) {
        return std::unexpected(rows.error());
    }
    for (size_t at = 0; at < rows->size(); at += metadata::row_size) {
        const uint8_t *row = &(*rows)[at];
        const uint32_t address = get_le<uint32_t>(row);
        switch (get_le<uint32_t>(row + 8)) {
        case metadata::Area:
            if (parameters.size) {
                return refuse(EINVAL, "the firmware's IGVM metadata has two "
                                      "areas for parameters");
            }
            parameters.address = address;
            parameters.size = get_le<uint32_t>(row + 4);
            break;
        case metadata::MemoryMap:
            parameters.wanted.push_back({igvm::Type::MemoryMap, address});
            break;
        case metadata::VpCount:
            parameters.wanted.push_back({igvm::Type::VpCount, address});
            break;
        default:
            /* HOBs that the file may bring along, and what is newer. */
            break;
        }
    }
    if (auto good = check(parameters); !good) {
        return std::unexpected(good.error());
    }
    return parameters;
}

} /* namespace kvm_reset */
