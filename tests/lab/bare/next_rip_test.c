/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the VMCB says of the instruction that a guest exits at.
 * machine: -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=1
 */
#include "bare.h"

extern char pml4[], pds[];

#define GUEST(name, text)                                                      \
    void name(void);                                                           \
    asm(#name ": " text "\n vmmcall\n")

GUEST(runs_cpuid, "cpuid");
GUEST(moves_from_cr4, "movq %cr4, %r13");
GUEST(moves_to_cr0, "movq %cr0, %rbx; movq %rbx, %cr0");
GUEST(sets_am, "movq %cr0, %rdx; orl $0x40000, %edx; movq %rdx, %cr0");
GUEST(touches_nothing, "movabsq $0x180000000, %rsi; .byte 0x48; "
                       "movl 0x10(%rsi), %eax");

static void *with_npt(void (*code)(void))
{
    void *vmcb = guest_new(code);

    VMCB_U64(vmcb, VMCB_NESTED_CTL) = 1;
    VMCB_U64(vmcb, VMCB_NESTED_CR3) = (uintptr_t)pml4;
    return vmcb;
}

void test(void)
{
    void *vmcb = guest_new(runs_cpuid);

    VMCB_U64(vmcb, VMCB_INTERCEPT) |= 1ULL << INTERCEPT_CPUID;
    check_equal(guest_run(vmcb), EXIT_CPUID, "CPUID is intercepted");
    check_equal(VMCB_U64(vmcb, VMCB_NEXT_RIP), (uintptr_t)runs_cpuid + 2,
                "and the VMCB names the next instruction");
    VMCB_U64(vmcb, VMCB_RIP) = VMCB_U64(vmcb, VMCB_NEXT_RIP);
    check_equal(guest_run(vmcb), EXIT_VMMCALL, "where the guest goes on");
    check_equal(VMCB_U64(vmcb, VMCB_NEXT_RIP), (uintptr_t)runs_cpuid + 5,
                "VMMCALL is three bytes long");

    vmcb = guest_new(moves_from_cr4);
    VMCB_U16(vmcb, VMCB_CR_READ) = 1 << 4;
    check_equal(guest_run(vmcb), EXIT_READ_CR0 + 4, "CR4 is intercepted");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1), 1ULL << 63 | 13,
                "and the exit names the register that it goes to");
    check_equal(VMCB_U64(vmcb, VMCB_NEXT_RIP), (uintptr_t)moves_from_cr4 + 4,
                "whose prefix counts");

    vmcb = guest_new(moves_to_cr0);
    VMCB_U16(vmcb, VMCB_CR_WRITE) = 1;
    check_equal(guest_run(vmcb), EXIT_WRITE_CR0, "CR0 is intercepted");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1), 1ULL << 63 | 3,
                "and the exit names the register that it comes from");

    vmcb = guest_new(sets_am);
    VMCB_U64(vmcb, VMCB_INTERCEPT) |= 1ULL << INTERCEPT_CR0_SELECTIVE;
    check_equal(guest_run(vmcb), EXIT_CR0_SELECTIVE,
                "a write of CR0 beyond TS and MP is intercepted");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1), 1ULL << 63 | 2,
                "and names its register, too");

    /* 6 GiB: not mapped by the guest. Map it for it, but not by the host. */
    uint64_t *low = (uint64_t *)pml4;
    uint64_t *pdpt = (uint64_t *)(low[0] & ~0xfffULL);
    static uint64_t guest_pml4[512] __attribute__((aligned(4096)));
    static uint64_t guest_pdpt[512] __attribute__((aligned(4096)));

    for (int i = 0; i < 4; i++) {
        guest_pdpt[i] = pdpt[i];
    }
    guest_pdpt[6] = 6ULL << 30 | 0x87;
    guest_pml4[0] = (uintptr_t)guest_pdpt | 7;
    vmcb = with_npt(touches_nothing);
    VMCB_U64(vmcb, VMCB_CR3) = (uintptr_t)guest_pml4;
    check_equal(guest_run(vmcb), EXIT_NPF,
                "a page that the host has not "
                "mapped is a nested page fault");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_2), 0x180000010,
                "at the guest's physical address");
    check(*(volatile uint8_t *)((char *)vmcb + VMCB_INSN_LEN) >= 4 &&
              VMCB_U32(vmcb, VMCB_INSN) == 0x10468b48,
          "with the instruction's bytes");
}
