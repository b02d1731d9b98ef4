/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a CPU of the lab has besides an ordinary one's state. */
#ifndef I386_SEV_LAB_CPU_H
#define I386_SEV_LAB_CPU_H

typedef struct SevLabCPU {
    /* MSRs; SYSCFG without the bit that the firmware has set. */
    uint64_t syscfg;
    uint64_t hwcr;
    uint64_t ghcb;              /* the guest's, while it runs */

    /* Of the guest that runs; all zero in the host. */
    uint32_t asid;              /* 0: not encrypted */
    bool es;
    bool snp;
    uint8_t vmpl;
    uint64_t features;          /* SEV_FEATURES of its VMSA */
    uint64_t vmsa;              /* SPA */

    /* PVALIDATE or RMPADJUST looks for its page. */
    bool validating;

    /* The save area less its offset in a VMCB: of the VMCB, or the VMSA. */
    uint64_t state;
    /* The whole state of the guest has been loaded, so #VMEXIT saves it. */
    bool loaded;

    /* How many DEACTIVATEs there had been at the last WBINVD. */
    uint64_t written_back;
} SevLabCPU;

#endif
