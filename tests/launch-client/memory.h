/*
 * Memory of a Linux program that has one physical address
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each ends the program if it fails.
 */

#ifndef LAUNCH_CLIENT_MEMORY_H
#define LAUNCH_CLIENT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum {
    PAGE = 4096
};

/* A run of pieces that follow each other in physical memory. */
typedef struct {
    uint64_t address, size;
    size_t piece; /* bytes of each */
    uint8_t **pieces;
} Memory;

/* The reserved memory at @address; ends if that is less than @needed bytes. */
Memory map_reserved(uint64_t address, uint64_t size, uint64_t needed);

/*
 * @needed bytes of huge pages.  The pool is taken page by page until enough of
 * them follow each other.  What is not needed goes back when this program ends.
 */
Memory map_huge_pages(uint64_t needed);

void put(const Memory *memory, uint64_t at, const void *from, size_t size);

#endif
