/*
 * What small IGVM files are made of, for tests and benchmarks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_TESTS_IGVM_PARTS_H
#define KVM_RESET_TESTS_IGVM_PARTS_H

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "igvm_writer.h"

namespace kvm_reset {

using Blob = std::vector<uint8_t>;

/* The masks of the platforms of igvm_writer(). */
constexpr uint32_t snp_mask = 1 << 0;
constexpr uint32_t tdx_mask = 1 << 1;
constexpr uint32_t native_mask = 1 << 2;
constexpr uint32_t sev_es_mask = 1 << 3;
constexpr uint32_t sev_mask = 1 << 4;

using IgvmPlatforms =
    std::initializer_list<std::pair<igvm::Platform, uint32_t>>;

/* A writer that has named these. */
inline IgvmWriter igvm_writer_for(IgvmPlatforms platforms)
{
    IgvmWriter writer;

    for (auto [platform, mask] : platforms) {
        writer.add({.mask = mask,
                    .highest_vtl = 0,
                    .platform = platform,
                    .version = 1,
                    .shared_gpa_boundary = 0});
    }
    return writer;
}

/* … and all of them. */
inline IgvmWriter igvm_writer()
{
    using igvm::Platform;

    return igvm_writer_for({{Platform::SevSnp, snp_mask},
                            {Platform::Tdx, tdx_mask},
                            {Platform::Native, native_mask},
                            {Platform::SevEs, sev_es_mask},
                            {Platform::Sev, sev_mask}});
}

/* Four KiB of which no two are alike. */
inline Blob page_of(uint8_t first)
{
    Blob page(4096);
    for (size_t i = 0; i < page.size(); i++) {
        page[i] = uint8_t(first + i * 7 + i / 256);
    }
    return page;
}

inline igvm::PageData page_at(uint64_t gpa, uint32_t data, uint32_t mask,
                              uint32_t flags = 0,
                              igvm::PageType type = igvm::PageType::Normal)
{
    return {.gpa = gpa,
            .mask = mask,
            .data = data,
            .flags = flags,
            .type = type,
            .reserved = 0};
}

inline igvm::VpContext context_at(uint16_t vp, uint32_t data, uint32_t mask,
                                  uint64_t gpa = 0xfffffffff000)
{
    return {.gpa = gpa, .mask = mask, .data = data, .vp = vp, .reserved = 0};
}

} /* namespace kvm_reset */

#endif
