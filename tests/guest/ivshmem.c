/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's end of QEMU's ivshmem-doorbell (docs/specs/ivshmem-spec), for
 * which Linux has no driver.
 *
 *   ivshmem              has all vectors counted by Linux' PIN interrupt, which
 *                        nothing else uses here; says the position
 *   ivshmem PEER VECTOR  rings a doorbell
 *   ivshmem put TEXT     into the shared memory
 *   ivshmem get          says the shared memory's text
 */
#include "commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    IV_POSITION = 8 / 4,
    DOORBELL = 12 / 4,

    PCI_CAPABILITIES = 0x34,
    MSIX = 0x11,
    MSIX_ENABLE = 0x8000,

    /* Linux' posted-interrupt notification. */
    VECTOR = 0xf2
};

static const char devices[] = "/sys/bus/pci/devices";
static char device[300];

static int open_file(const char *name)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/%s/%s", devices, device, name);
    return open(path, O_RDWR | O_SYNC);
}

static uint16_t config16(int config, int at)
{
    uint16_t value = 0;

    return pread(config, &value, sizeof(value), at) == 2 ? value : 0;
}

static int find_device(void)
{
    DIR *dir = opendir(devices);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        uint32_t id = 0;
        int config;

        snprintf(device, sizeof(device), "%s", entry->d_name);
        config = open_file("config");
        if (config >= 0 && pread(config, &id, 4, 0) == 4 && id == 0x11101af4) {
            return config;
        }
        close(config);
    }
    printf("kvm-reset-guest: error: there is no ivshmem\n");
    exit(1);
}

static volatile uint32_t *map_bar(const char *name, size_t size)
{
    int fd = open_file(name);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED) {
        perror("kvm-reset-guest: error: ivshmem");
        exit(1);
    }
    return at;
}

static void count_interrupts(int config)
{
    volatile uint32_t *table = map_bar("resource1", 4096);
    uint8_t cap = config16(config, PCI_CAPABILITIES);
    uint16_t control;
    int i, vectors;

    while (cap && (config16(config, cap) & 0xff) != MSIX) {
        cap = config16(config, cap) >> 8;
    }
    control = config16(config, cap + 2);
    vectors = (control & 0x7ff) + 1;
    for (i = 0; i < vectors; i++) {
        table[4 * i] = 0xfee00000;
        table[4 * i + 1] = 0;
        table[4 * i + 2] = VECTOR;
        table[4 * i + 3] = 0;
    }
    control |= MSIX_ENABLE;
    if (!cap || pwrite(config, &control, 2, cap + 2) != 2) {
        printf("kvm-reset-guest: error: ivshmem: no MSI-X\n");
        exit(1);
    }
}

int command_ivshmem(int argc, char **argv)
{
    int config = find_device();
    uint16_t memory_and_master = config16(config, 4) | 6;
    volatile uint32_t *registers;

    if (pwrite(config, &memory_and_master, 2, 4) != 2) {
        return 1;
    }
    registers = map_bar("resource0", 256);
    if (argc == 3 && !strcmp(argv[1], "put")) {
        strcpy((char *)map_bar("resource2", 4096), argv[2]);
    } else if (argc == 2) {
        printf("kvm-reset-guest: ivshmem text=%s\n",
               (char *)map_bar("resource2", 4096));
    } else if (argc == 3) {
        registers[DOORBELL] = atoi(argv[1]) << 16 | atoi(argv[2]);
    } else {
        count_interrupts(config);
        printf("kvm-reset-guest: ivshmem position=%u\n",
               registers[IV_POSITION]);
    }
    return 0;
}
