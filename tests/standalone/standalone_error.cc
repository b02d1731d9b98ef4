/*
 * Errors where there is no QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "standalone_error.h"

#include <cstring>

#include "c_api.h"

void kvm_reset_error_set(Error **errp, const char *what, const char *hint)
{
    if (errp) {
        *errp = new Error{what, hint ? hint : ""};
    }
}

char *kvm_reset_error_take(Error *err)
{
    char *what = strdup(err->what.c_str());

    delete err;
    return what;
}
