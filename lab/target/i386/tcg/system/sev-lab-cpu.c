/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What software can ask of a CPU of the lab: CPUID and MSRs. */
#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "exec/helper-proto.h"
#include "sev-lab-tcg.h"

#define MSR_SYSCFG          0xc0010010
#define MSR_HWCR            0xc0010015
#define MSR_GHCB            0xc0010130
#define MSR_SEV_STATUS      0xc0010131
#define MSR_RMP_BASE        0xc0010132
#define MSR_RMP_END         0xc0010133

#define SYSCFG_MEM_ENCRYPT  (1ULL << 23)
#define SYSCFG_SNP          SEV_LAB_SYSCFG_SNP
#define SYSCFG_SNP_VMPL     (1ULL << 25)
#define HWCR_SMM_LOCK       (1ULL << 0)

#define VMPLS               4

static X86CPU *any_cpu(void)
{
    return first_cpu ? X86_CPU(first_cpu) : NULL;
}

SevLabKind sev_lab_kind(void)
{
    return any_cpu() ? any_cpu()->sev_lab : SEV_LAB_NONE;
}

uint32_t sev_lab_asids(void)
{
    return any_cpu() ? any_cpu()->sev_lab_asids : 0;
}

uint32_t sev_lab_es_asids(void)
{
    return sev_lab_kind() >= SEV_LAB_ES ? any_cpu()->sev_lab_es_asids : 0;
}

void sev_lab_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                   uint32_t *edx)
{
    SevLabKind kind = cpu->sev_lab;

    if (kind == SEV_LAB_NONE) {
        return;
    }
    *eax = 1 << 1;              /* SEV */
    *eax |= 1 << 10;            /* caches are coherent across keys */
    if (kind >= SEV_LAB_ES) {
        *eax |= 1 << 3;
    }
    *ebx = SEV_LAB_C_BIT;
    if (kind >= SEV_LAB_SNP) {
        *eax |= 1 << 4 | 1 << 5;        /* SNP, VMPLs */
        *ebx |= VMPLS << 12;
    }
    *ecx = cpu->sev_lab_asids;
    *edx = kind >= SEV_LAB_ES ? cpu->sev_lab_es_asids + 1 : 1;
}

/* What a guest may always ask, whatever its host intercepts. */
static bool guest_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_GHCB:
        *value = env->lab.ghcb;
        return env->lab.es;
    case MSR_SEV_STATUS:
        *value = 1 | env->lab.es << 1 | env->lab.features << 2;
        return env->lab.asid;
    default:
        return false;
    }
}

bool sev_lab_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value)
{
    hwaddr base, end;

    if (env->hflags & HF_GUEST_MASK) {
        return guest_rdmsr(env, msr, value);
    }
    if (sev_lab_kind() == SEV_LAB_NONE) {
        return false;
    }
    switch (msr) {
    case MSR_SYSCFG:
        *value = env->lab.syscfg | SYSCFG_MEM_ENCRYPT;
        return true;
    case MSR_HWCR:
        *value = env->lab.hwcr | HWCR_SMM_LOCK;
        return true;
    case MSR_RMP_BASE:
    case MSR_RMP_END:
        sev_lab_rmp_range(&base, &end);
        *value = msr == MSR_RMP_BASE ? base : end;
        return true;
    default:
        return false;
    }
}

bool sev_lab_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value,
                   uintptr_t retaddr)
{
    hwaddr base, end;

    if (env->hflags & HF_GUEST_MASK) {
        if (msr == MSR_GHCB && env->lab.es) {
            env->lab.ghcb = value;
            return true;
        }
        if (msr == MSR_SEV_STATUS && env->lab.asid) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        return false;
    }
    if (sev_lab_kind() == SEV_LAB_NONE) {
        return false;
    }
    switch (msr) {
    case MSR_SYSCFG:
        if (sev_lab_kind() < SEV_LAB_SNP) {
            value &= ~(SYSCFG_SNP | SYSCFG_SNP_VMPL);
        }
        /* Once set, they stay until the machine is reset. */
        env->lab.syscfg = value |
            (env->lab.syscfg & (SYSCFG_SNP | SYSCFG_SNP_VMPL));
        return true;
    case MSR_HWCR:
        env->lab.hwcr = value;
        return true;
    case MSR_RMP_BASE:
    case MSR_RMP_END:
        if (env->lab.syscfg & SYSCFG_SNP) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        sev_lab_rmp_range(&base, &end);
        if (msr == MSR_RMP_BASE) {
            sev_lab_rmp_place(value, end);
        } else {
            sev_lab_rmp_place(base, value);
        }
        return true;
    default:
        return false;
    }
}

void helper_sev_lab_wbinvd(CPUX86State *env)
{
    sev_lab_wbinvd(env);
}
