/*
 * Errors of the core: a number for machines, sentences for people
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_ERROR_H
#define KVM_RESET_ERROR_H

#include <expected>
#include <string>

namespace kvm_reset {

struct Error {
    int code = 0;       /* a positive errno */
    std::string what;   /* what failed, on what, and why: a whole sentence */
    std::string hint{}; /* what to do, where that does not go without saying */
    bool waits =
        false; /* nothing failed: it can be done when an old VM is gone */
};

template <class T> using Result = std::expected<T, Error>;

/* printf into a string. */
__attribute__((format(printf, 1, 2))) std::string format(const char *fmt, ...);

/* An Error whose sentence ends in the errno's name and meaning. */
__attribute__((format(printf, 2, 3))) std::unexpected<Error>
fail(int code, const char *fmt, ...);

/*
 * An Error whose sentence says all there is to say: of bad input, say, where
 * no system call gave @code and its name would explain nothing.
 */
__attribute__((format(printf, 2, 3))) std::unexpected<Error>
refuse(int code, const char *fmt, ...);

/* An Error that says what is waited for. */
__attribute__((format(printf, 1, 2))) std::unexpected<Error>
wait_for(const char *fmt, ...);

/* @error with what to do. */
std::unexpected<Error> with_hint(std::unexpected<Error> error,
                                 std::string hint);

} /* namespace kvm_reset */

#endif
