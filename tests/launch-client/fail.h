/*
 * How this program ends when it cannot go on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LAUNCH_CLIENT_FAIL_H
#define LAUNCH_CLIENT_FAIL_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3, /* by QEMU */
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void
fail(const char *format, ...)
{
    va_list words;

    fputs("vm-launch-update: error: ", stderr);
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(EXIT_ERROR);
}

#endif
