/*
 * kvm-reset in QEMU: the core's errors are QEMU's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "accel/kvm-reset/c_api.h"

void kvm_reset_error_set(Error **errp, const char *what, const char *hint)
{
    ERRP_GUARD();

    error_setg(errp, "%s", what);
    if (hint) {
        error_append_hint(errp, "%s\n", hint);
    }
}

char *kvm_reset_error_take(Error *err)
{
    char *what = strdup(error_get_pretty(err));

    error_free(err);
    return what;
}
