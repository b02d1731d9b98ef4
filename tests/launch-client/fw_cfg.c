/*
 * QEMU's fw_cfg, by its ports
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/io.h>

#include "fail.h"

enum {
    PORT_SELECTOR = 0x510, /* a word */
    PORT_DATA = 0x511,     /* a byte each time */
    PORT_DMA = 0x514, /* two words of 32 bits, big endian, the higher first */
    PORTS = 12,

    ITEM_SIGNATURE = 0x00,
    ITEM_ID = 0x01,
    ITEM_FILES = 0x19,
    ID_HAS_DMA = 1 << 1,

    DMA_ERROR = 1 << 0,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};

typedef struct {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[56];
} FwCfgFile;

static void select_item(uint16_t key)
{
    outw(key, PORT_SELECTOR);
}

static void read_item(void *to, size_t size)
{
    uint8_t *bytes = to;

    while (size--) {
        *bytes++ = inb(PORT_DATA);
    }
}

void fw_cfg_read(uint16_t key, void *to, size_t size)
{
    select_item(key);
    read_item(to, size);
}

void fw_cfg_open(void)
{
    char signature[4];
    uint32_t id;

    if (ioperm(PORT_SELECTOR, PORTS, 1)) {
        fail("the ports of fw_cfg: %s (it wants root, and a kernel that is not "
             "locked down)",
             strerror(errno));
    }
    fw_cfg_read(ITEM_SIGNATURE, signature, sizeof(signature));
    if (memcmp(signature, "QEMU", sizeof(signature))) {
        fail("there is no fw_cfg, so this is no guest of QEMU's");
    }
    fw_cfg_read(ITEM_ID, &id, sizeof(id));
    if (!(le32toh(id) & ID_HAS_DMA)) {
        fail("this machine's fw_cfg has no DMA");
    }
}

uint16_t fw_cfg_find(const char *name, uint32_t size)
{
    uint32_t count;
    FwCfgFile file;

    fw_cfg_read(ITEM_FILES, &count, sizeof(count));
    for (count = be32toh(count); count; count--) {
        read_item(&file, sizeof(file));
        if (!strncmp(file.name, name, sizeof(file.name)) &&
            be32toh(file.size) == size) {
            return be16toh(file.key);
        }
    }
    return 0;
}

void fw_cfg_write(uint16_t key, uint64_t from, uint32_t size,
                  volatile FwCfgDma *dma, uint64_t at)
{
    uint32_t left;

    dma->length = htobe32(size);
    dma->address = htobe64(from);
    dma->control = htobe32((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE);
    __sync_synchronize();
    outl(htobe32((uint32_t)(at >> 32)), PORT_DMA);
    outl(htobe32((uint32_t)at), PORT_DMA + 4);
    do {
        __sync_synchronize();
        left = be32toh(dma->control);
    } while (left & ~(uint32_t)DMA_ERROR);
    if (left & DMA_ERROR) {
        fail("fw_cfg could not read its request at 0x%" PRIx64 ": does the "
             "host see that memory?",
             at);
    }
}
