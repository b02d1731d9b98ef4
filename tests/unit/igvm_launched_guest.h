/*
 * Guests on the fake kernel that are handed IGVM files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_IGVM_LAUNCHED_GUEST_H
#define TESTS_UNIT_IGVM_LAUNCHED_GUEST_H

#include <algorithm>
#include <string>
#include <string_view>

#include "arch.h"
#include "igvm_image.h"
#include "igvm_launch.h"
#include "launched_guest.h"
#include "reset_vcpu.h"

constexpr uint64_t top_page = 0xfffff000;

/* Launched, when @T has all that it is launched with. */
template <class T> struct TakesFiles : T {
    template <class... Args> explicit TakesFiles(Args... args) : T(args...)
    {
        T::launch();
    }

    kvm_reset::Result<kvm_reset::OtherLaunch>
    try_file(const kvm_reset::Blob &bytes,
             const kvm_reset::LaunchHost &host = {})
    {
        return kvm_reset::arch()->launch_of_igvm(
            T::kernel, T::recorder.recorded(), bytes, host);
    }

    /* Accepted; the next reset's. */
    kvm_reset::OtherLaunch bring(const kvm_reset::Blob &bytes,
                                 bool once = false)
    {
        auto other = try_file(bytes);
        EXPECT_TRUE(other) << other.error().what;
        if (!other) {
            return {};
        }
        T::recorder.choose_launch(
            kvm_reset::LaunchSource::Guest,
            std::make_shared<kvm_reset::OtherLaunch>(*other), once);
        return *other;
    }

    std::string measured()
    {
        auto measurement = T::generations.status().measurement;
        return measurement ? measurement->digest : "";
    }
};

inline kvm_reset::Blob save_area(uint32_t entry = kvm_reset::reset_vector,
                                 uint64_t features = 1, bool fpu = true)
{
    const kvm_reset::VmsaState state = kvm_reset::initial_vmsa(entry, signature,
                                                               features);
    const kvm_reset::VmsaPage page = vmsa_page(fpu ? state
                                                   : without_fpu(state));
    return kvm_reset::Blob(page.begin(), page.end());
}

inline bool has_line(const Log &log, std::string_view beginning)
{
    return std::ranges::any_of(log, [&](const std::string &line) {
        return line.starts_with(beginning);
    });
}

/* The digest that its owner computes of the file alone. */
inline std::string owners_digest(const kvm_reset::Blob &bytes,
                                 kvm_reset::igvm::Platform platform)
{
    kvm_reset::IgvmX86Guest guest;
    guest.platform = platform;
    guest.guest = kvm_reset::igvm_guest(2);
    auto file = kvm_reset::IgvmFile::parse(bytes);
    EXPECT_TRUE(file);
    auto launch = igvm_launch(*file, guest);
    EXPECT_TRUE(launch) << launch.error().what;
    auto digest = igvm_digest(*launch, guest);
    EXPECT_TRUE(digest) << digest.error().what;
    return digest->hex();
}

#endif
