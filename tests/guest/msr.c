/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads model-specific registers, each given by its hexadecimal index. */
#include "commands.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int command_msr(int argc, char **argv)
{
    int fd = open("/dev/cpu/0/msr", O_RDONLY), i;

    if (fd < 0) {
        perror("kvm-reset-guest: error: /dev/cpu/0/msr");
        return 1;
    }
    for (i = 1; i < argc; i++) {
        uint64_t value;

        if (pread(fd, &value, sizeof(value), strtoul(argv[i], NULL, 16)) !=
            sizeof(value)) {
            printf("kvm-reset-guest: msr %s is refused\n", argv[i]);
        } else {
            printf("kvm-reset-guest: msr %s=%" PRIx64 "\n", argv[i], value);
        }
    }
    close(fd);
    return 0;
}
