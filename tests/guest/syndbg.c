/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends a text by Hyper-V's synthetic debugger, whose registers are told the
 * guest-physical address.
 */
#include "commands.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    CONTROL = 0x400000f1,
    STATUS = 0x400000f2,
    SEND_BUFFER = 0x400000f3,
    SEND = 1
};

static uint64_t physical(const void *page)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);

    if (pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) != 8) {
        entry = 0;
    }
    close(fd);
    return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

int command_syndbg(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "";
    uint64_t size = strlen(text);
    uint64_t address, control = SEND | size << 16, status = 0;
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    int fd = open("/dev/cpu/0/msr", O_RDWR);

    if (page == MAP_FAILED || fd < 0 || size > PAGE) {
        perror("kvm-reset-guest: error: syndbg");
        return 1;
    }
    memcpy(page, text, strlen(text));
    address = physical(page);
    if (pwrite(fd, &address, 8, SEND_BUFFER) != 8 ||
        pwrite(fd, &control, 8, CONTROL) != 8 ||
        pread(fd, &status, 8, STATUS) != 8) {
        printf("kvm-reset-guest: syndbg is refused\n");
        return 1;
    }
    printf("kvm-reset-guest: syndbg status=%" PRIx64 "\n", status);
    return 0;
}
