/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test that is the whole software of an emulated machine: no kernel, nothing
 * but itself between it and the CPU. Each says what it found, on the serial port.
 */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The test: calls check() for each of its sentences. */
void test(void);

void print(const char *format, ...); /* %s %x (64 bits) */
void check(bool holds, const char *sentence);
/* As check(), and says both values if they differ. */
void check_equal(uint64_t found, uint64_t wanted, const char *sentence);

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value),
                 "d"((uint32_t)(value >> 32))
                 : "memory");
}

static inline void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/*
 * Faults. The first one inside of TRY ends it:
 *     if (TRY) { access; bare_end_try(); } else { last_fault says which }
 */
struct fault {
    uint64_t vector;
    uint64_t error;
    uint64_t cr2;
};
extern struct fault last_fault;
int bare_try(void) __attribute__((returns_twice));
void bare_end_try(void);
#define TRY (bare_try() == 0)

/*
 * The secure processor: sends a command with SIZE bytes of argument, which are
 * read back, and returns its status.
 */
uint32_t psp(uint32_t command, void *argument, uint32_t size);

enum {
    PSP_INIT = 0x01,
    PSP_DF_FLUSH = 0x0a,
    PSP_DECOMMISSION = 0x20,
    PSP_ACTIVATE = 0x21,
    PSP_DEACTIVATE = 0x22,
    PSP_LAUNCH_START = 0x30,
    PSP_LAUNCH_UPDATE_DATA = 0x31,
    PSP_LAUNCH_UPDATE_VMSA = 0x32,
    PSP_LAUNCH_MEASURE = 0x33,
    PSP_LAUNCH_FINISH = 0x35
};

/* Makes the platform ready, and a guest with this policy and ASID. */
uint32_t psp_guest_new(uint32_t policy, uint32_t asid);
/* Encrypts what is there, for the guest. */
void psp_encrypt(uint32_t handle, const void *at, uint32_t length);
void psp_seal_vmsa(uint32_t handle, const void *vmsa);

/* A guest with a page table of its own and one virtual CPU. */
struct vmcb_seg {
    uint16_t selector, attrib;
    uint32_t limit;
    uint64_t base;
} __attribute__((packed));

#define VMCB_U16(vmcb, at) (*(volatile uint16_t *)((char *)(vmcb) + (at)))
#define VMCB_U32(vmcb, at) (*(volatile uint32_t *)((char *)(vmcb) + (at)))
#define VMCB_U64(vmcb, at) (*(volatile uint64_t *)((char *)(vmcb) + (at)))

/* Offsets in the VMCB. */
enum {
    VMCB_CR_READ = 0x00,
    VMCB_CR_WRITE = 0x02,
    VMCB_EXCEPTIONS = 0x08,
    VMCB_INTERCEPT = 0x0c,
    VMCB_IOPM = 0x40,
    VMCB_MSRPM = 0x48,
    VMCB_ASID = 0x58,
    VMCB_INT_CTL = 0x60,
    VMCB_INT_VECTOR = 0x64,
    VMCB_INT_STATE = 0x68,
    VMCB_EXIT_CODE = 0x70,
    VMCB_EXIT_INFO_1 = 0x78,
    VMCB_EXIT_INFO_2 = 0x80,
    VMCB_NESTED_CTL = 0x90,
    VMCB_GHCB = 0xa0,
    VMCB_NESTED_CR3 = 0xb0,
    VMCB_NEXT_RIP = 0xc8,
    VMCB_INSN_LEN = 0xd0,
    VMCB_INSN = 0xd1,
    VMCB_VMSA = 0x108,
    VMCB_SAVE = 0x400,
    VMCB_CPL = 0x4cb,
    VMCB_EFER = 0x4d0,
    VMCB_CR4 = 0x548,
    VMCB_CR3 = 0x550,
    VMCB_CR0 = 0x558,
    VMCB_DR7 = 0x560,
    VMCB_DR6 = 0x568,
    VMCB_RFLAGS = 0x570,
    VMCB_RIP = 0x578,
    VMCB_RSP = 0x5d8,
    VMCB_RAX = 0x5f8,
};

/* Intercepts of VMCB_INTERCEPT, by number of their bit. */
enum {
    INTERCEPT_CR0_SELECTIVE = 5,
    INTERCEPT_CPUID = 18,
    INTERCEPT_HLT = 24,
    INTERCEPT_SHUTDOWN = 31,
    INTERCEPT_VMRUN = 32,
    INTERCEPT_VMMCALL = 33
};

enum {
    EXIT_READ_CR0 = 0x00,
    EXIT_WRITE_CR0 = 0x10,
    EXIT_VINTR = 0x64,
    EXIT_CR0_SELECTIVE = 0x65,
    EXIT_CPUID = 0x72,
    EXIT_HLT = 0x78,
    EXIT_SHUTDOWN = 0x7f,
    EXIT_VMMCALL = 0x81,
    EXIT_NPF = 0x400,
    EXIT_VMGEXIT = 0x403
};
#define EXIT_INVALID (~0ULL)

/* A VMCB whose guest begins at CODE in our own mappings and mode. */
void *guest_new(void (*code)(void));
/* Runs it until it exits, and says why. */
uint64_t guest_run(void *vmcb);

#endif
