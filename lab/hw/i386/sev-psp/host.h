/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that the secure processor needs of the machine around it: device.c
 * gives it QEMU's, the tests give it an array of bytes.
 *
 * Addresses are system physical ones without the C-bit, and multiples of 16,
 * as lengths are. A function that returns false did nothing.
 */
#ifndef SEV_PSP_HOST_H
#define SEV_PSP_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PSP_KEY_SIZE 16

/* An entry of the reverse map table. */
typedef struct PspRmp {
    uint64_t gpa;
    uint32_t asid;
    bool assigned, size_2m, immutable, vmsa, validated;
    uint8_t perms[4]; /* of VMPL0 to 3 */
} PspRmp;

typedef struct PspHost {
    void *opaque;

    /* DRAM: ciphertext, where something is encrypted. */
    bool (*read)(void *opaque, uint64_t spa, void *data, size_t len);
    bool (*write)(void *opaque, uint64_t spa, const void *data, size_t len);
    /* The same through a guest's key (VEK). */
    bool (*decrypt)(void *opaque, const uint8_t *vek, uint64_t spa, void *data,
                    size_t len);
    bool (*encrypt)(void *opaque, const uint8_t *vek, uint64_t spa,
                    const void *data, size_t len);
    /* Encrypts a save area and keeps its checksum for VMRUN. */
    bool (*seal_vmsa)(void *opaque, const uint8_t *vek, uint64_t spa,
                      const void *vmsa);

    void (*key_install)(void *opaque, uint32_t asid, const uint8_t *vek);
    void (*key_remove)(void *opaque, uint32_t asid);
    /* Each CPU executed WBINVD since the last key_remove(). */
    bool (*written_back)(void *opaque);
    void (*df_flush)(void *opaque);
    bool (*asid_needs_flush)(void *opaque, uint32_t asid);

    /* SNP is enabled in SYSCFG of each CPU. */
    bool (*snp_enabled)(void *opaque);
    /* Where the RMP lies; false if the CPUs differ or have none. */
    bool (*rmp_range)(void *opaque, uint64_t *base, uint64_t *end);
    /* All of its entries become 0. */
    void (*rmp_clear)(void *opaque);
    void (*rmp_enforce)(void *opaque, bool on);
    bool (*rmp_get)(void *opaque, uint64_t spa, PspRmp *entry);
    bool (*rmp_set)(void *opaque, uint64_t spa, const PspRmp *entry);

    /* EAX to EDX as the processor itself has them. */
    void (*cpuid)(void *opaque, uint32_t leaf, uint32_t index, uint32_t out[4]);
    void (*random)(void *opaque, void *data, size_t len);
    /* One line of JSON less its end, without the braces around it. */
    void (*log)(void *opaque, const char *fields);
} PspHost;

#endif
