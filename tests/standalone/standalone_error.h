/*
 * Errors where there is no QEMU: tests, tools and benchmarks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_STANDALONE_ERROR_H
#define KVM_RESET_STANDALONE_ERROR_H

#include <string>

struct Error {
    std::string what;
    std::string hint;
};

#endif
