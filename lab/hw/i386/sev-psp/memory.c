/*
 * RAM by any address and length
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host takes whole blocks of 16 bytes, the unit of encryption.
 */

#include "internal.h"

#include <string.h>

#define C_BIT (1ull << 51)
#define BLOCK 16ull

/* A host kernel under SME sets the C-bit in all addresses. */
uint64_t psp_address(uint64_t address)
{
    return address & ~C_BIT;
}

static uint8_t *blocks_around(Psp *psp, uint64_t spa, size_t len,
                              uint64_t *start, size_t *size)
{
    *start = spa & ~(BLOCK - 1);
    *size = ((spa + len + BLOCK - 1) & ~(BLOCK - 1)) - *start;
    uint8_t *blocks = g_malloc(*size);
    if (spa + len < spa ||
        !psp->host.read(psp->host.opaque, *start, blocks, *size)) {
        g_free(blocks);
        return NULL;
    }
    return blocks;
}

bool psp_read(Psp *psp, uint64_t spa, void *data, size_t len)
{
    uint64_t start;
    size_t size;
    if (!len) {
        return true;
    }
    spa = psp_address(spa);
    uint8_t *blocks = blocks_around(psp, spa, len, &start, &size);
    if (!blocks) {
        return false;
    }
    memcpy(data, blocks + (spa - start), len);
    g_free(blocks);
    return true;
}

bool psp_write(Psp *psp, uint64_t spa, const void *data, size_t len)
{
    uint64_t start;
    size_t size;
    if (!len) {
        return true;
    }
    spa = psp_address(spa);
    uint8_t *blocks = blocks_around(psp, spa, len, &start, &size);
    if (!blocks) {
        return false;
    }
    memcpy(blocks + (spa - start), data, len);
    bool good = psp->host.write(psp->host.opaque, start, blocks, size);
    g_free(blocks);
    return good;
}
