/*
 * A confidential guest that was launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_LAUNCHED_GUEST_H
#define TESTS_UNIT_LAUNCHED_GUEST_H

#include <cerrno>

#include <gtest/gtest.h>

#include "confidential_guest.h"

using Log = std::vector<std::string>;

inline void expect_reborn(Guest &guest)
{
    guest.generations.drain();
    kvm_reset::Result<kvm_reset::Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
    kvm_reset::Result<void> runs = guest.generations.before_run();
    ASSERT_TRUE(runs) << runs.error().what;
    guest.generations.drain();
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

template <class T> struct Launched : T {
    template <class... Args> explicit Launched(Args... args) : T(args...)
    {
        T::launch();
    }
};

/* What system calls fail with, and firmware. */
inline const int codes[] = {ENOMEM, EINTR, EAGAIN, EBUSY, EMFILE, ENOSPC, EIO};

#endif
