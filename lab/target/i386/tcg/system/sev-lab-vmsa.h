/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An SEV-ES guest's registers, as VMRUN and #VMEXIT find and leave them. */
#ifndef I386_TCG_SEV_LAB_VMSA_H
#define I386_TCG_SEV_LAB_VMSA_H

#include "cpu.h"
#include "svm.h"

/* The save area of an SEV-ES guest, from the start of its VMSA. */
typedef struct QEMU_PACKED Vmsa {
    struct vmcb_seg segs[10];   /* ES CS SS DS FS GS GDTR LDTR IDTR TR */
    uint8_t reserved_a0[42];
    uint8_t vmpl;               /* 0xca */
    uint8_t cpl;
    uint8_t reserved_cc[4];
    uint64_t efer;
    uint8_t reserved_d8[104];
    uint64_t xss;               /* 0x140 */
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint64_t dr[4], dr_mask[4];
    uint8_t reserved_1c0[24];
    uint64_t rsp;               /* 0x1d8 */
    uint64_t s_cet, ssp, isst;
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;               /* 0x240 */
    uint8_t reserved_248[160];
    uint32_t pkru;              /* 0x2e8 */
    uint32_t tsc_aux;
    uint64_t tsc_scale, tsc_offset;
    uint8_t reserved_300[8];
    uint64_t gprs[15];          /* 0x308: RCX RDX RBX - RBP RSI RDI R8..R15 */
    uint8_t reserved_380[16];
    uint64_t exit_info_1, exit_info_2, exit_int_info, next_rip;
    uint64_t sev_features;      /* 0x3b0 */
    uint64_t vintr_ctrl, exit_code, virtual_tom, tlb_id, pcpu_id, event_inj;
    uint64_t xcr0;              /* 0x3e8 */
    uint8_t reserved_3f0[16];
    uint64_t x87_dp;            /* 0x400 */
    uint32_t mxcsr;
    uint16_t x87_ftw, x87_fsw, x87_fcw, x87_fop, x87_ds, x87_cs;
    uint64_t x87_rip;
    uint64_t x87_low[8];        /* of ST(0), ST(1) and so on */
    uint16_t x87_high[8];
    uint64_t xmm[16][2];
    uint64_t ymm[16][2];
} Vmsa;

/*
 * What VMRUN loads of an SEV-ES guest besides what it loads of any: from VMSA,
 * but of the FPU, from FPU.
 */
void sev_lab_vmsa_load(CPUX86State *env, const Vmsa *vmsa, const Vmsa *fpu);
/* … and #VMEXIT saves. */
void sev_lab_vmsa_save(CPUX86State *env, Vmsa *vmsa);

#endif
