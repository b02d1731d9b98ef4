/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An encrypted guest in 64-bit mode: its memory, with page tables of its own
 * that map the first GiB privately, and again from 1 GiB on as shared.
 */
#ifndef ENCRYPTED_H
#define ENCRYPTED_H

#include "bare.h"

#define SHARED 0x40000000ULL
#define C_BIT (1ULL << 51)

struct guest_memory {
    uint8_t code[4096];
    uint64_t gdt[32];
    struct {
        uint64_t low, high;
    } idt[32];
    uint8_t pad[4096 - 32 * 24];
    uint8_t stack[4096];
    uint64_t data[512];
    uint64_t other[512];
    uint64_t pml4[512], pdpt[512], pd[512], shared_pd[512];
} __attribute__((aligned(4096)));

extern struct guest_memory guest;

/* Fills it in, with the code from CODE to END. */
void guest_memory_fill(const void *code, const void *end);
/* The same, and encrypts all of it. */
void guest_memory_new(uint32_t handle, const void *code, const void *end);

/* An encrypted VMCB; with a VMSA if that is given, which is filled in. */
void *encrypted_vmcb(uint32_t asid, uint64_t *vmsa);

#endif
