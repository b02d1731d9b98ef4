/*
 * Naming a code address for a message
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "code_address.h"

#include <cstdint>
#include <cstring>
#include <dlfcn.h>

#include "error.h"

namespace kvm_reset {

std::string describe_code_address(const void *address)
{
    Dl_info info;

    if (!address) {
        return {};
    }
    if (!dladdr(address, &info)) {
        return format("%p", address);
    }
    auto offset = [address](const void *base) {
        return uintptr_t(address) - uintptr_t(base);
    };
    if (info.dli_sname) {
        return format("%s+%#zx", info.dli_sname, offset(info.dli_saddr));
    }
    const char *slash = strrchr(info.dli_fname, '/');
    return format("%s+%#zx", slash ? slash + 1 : info.dli_fname,
                  offset(info.dli_fbase));
}

} /* namespace kvm_reset */
