/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bare.h"

#include <stdarg.h>

#define PAGE 4096

struct gate {
    uint16_t low, selector, flags, middle;
    uint32_t high, reserved;
};

struct fault last_fault;
static struct gate idt[32] __attribute__((aligned(16)));
uint64_t resume[8];
bool armed;
static bool failed;

static uint8_t host_save[PAGE] __attribute__((aligned(PAGE)));
static uint8_t vmcb_page[PAGE] __attribute__((aligned(PAGE)));
static uint8_t permissions[3 * PAGE] __attribute__((aligned(PAGE)));
static uint8_t guest_stack[PAGE] __attribute__((aligned(PAGE)));

extern char pml4[];

static void put(char c)
{
    outb(0x3f8, c);
}

static void put_string(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        if (format[0] == '%' && format[1] == 's') {
            put_string(va_arg(args, const char *));
            format++;
        } else if (format[0] == '%' && format[1] == 'x') {
            uint64_t value = va_arg(args, uint64_t);

            for (int shift = 60; shift >= 0; shift -= 4) {
                if (value >> shift || !shift) {
                    put("0123456789abcdef"[value >> shift & 15]);
                }
            }
            format++;
        } else {
            put(*format);
        }
    }
    va_end(args);
}

void check(bool holds, const char *sentence)
{
    print("%s: %s\n", holds ? "ok" : "FAILED", sentence);
    failed |= !holds;
}

void check_equal(uint64_t found, uint64_t wanted, const char *sentence)
{
    check(found == wanted, sentence);
    if (found != wanted) {
        print("  found %x, wanted %x\n", found, wanted);
    }
}

/*
 * Keeps the caller's registers and its return address; a fault goes back there
 * with 1.
 */
asm(".globl bare_try\n"
    "bare_try:\n"
    "    movq (%rsp), %rax\n"
    "    movq %rax, resume\n"
    "    leaq 8(%rsp), %rax\n"
    "    movq %rax, resume + 8\n"
    "    movq %rbx, resume + 16\n"
    "    movq %rbp, resume + 24\n"
    "    movq %r12, resume + 32\n"
    "    movq %r13, resume + 40\n"
    "    movq %r14, resume + 48\n"
    "    movq %r15, resume + 56\n"
    "    movb $1, armed\n"
    "    xorl %eax, %eax\n"
    "    ret\n"
    "bare_resume:\n"
    "    movq resume + 8, %rsp\n"
    "    movq resume + 16, %rbx\n"
    "    movq resume + 24, %rbp\n"
    "    movq resume + 32, %r12\n"
    "    movq resume + 40, %r13\n"
    "    movq resume + 48, %r14\n"
    "    movq resume + 56, %r15\n"
    "    movl $1, %eax\n"
    "    jmp *resume\n");

/* An entry for each vector, which pushes what the CPU does not. */
asm(".altmacro\n"
    ".macro entry n\n"
    "    .align 16\n"
    "    .if (\\n == 8) || (\\n >= 10 && \\n <= 14) || (\\n == 17) || "
    "(\\n == 29)\n"
    "    .else\n"
    "    pushq $0\n"
    "    .endif\n"
    "    pushq $\\n\n"
    "    jmp bare_entered\n"
    ".endm\n"
    "    .align 16\n"
    "bare_entries:\n"
    ".set n, 0\n"
    ".rept 32\n"
    "    entry %n\n"
    "    .set n, n + 1\n"
    ".endr\n"
    "bare_entered:\n"
    "    movq %rsp, %rdi\n"
    "    jmp bare_faulted\n");

void bare_end_try(void)
{
    armed = false;
}

extern char bare_entries[];
void bare_resume(void);

__attribute__((used, noreturn)) void bare_faulted(uint64_t *frame)
{
    last_fault.vector = frame[0];
    last_fault.error = frame[1];
    asm("movq %%cr2, %0" : "=r"(last_fault.cr2));
    if (!armed) {
        print("FAILED: fault %x, error %x, address %x at %x\n", frame[0],
              frame[1], last_fault.cr2, frame[2]);
        outb(0xf4, 1);
    }
    armed = false;
    bare_resume();
    __builtin_unreachable();
}

