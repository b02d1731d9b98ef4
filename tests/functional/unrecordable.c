/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into QEMU: a kernel that takes one ioctl more, which is KVM's by
 * its number and which no catalogue has yet.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KVM_OF_TOMORROW 0xaefe

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == KVM_OF_TOMORROW) {
        return 0;
    }
    return syscall(SYS_ioctl, fd, request, arg);
}
