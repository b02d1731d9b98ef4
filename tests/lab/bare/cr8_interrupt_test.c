/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that lowers CR8 below a pending virtual interrupt gets it. */
#include "bare.h"

static void lowers_cr8(void)
{
    asm volatile("movq %0, %%cr8; sti; nop; nop; vmmcall" ::"r"(0ULL));
}

void test(void)
{
    void *vmcb = guest_new(lowers_cr8);

    /* V_TPR 15, V_IRQ of priority 3, V_INTR_MASKING. */
    VMCB_U32(vmcb, VMCB_INT_CTL) = 15 | 1 << 8 | 3 << 16 | 1 << 24;
    VMCB_U32(vmcb, VMCB_INT_VECTOR) = 0x30;
    VMCB_U64(vmcb, VMCB_INTERCEPT) |= 1ULL << (EXIT_VINTR - 0x60);
    check_equal(guest_run(vmcb), EXIT_VINTR,
                "a write of CR8 lets the virtual interrupt through");
}