static void set_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uintptr_t)idt};

    for (int i = 0; i < 32; i++) {
        uint64_t entry = (uintptr_t)bare_entries + 16 * i;

        idt[i] = (struct gate){entry, 8, 0x8e00, entry >> 16, entry >> 32, 0};
    }
    asm volatile("lidt %0" ::"m"(idtr));
}

static void set_segment(void *vmcb, int index, uint16_t selector,
                        uint16_t attrib, uint32_t limit)
{
    struct vmcb_seg *segment = (struct vmcb_seg *)((char *)vmcb + VMCB_SAVE);

    segment[index] = (struct vmcb_seg){selector, attrib, limit, 0};
}

void *guest_new(void (*code)(void))
{
    void *vmcb = vmcb_page;
    uint64_t cr0, cr4;

    asm("movq %%cr0, %0; movq %%cr4, %1" : "=r"(cr0), "=r"(cr4));
    memset(vmcb, 0, PAGE);
    VMCB_U64(vmcb, VMCB_INTERCEPT) = 1ULL << INTERCEPT_VMRUN |
                                     1ULL << INTERCEPT_VMMCALL |
                                     1ULL << INTERCEPT_HLT |
                                     1ULL << INTERCEPT_SHUTDOWN;
    VMCB_U64(vmcb, VMCB_IOPM) = (uintptr_t)permissions;
    VMCB_U64(vmcb, VMCB_MSRPM) = (uintptr_t)permissions;
    VMCB_U32(vmcb, VMCB_ASID) = 1;
    for (int i = 0; i < 4; i++) {
        set_segment(vmcb, i, i == 1 ? 8 : 16, i == 1 ? 0xa9b : 0xc93, -1);
    }
    set_segment(vmcb, 7, 0, 0x82, 0xffff); /* LDTR */
    set_segment(vmcb, 9, 0, 0x8b, 0xffff); /* TR */
    VMCB_U64(vmcb, VMCB_EFER) = rdmsr(0xc0000080);
    VMCB_U64(vmcb, VMCB_CR0) = cr0;
    VMCB_U64(vmcb, VMCB_CR3) = (uintptr_t)pml4;
    VMCB_U64(vmcb, VMCB_CR4) = cr4;
    VMCB_U64(vmcb, VMCB_DR6) = 0xffff0ff0;
    VMCB_U64(vmcb, VMCB_DR7) = 0x400;
    VMCB_U64(vmcb, VMCB_RFLAGS) = 2;
    VMCB_U64(vmcb, VMCB_RIP) = (uintptr_t)code;
    VMCB_U64(vmcb, VMCB_RSP) = (uintptr_t)guest_stack + PAGE;
    return vmcb;
}

uint64_t guest_run(void *vmcb)
{
    asm volatile("pushq %%rbp; clgi; vmrun; stgi; popq %%rbp"
                 : "+a"(vmcb)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
                   "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return VMCB_U64(vmcb_page, VMCB_EXIT_CODE);
}

__attribute__((used)) void bare_main(void)
{
    /* No interrupts: of the two PICs, all are masked. */
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    set_idt();
    wrmsr(0xc0010117, (uintptr_t)host_save); /* VM_HSAVE_PA */
    test();
    print("%s\n", failed ? "bare: failed" : "bare: passed");
    /* QEMU's isa-debug-exit. */
    outb(0xf4, failed);
}

/* What the compiler calls by itself. */

void *memcpy(void *to, const void *from, size_t size)
{
    void *start = to;

    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
    return start;
}

void *memset(void *at, int value, size_t size)
{
    void *start = at;

    asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *one, const void *other, size_t size)
{
    const uint8_t *a = one, *b = other;

    while (size && *a == *b) {
        a++, b++, size--;
    }
    return size ? *a - *b : 0;
}
