/*
 * QEMU's fw_cfg, by its ports
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU, docs/specs/fw_cfg.rst.  Each ends the program if it fails.
 */

#ifndef LAUNCH_CLIENT_FW_CFG_H
#define LAUNCH_CLIENT_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

void fw_cfg_open(void);

/* The key of the file @name of @size bytes; 0: there is none. */
uint16_t fw_cfg_find(const char *name, uint32_t size);

/* The first @size bytes of the item. */
void fw_cfg_read(uint16_t key, void *to, size_t size);

/* A request, in memory that the host sees; big endian. */
typedef struct {
    uint32_t control, length;
    uint64_t address;
} FwCfgDma;

/* @size bytes from the physical address @from, by the request at @at. */
void fw_cfg_write(uint16_t key, uint64_t from, uint32_t size,
                  volatile FwCfgDma *dma, uint64_t at);

#endif
