/*
 * What the files of the C surface share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_C_INSTANCE_H
#define KVM_RESET_C_INSTANCE_H

#include <cstdlib>
#include <cstring>
#include <string>

#include "c_api.h"
#include "generations.h"

namespace kvm_reset {

/* The process's one guest. */
Generations &the_generations();

/* NULL if it is empty; the caller's. */
inline char *copy_out(const std::string &text)
{
    return text.empty() ? nullptr : strdup(text.c_str());
}

template <class T> bool answer(const Result<T> &done, ::Error **errp)
{
    if (!done) {
        const std::string &hint = done.error().hint;

        kvm_reset_error_set(errp, done.error().what.c_str(),
                            hint.empty() ? nullptr : hint.c_str());
    }
    return done.has_value();
}

} /* namespace kvm_reset */

#endif
