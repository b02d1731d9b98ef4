/*
 * Small IGVM files, made for a test
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_TESTS_IGVM_IMAGE_H
#define KVM_RESET_TESTS_IGVM_IMAGE_H

#include <cstdint>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "igvm_dry_run.h"
#include "igvm_writer.h"
#include "little_endian.h"

namespace kvm_reset {

using Blob = std::vector<uint8_t>;

/* The masks of the platforms of igvm_with(). */
constexpr uint32_t snp_mask = 1 << 0;
constexpr uint32_t tdx_mask = 1 << 1;
constexpr uint32_t native_mask = 1 << 2;
constexpr uint32_t sev_es_mask = 1 << 3;
constexpr uint32_t sev_mask = 1 << 4;

/* A writer that has named all of them. */
inline IgvmWriter igvm_writer()
{
    using igvm::Platform;
    IgvmWriter writer;

    for (auto [platform, mask] : {std::pair{Platform::SevSnp, snp_mask},
                                  {Platform::Tdx, tdx_mask},
                                  {Platform::Native, native_mask},
                                  {Platform::SevEs, sev_es_mask},
                                  {Platform::Sev, sev_mask}}) {
        writer.add({.mask = mask,
                    .highest_vtl = 0,
                    .platform = platform,
                    .version = 1,
                    .shared_gpa_boundary = 0});
    }
    return writer;
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

/* 16 MiB of RAM, a hole, 16 MiB at 4 GiB; 1 MiB of firmware below 4 GiB. */
inline IgvmGuest igvm_guest(uint32_t vcpus = 1)
{
    IgvmGuest guest;
    guest.ram = {{0, 16 << 20}, {uint64_t(1) << 32, 16 << 20}};
    guest.firmware = {(uint64_t(1) << 32) - (1 << 20), 1 << 20};
    guest.vcpus = vcpus;
    return guest;
}

/* One line, for people, that is about @what. */
template <class T>
void expect_refused(const Result<T> &result, int code, std::string_view what)
{
    ASSERT_FALSE(result) << "accepted, instead of: " << what;
    const Error &error = result.error();
    EXPECT_EQ(error.code, code) << error.what;
    EXPECT_NE(error.what.find(what), std::string::npos)
        << error.what << "\nlacks: " << what;
    EXPECT_EQ(error.what.find('\n'), std::string::npos) << error.what;
}

} /* namespace kvm_reset */

#endif
