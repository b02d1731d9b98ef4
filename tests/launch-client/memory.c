/*
 * Memory of a Linux program that has one physical address
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail.h"

Memory map_reserved(uint64_t address, uint64_t size, uint64_t needed)
{
    Memory memory = {address, size, size, malloc(sizeof(uint8_t *))};
    int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
    void *bytes;

    if (size < needed) {
        fail("--memory has 0x%" PRIx64 " bytes, and 0x%" PRIx64 " are needed",
             size, needed);
    }
    if (address % PAGE || size % PAGE) {
        fail("--memory has no whole pages of 4096 bytes");
    }
    if (fd < 0) {
        fail("/dev/mem: %s", strerror(errno));
    }
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                 (off_t)address);
    if (bytes == MAP_FAILED) {
        fail("/dev/mem at 0x%" PRIx64 ": %s (is it reserved, as by memmap= on "
             "the kernel's command line?)",
             address, strerror(errno));
    }
    close(fd);
    memory.pieces[0] = bytes;
    return memory;
}

static size_t huge_page_size(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    size_t kib = 0;
    char line[128];

    while (file && fgets(line, sizeof(line), file) &&
           sscanf(line, "Hugepagesize: %zu kB", &kib) != 1) {}
    if (file) {
        fclose(file);
    }
    if (!kib) {
        fail("this kernel has no huge pages: say --memory");
    }
    return kib * 1024;
}

static uint64_t physical_address(int pagemap, const void *page)
{
    const uint64_t present = UINT64_C(1) << 63;
    const uint64_t frame = (UINT64_C(1) << 55) - 1;
    uint64_t entry;

    if (pread(pagemap, &entry, sizeof(entry),
              (off_t)((uintptr_t)page / PAGE * sizeof(entry))) !=
        sizeof(entry)) {
        fail("/proc/self/pagemap: %s", strerror(errno));
    }
    if (!(entry & present) || !(entry & frame)) {
        fail("/proc/self/pagemap does not say where a page is: it wants root");
    }
    return (entry & frame) * PAGE;
}

typedef struct {
    uint64_t address;
    uint8_t *bytes;
} HugePage;

static int by_address(const void *a, const void *b)
{
    const HugePage *one = a, *other = b;

    return one->address < other->address ? -1 : one->address > other->address;
}

/* Where @needed of them follow each other; @count: there is no such place. */
static size_t find_run(const HugePage *pages, size_t count, size_t needed,
                       size_t size)
{
    size_t first = 0, i;

    for (i = 0; i < count; i++) {
        if (i && pages[i].address != pages[i - 1].address + size) {
            first = i;
        }
        if (i - first + 1 == needed) {
            return first;
        }
    }
    return count;
}

Memory map_huge_pages(uint64_t needed)
{
    const size_t size = huge_page_size();
    const size_t run = (needed + size - 1) / size;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    HugePage *pages = NULL;
    size_t count = 0, first = 0, i;
    Memory memory;

    if (pagemap < 0) {
        fail("/proc/self/pagemap: %s", strerror(errno));
    }
    do {
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

        if (bytes == MAP_FAILED) {
            fail("no %zu huge pages of %zu KiB that follow each other, and the "
                 "pool gave %zu: raise vm.nr_hugepages, early after boot",
                 run, size / 1024, count);
        }
        memset(bytes, 0, size);
        pages = realloc(pages, (count + 1) * sizeof(*pages));
        pages[count++] = (HugePage){physical_address(pagemap, bytes), bytes};
        qsort(pages, count, sizeof(*pages), by_address);
        first = find_run(pages, count, run, size);
    } while (first == count);
    close(pagemap);

    memory = (Memory){pages[first].address, run * size, size,
                      calloc(run, sizeof(uint8_t *))};
    for (i = 0; i < run; i++) {
        memory.pieces[i] = pages[first + i].bytes;
    }
    free(pages);
    return memory;
}

void put(const Memory *memory, uint64_t at, const void *from, size_t size)
{
    const uint8_t *bytes = from;

    while (size) {
        size_t within = at % memory->piece;
        size_t part = memory->piece - within < size ? memory->piece - within
                                                    : size;

        memcpy(memory->pieces[at / memory->piece] + within, bytes, part);
        at += part;
        bytes += part;
        size -= part;
    }
}
