/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resets by what the hardware has, past the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

/* Of the ACPI specification's FADT and its generic address structure. */
enum {
    FADT_FLAGS = 112,
    FADT_FLAG_RESET = 1 << 10,
    FADT_RESET_SPACE = 116,
    FADT_RESET_ADDRESS = 120,
    FADT_RESET_VALUE = 128,
    SPACE_IO = 1,
};

static int complain(const char *what)
{
    printf("kvm-reset-guest: error: %s\n", what);
    return 1;
}

/*
 * Through /dev/port: an instruction of our own would need the I/O bitmap of a
 * 64-bit TSS, which QEMU's emulation of a CPU does not know.
 */
static int out_byte(uint16_t port, uint8_t value)
{
    static int fd = -1;

    if (fd < 0) {
        fd = open("/dev/port", O_WRONLY);
    }
    if (fd < 0 || pwrite(fd, &value, 1, port) != 1) {
        return complain(strerror(errno));
    }
    return 0;
}

/* out PORT=VALUE...: both hexadecimal, a byte each time. */
int command_out(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        unsigned port, value;

        if (sscanf(argv[i], "%x=%x", &port, &value) != 2 || port > 0xffff ||
            value > 0xff) {
            return complain("out takes PORT=VALUE, both hexadecimal");
        }
        if (out_byte(port, value)) {
            return 1;
        }
    }
    return 0;
}

int command_acpi_reset(int argc, char **argv)
{
    uint8_t fadt[512] = {0};
    uint64_t address;
    uint32_t flags;
    FILE *file = fopen("/sys/firmware/acpi/tables/FACP", "r");

    (void)argc;
    (void)argv;
    if (!file || fread(fadt, 1, sizeof(fadt), file) < FADT_FLAGS + 4) {
        return complain("this machine has no ACPI table FACP");
    }
    fclose(file);
    memcpy(&flags, fadt + FADT_FLAGS, sizeof(flags));
    memcpy(&address, fadt + FADT_RESET_ADDRESS, sizeof(address));
    if (!(flags & FADT_FLAG_RESET) || fadt[FADT_RESET_SPACE] != SPACE_IO ||
        address > 0xffff) {
        return complain("this machine's ACPI has no reset register of I/O");
    }
    return out_byte(address, fadt[FADT_RESET_VALUE]);
}
