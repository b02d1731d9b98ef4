/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A control register is intercepted by its own number, and no other. */
#include "bare.h"

static void reads_cr4_then_cr0(void)
{
    asm volatile("movq %%cr4, %%rax; movq %%cr0, %%rax; vmmcall" ::: "rax");
}

void test(void)
{
    void *vmcb = guest_new(reads_cr4_then_cr0);

    VMCB_U16(vmcb, VMCB_CR_READ) = 1 << 4;
    check_equal(guest_run(vmcb), EXIT_READ_CR0 + 4,
                "a guest that reads CR4 exits as one that reads CR4");

    vmcb = guest_new(reads_cr4_then_cr0);
    VMCB_U16(vmcb, VMCB_CR_READ) = 1 << 0;
    check_equal(guest_run(vmcb), EXIT_READ_CR0,
                "a guest that reads CR0 exits as one that reads CR0");
    check_equal(*(uint8_t *)VMCB_U64(vmcb, VMCB_RIP) == 0x0f &&
                    ((uint8_t *)VMCB_U64(vmcb, VMCB_RIP))[2] == 0xc0,
                true, "and does so at CR0, not where it read CR4");

    vmcb = guest_new(reads_cr4_then_cr0);
    check_equal(guest_run(vmcb), EXIT_VMMCALL,
                "a guest whose reads are not intercepted reads both");
}
