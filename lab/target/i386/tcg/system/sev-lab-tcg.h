/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What QEMU's TCG calls in the lab, and what the lab's files share. */
#ifndef I386_TCG_SEV_LAB_TCG_H
#define I386_TCG_SEV_LAB_TCG_H

#include "exec/hwaddr.h"
#include "hw/i386/sev-lab.h"

/* In SYSCFG: the CPU checks the reverse map table. */
#define SEV_LAB_SYSCFG_SNP (1ULL << 24)

#define SEV_LAB_C_MASK (1ULL << SEV_LAB_C_BIT)

/* sev-lab-memory.c: which view of RAM a guest has. */

/*
 * From now on the guest that runs sees the page at SPA decrypted, or as it is.
 * Flushes the CPU's TLB if it saw the page otherwise before.
 */
void sev_lab_see(CPUX86State *env, hwaddr spa, bool encrypted);
/*
 * A page comes into the CPU's TLB for an access by the guest, or for a fetch
 * by anybody. Takes away from PROT what only a later fill can tell.
 */
void sev_lab_fill(CPUX86State *env, MMUAccessType access, int mmu_idx,
                  hwaddr paddr, bool encrypted, int *prot);
/* Turns all open pages back; the caller flushes the TLB. */
bool sev_lab_close(void);
/* The same for a CPU that leaves its guest's code for a while. */
void sev_lab_pause(CPUX86State *env);

/*
 * A VMSA between VMRUN and #VMEXIT: opened for the processor alone. NULL if it
 * is no RAM.
 */
void *sev_lab_vmsa_open(uint32_t asid, hwaddr spa);
void sev_lab_vmsa_close(hwaddr spa, bool guarded);

/* sev-lab-vm.c: VMRUN and #VMEXIT. */

/*
 * The guest of NESTED_CTL and ASID may be run: its keys, its ASID, its VMSA.
 * Then its save area is at env->lab.state.
 */
bool sev_lab_vmrun(CPUX86State *env, uint64_t nested_ctl, uint32_t asid);
/* All that VMRUN loads besides, when nothing can fail any more. */
void sev_lab_vmrun_loaded(CPUX86State *env);
/* False: VMRUN failed, and there is no guest's state to be saved. */
bool sev_lab_vmexit_begin(CPUX86State *env);
void sev_lab_vmexit_saved(CPUX86State *env);
void sev_lab_vmexit_host(CPUX86State *env);

/*
 * The guest exits, its state is that of the instruction. Fills in what the
 * VMCB says of it. An exit that the host of an SEV-ES guest may not see
 * becomes #VC, and this does not return.
 */
void sev_lab_exit(CPUX86State *env, uint64_t exit_code, uint64_t *info_1);
/* After a write of CR0, CR4, CR8 or EFER by an SEV-ES guest. */
void sev_lab_trap(CPUX86State *env, uint32_t exit_code, uint64_t value,
                  uintptr_t retaddr);
/* VMMCALL, or with a prefix VMGEXIT. True: it was handled. */
bool sev_lab_vmgexit(CPUX86State *env, uintptr_t retaddr);

/* sev-lab-insn.c: what the VMCB says of an instruction. */

typedef struct SevLabInsn {
    uint8_t bytes[15];
    int fetched;
    int length;                 /* 0: not known */
    int prefix;                 /* 0, 0xf2 or 0xf3 */
    int gpr;                    /* of a move to or from CR or DR, or -1 */
    target_ulong address;       /* of an operand in memory */
} SevLabInsn;

/* The instruction at the guest's RIP, as far as it can be read. */
void sev_lab_insn(CPUX86State *env, SevLabInsn *insn);

/* sev-lab-cpu.c: CPUID and MSRs. True: it is one of the lab's. */
void sev_lab_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                   uint32_t *edx);
bool sev_lab_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value);
bool sev_lab_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value,
                   uintptr_t retaddr);
/* WBINVD and WBNOINVD. */
void sev_lab_wbinvd(CPUX86State *env);

/* sev-lab-rmp.c: the reverse map table. */

/* Where the machine's firmware has put it: of RAM up to and with END. */
void sev_lab_rmp_place(hwaddr base, hwaddr end);

/* Bits of a nested page fault's exit information. */
#define SEV_LAB_NPF_RMP         (1ULL << 31)
#define SEV_LAB_NPF_ENCRYPTED   (1ULL << 34)
#define SEV_LAB_NPF_SIZE        (1ULL << 35)
#define SEV_LAB_NPF_VMPL        (1ULL << 36)

/* The error code of #VC for a page that the guest has not validated. */
#define SEV_LAB_VC_NOT_VALIDATED 0x404

/*
 * The host's access to a page of SPA, mapped with PAGE_SIZE. Takes away from
 * PROT what the table forbids; false: ACCESS itself.
 */
bool sev_lab_rmp_host(CPUX86State *env, hwaddr spa, int page_size,
                      MMUAccessType access, int *prot);
/*
 * The same for a guest's. False: *NPF says how the host sees the fault, or is
 * 0 and the guest gets #VC.
 */
bool sev_lab_rmp_guest(CPUX86State *env, hwaddr gpa, hwaddr spa,
                       uint64_t nested_size, MMUAccessType access,
                       bool encrypted, int *prot, uint64_t *npf);

/* sev-lab-memory.c: what is at SPA as the emulator has it, NULL if no RAM. */
uint8_t *sev_lab_ram(hwaddr page);
uint8_t *sev_lab_ram_range(hwaddr spa, hwaddr size);

/* What an address of the guest names, without the C-bit if it has one. */
static inline uint64_t sev_lab_address(CPUX86State *env, uint64_t address)
{
    return env->lab.asid ? address & ~SEV_LAB_C_MASK : address;
}

#endif
