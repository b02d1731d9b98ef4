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
#include "igvm_parts.h"
#include "little_endian.h"

namespace kvm_reset {

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
