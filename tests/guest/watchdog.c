/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchdog [SECONDS]: arms the watchdog and lets it starve. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"

int command_watchdog(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 2;
    int fd = open("/dev/watchdog", O_WRONLY);

    if (fd < 0) {
        printf("kvm-reset-guest: error: cannot open /dev/watchdog: %s\n",
               strerror(errno));
        return 1;
    }
    /* What it can not do it rounds, and says so. */
    ioctl(fd, WDIOC_SETTIMEOUT, &seconds);
    ioctl(fd, WDIOC_GETTIMEOUT, &seconds);
    printf("kvm-reset-guest: watchdog armed timeout=%d\n", seconds);
    fflush(stdout);
    for (;;) {
        pause();
    }
}
