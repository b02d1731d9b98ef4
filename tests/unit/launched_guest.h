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

template <class Kind, class Test, class... Args>
void with_kind(const char *name, Test test, Args... args)
{
    SCOPED_TRACE(name);
    Launched<Kind> guest(args...);

    test(guest);
}

/* Those whose memory is private, and which are launched beside the old VM. */
template <class Test> void with_each_private_kind(Test test)
{
    with_kind<SnpGuest>("SEV-SNP", test);
    with_kind<TdxGuest>("TDX", test);
}

template <class Test> void with_each_kind(Test test)
{
    with_kind<SevGuest>("SEV", test, false);
    with_kind<SevGuest>("SEV-ES", test, true);
    with_each_private_kind(test);
}

/* What system calls fail with, and firmware. */
inline const int codes[] = {ENOMEM, EINTR, EAGAIN, EBUSY, EMFILE, ENOSPC, EIO};

#endif
