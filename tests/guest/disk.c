/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A log of numbered blocks on the disk, each on stable storage before the next
 * is begun. After a reset every block that was acknowledged must still be
 * there: disk= on the work line names the last one, and "disk found=" at the
 * next start must not be less.
 *
 * Block 0 says that the disk is ours; number N is in slot N % slots after it.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/fs.h>
#include <unistd.h>

#include "sha256.h"

#define HEAD_MAGIC "kvm-reset log 1"
#define BLOCK_MAGIC "kvm-reset block"

enum {
    BLOCK = 4096,
    MAX_SLOTS = 1024,
    MIN_SLOTS = 4
};

typedef struct Block {
    char magic[16];
    uint64_t number;
    uint8_t data[BLOCK - 24 - SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];
} Block;

_Static_assert(sizeof(Block) == BLOCK, "a block is a block");

typedef struct Disk {
    int fd;
    uint64_t slots;
    uint64_t last;
    Block *block;
} Disk;

/* virtio's disk or Xen's, NULL if there is none. */
static const char *disk_path(void)
{
    static const char *const paths[] = {"/dev/vda", "/dev/xvda"};

    for (unsigned i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (access(paths[i], F_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

static int disk_workers(void)
{
    return disk_path() != NULL;
}

static off_t slot_at(const Disk *disk, uint64_t number)
{
    return (off_t)(1 + number % disk->slots) * BLOCK;
}

static void must_write(Disk *disk, off_t at)
{
    ssize_t n = pwrite(disk->fd, disk->block, BLOCK, at);

    if (n != BLOCK) {
        work_fail("disk: write at %lld: %s", (long long)at,
                  n < 0 ? strerror(errno) : "cut short");
    }
}

static void must_read(Disk *disk, off_t at)
{
    ssize_t n = pread(disk->fd, disk->block, BLOCK, at);

    if (n != BLOCK) {
        work_fail("disk: read at %lld: %s", (long long)at,
                  n < 0 ? strerror(errno) : "cut short");
    }
}

/* The number of the block in memory if it is whole, else 0. */
static uint64_t number_of(const Disk *disk)
{
    const Block *block = disk->block;
    uint8_t digest[SHA256_SIZE];

    if (memcmp(block->magic, BLOCK_MAGIC, sizeof(block->magic))) {
        return 0;
    }
    sha256(block, offsetof(Block, digest), digest);
    return memcmp(digest, block->digest, SHA256_SIZE) ? 0 : block->number;
}

/* A disk with anything else on it is not touched. */
static void claim(Disk *disk)
{
    static const char zeros[BLOCK];

    must_read(disk, 0);
    if (!memcmp(disk->block, HEAD_MAGIC, sizeof(HEAD_MAGIC))) {
        return;
    }
    if (memcmp(disk->block, zeros, BLOCK)) {
        work_fail("disk: %s holds something else: give an empty one",
                  disk_path());
    }
    memcpy(disk->block, HEAD_MAGIC, sizeof(HEAD_MAGIC));
    must_write(disk, 0);
}

/* Finds the last block and fails if one before it is missing. */
static void recover(Disk *disk)
{
    uint64_t found[MAX_SLOTS], number, oldest;
    uint64_t slot;

    for (slot = 0; slot < disk->slots; slot++) {
        must_read(disk, slot_at(disk, slot));
        number = number_of(disk);
        if (number && number % disk->slots != slot) {
            work_fail("disk: block %llu is in slot %llu",
                      (unsigned long long)number, (unsigned long long)slot);
        }
        found[slot] = number;
        if (number > disk->last) {
            disk->last = number;
        }
    }
    /* The one after the last may have been under way, in the oldest's slot. */
    oldest = disk->last + 2 > disk->slots ? disk->last + 2 - disk->slots : 1;
    for (number = oldest; number < disk->last; number++) {
        if (found[number % disk->slots] != number) {
            work_fail("disk: block %llu was acknowledged and is lost",
                      (unsigned long long)number);
        }
    }
    work_say("disk found=%llu", (unsigned long long)disk->last);
}

static void disk_start(Worker *worker)
{
    Disk *disk = calloc(1, sizeof(*disk));
    uint64_t size = 0;

    disk->fd = open(disk_path(), O_RDWR | O_DIRECT | O_SYNC);
    if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &size)) {
        work_fail("disk: cannot open %s: %s", disk_path(), strerror(errno));
    }
    disk->slots = size / BLOCK > MAX_SLOTS ? MAX_SLOTS : size / BLOCK - 1;
    if (size / BLOCK <= MIN_SLOTS) {
        work_fail("disk: %s is too small", disk_path());
    }
    disk->block = aligned_alloc(BLOCK, BLOCK);
    claim(disk);
    recover(disk);
    worker->state = disk;
    worker->count = disk->last;
}

static void disk_turn(Worker *worker)
{
    Disk *disk = worker->state;
    Block *block = disk->block;
    uint64_t number = disk->last + 1, back;

    memcpy(block->magic, BLOCK_MAGIC, sizeof(block->magic));
    block->number = number;
    pseudo_random(number, block->data, sizeof(block->data));
    sha256(block, offsetof(Block, digest), block->digest);
    must_write(disk, slot_at(disk, number));
    disk->last = number;
    worker->count = number;

    /* Any of the last ones, so that reads mix with writes. */
    pseudo_random(number, &back, sizeof(back));
    back = number - back % (number < disk->slots ? number : disk->slots);
    must_read(disk, slot_at(disk, back));
    if (number_of(disk) != back) {
        work_fail("disk: block %llu reads back as %llu (0 is damaged)",
                  (unsigned long long)back,
                  (unsigned long long)number_of(disk));
    }
    /* Leave something of the CPU to others. */
    usleep(1000);
}

const WorkKind disk_work = {
    .name = "disk",
    .workers = disk_workers,
    .start = disk_start,
    .turn = disk_turn,
};
