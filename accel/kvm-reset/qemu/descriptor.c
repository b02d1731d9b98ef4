/*
 * kvm-reset in QEMU: descriptors that a monitor command names
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "internal.h"

int kvm_reset_take_descriptor(const char *name, int flags, Error **errp)
{
    int fd;

    if (!strstart(name, "/dev/fdset/", NULL)) {
        return monitor_get_fd(monitor_cur(), name, errp);
    }
    fd = qemu_open(name, flags, errp);
    if (fd >= 0) {
        monitor_fdset_dup_fd_remove(fd);
    }
    return fd;
}
