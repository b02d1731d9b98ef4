/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMRUN and #VMEXIT of encrypted guests: what they check, what they swap
 * besides an ordinary guest's state, and what the host gets to see.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "svm.h"
#include "tcg/helper-tcg.h"
#include "sev-lab-vmsa.h"
#include "sev-lab-tcg.h"

#define NESTED_CTL_SEV      (1 << 1)
#define NESTED_CTL_ES       (1 << 2)

/* In a VMCB, where QEMU's own names end. */
#define VMCB_GHCB           0xa0
#define VMCB_NEXT_RIP       0xc8
#define VMCB_INSN_LENGTH    0xd0
#define VMCB_INSN_BYTES     0xd1
#define VMCB_VMSA           0x108

#define SEV_FEATURES_SNP    (1 << 0)

#define INT_STATE_GUEST_IF  (1 << 1)

#define EXIT_PAUSE          SVM_EXIT_PAUSE
#define EXIT_EFER_TRAP      0x8f
#define EXIT_CR_TRAP        0x90
#define EXIT_IDLE_HLT       0xa6
#define EXIT_BUS_LOCK       0xa5
#define EXIT_AVIC_INCOMPLETE_IPI 0x401
#define EXIT_AVIC_NOACCEL   0x402
#define EXIT_VMGEXIT        0x403

#define EXCP_VC             29

/* VMRUN */

/* The kind of key that an ASID is for. */
static bool asid_fits(uint32_t asid, bool es)
{
    return sev_lab_key_installed(asid) && asid <= sev_lab_asids() &&
           es == (asid <= sev_lab_es_asids());
}

/* The table guards an SNP guest's VMSA, and says whose it is. */
static bool is_snp_vmsa(CPUX86State *env, const SevLabRmp *rmp, uint32_t asid)
{
    return (env->lab.syscfg & SEV_LAB_SYSCFG_SNP) && rmp->vmsa &&
           rmp->validated && !rmp->immutable && rmp->asid == asid;
}

bool sev_lab_vmrun(CPUX86State *env, uint64_t nested_ctl, uint32_t asid)
{
    SevLabCPU *lab = &env->lab;
    bool es = nested_ctl & NESTED_CTL_ES, snp;
    SevLabRmp rmp;
    Vmsa *vmsa;

    lab->state = env->vm_vmcb;
    if (!(nested_ctl & NESTED_CTL_SEV)) {
        return !es;
    }
    if (sev_lab_kind() < (es ? SEV_LAB_ES : SEV_LAB_SEV) ||
        !(nested_ctl & SVM_NPT_ENABLED) || !asid_fits(asid, es)) {
        return false;
    }
    if (!es) {
        lab->asid = asid;
        return true;
    }
    lab->vmsa = x86_ldq_phys(env_cpu(env), env->vm_vmcb + VMCB_VMSA);
    snp = sev_lab_rmp_get(lab->vmsa, &rmp) && rmp.assigned;
    if (lab->vmsa % SEV_LAB_PAGE ||
        !(snp ? is_snp_vmsa(env, &rmp, asid)
              : sev_lab_vmsa_intact(lab->vmsa))) {
        return false;
    }
    vmsa = sev_lab_vmsa_open(asid, lab->vmsa);
    if (!vmsa) {
        return false;
    }
    if (!(vmsa->efer & MSR_EFER_SVME) ||
        vmsa->sev_features != (snp ? SEV_FEATURES_SNP : 0) ||
        vmsa->vmpl >= ARRAY_SIZE(rmp.perms)) {
        sev_lab_vmsa_close(lab->vmsa, false);
        return false;
    }
    lab->asid = asid;
    lab->es = true;
    lab->snp = snp;
    lab->vmpl = vmsa->vmpl;
    lab->features = vmsa->sev_features;
    lab->state = lab->vmsa - offsetof(struct vmcb, save);
    lab->ghcb = x86_ldq_phys(env_cpu(env), env->vm_vmcb + VMCB_GHCB);
    return true;
}

/* The guest's VMSA, while it is open. */
static Vmsa *open_vmsa(CPUX86State *env)
{
    return sev_lab_vmsa_open(env->lab.asid, env->lab.vmsa);
}

static void leave(CPUX86State *env)
{
    SevLabCPU *lab = &env->lab;

    lab->asid = 0;
    lab->es = lab->snp = lab->loaded = lab->validating = false;
    lab->features = lab->vmsa = lab->ghcb = lab->vmpl = 0;
}

void sev_lab_vmrun_loaded(CPUX86State *env)
{
    if (env->lab.es) {
        Vmsa vmsa;

        cpu_physical_memory_read(env->lab.vmsa, &vmsa, sizeof(vmsa));
        sev_lab_vmsa_load(env, &vmsa, &vmsa);
        sev_lab_vmsa_close(env->lab.vmsa, !env->lab.snp);
    }
    env->lab.loaded = true;
}

/* #VMEXIT */

bool sev_lab_vmexit_begin(CPUX86State *env)
{
    if (!env->lab.loaded) {
        /* The host's state is still in the registers. Nothing is saved. */
        if (env->lab.es) {
            sev_lab_vmsa_close(env->lab.vmsa, false);
        }
        env->hflags &= ~HF_INHIBIT_IRQ_MASK;
        env->hflags2 &= ~HF2_NPT_MASK;
        tlb_flush(env_cpu(env));
        return false;
    }
    if (env->lab.asid) {
        /* The host's CR3, when it is loaded, empties the TLB. */
        sev_lab_close();
    }
    if (env->lab.es) {
        open_vmsa(env);
    }
    return true;
}

void sev_lab_vmexit_saved(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    hwaddr int_state = env->vm_vmcb + offsetof(struct vmcb, control.int_state);
    Vmsa vmsa;

    if (!env->lab.es) {
        return;
    }
    cpu_physical_memory_read(env->lab.vmsa, &vmsa, sizeof(vmsa));
    sev_lab_vmsa_save(env, &vmsa);
    cpu_physical_memory_write(env->lab.vmsa, &vmsa, sizeof(vmsa));
    sev_lab_vmsa_close(env->lab.vmsa, !env->lab.snp);

    /* The host cannot see RFLAGS, and must know whether it may interrupt. */
    if (env->eflags & IF_MASK) {
        x86_stl_phys(cs, int_state,
                     x86_ldl_phys(cs, int_state) | INT_STATE_GUEST_IF);
    }
    x86_stq_phys(cs, env->vm_vmcb + VMCB_GHCB, env->lab.ghcb);
}

void sev_lab_vmexit_host(CPUX86State *env)
{
    if (env->lab.es && env->lab.loaded) {
        static const Vmsa initial = { .x87_fcw = 0x37f, .mxcsr = 0x1f80 };
        Vmsa host;

        cpu_physical_memory_read(env->vm_hsave + offsetof(struct vmcb, save),
                                 &host, sizeof(host));
        sev_lab_vmsa_load(env, &host, &initial);
    }
    leave(env);
}

/*
 * Exits of an SEV-ES guest that go to the host at once, without its #VC
 * handler ("automatic exits").
 */
static bool is_automatic(uint64_t exit_code, uint64_t info_1)
{
    switch (exit_code) {
    case SVM_EXIT_EXCP_BASE + EXCP12_MCHK:
    case SVM_EXIT_INTR:
    case SVM_EXIT_NMI:
    case SVM_EXIT_SMI:
    case SVM_EXIT_INIT:
    case SVM_EXIT_VINTR:
    case SVM_EXIT_PAUSE:
    case SVM_EXIT_HLT:
    case SVM_EXIT_SHUTDOWN:
    case EXIT_EFER_TRAP:
    case EXIT_CR_TRAP ... EXIT_CR_TRAP + 15:
    case EXIT_BUS_LOCK:
    case EXIT_IDLE_HLT:
    case EXIT_AVIC_INCOMPLETE_IPI:
    case EXIT_AVIC_NOACCEL:
    case EXIT_VMGEXIT:
    case (uint64_t)SVM_EXIT_ERR:
        return true;
    case SVM_EXIT_NPF:
        /* A reserved bit is how the host marks MMIO. */
        return !(info_1 & PG_ERROR_RSVD_MASK);
    default:
        return false;
    }
}

static G_NORETURN void raise_vc(CPUX86State *env, uint64_t exit_code)
{
    CPUState *cs = env_cpu(env);

    cs->exception_index = EXCP_VC;
    env->error_code = exit_code;
    env->exception_is_int = 0;
    env->exception_next_eip = env->eip;
    env->old_exception = -1;
    cpu_loop_exit(cs);
}

/* Whether an instruction, and no event, made the guest exit. */
static bool is_instruction(uint64_t exit_code)
{
    return exit_code < SVM_EXIT_EXCP_BASE ||
           (exit_code >= SVM_EXIT_CR0_SEL_WRITE && exit_code <= 0x8e &&
            exit_code != SVM_EXIT_SHUTDOWN &&
            exit_code != SVM_EXIT_TASK_SWITCH &&
            exit_code != SVM_EXIT_FERR_FREEZE) ||
           exit_code == 0xa2;   /* INVPCID */
}

void sev_lab_exit(CPUX86State *env, uint64_t exit_code, uint64_t *info_1)
{
    CPUState *cs = env_cpu(env);
    SevLabInsn insn;

    if (sev_lab_kind() == SEV_LAB_NONE || !env->lab.loaded) {
        return;
    }
    if (env->lab.es) {
        if (!is_automatic(exit_code, *info_1)) {
            raise_vc(env, exit_code);
        }
        /* The host cannot step over them. */
        if (exit_code == SVM_EXIT_HLT || exit_code == SVM_EXIT_PAUSE) {
            sev_lab_insn(env, &insn);
            env->eip += insn.length;
        }
        return;
    }
    if (is_instruction(exit_code)) {
        sev_lab_insn(env, &insn);
        x86_stq_phys(cs, env->vm_vmcb + VMCB_NEXT_RIP,
                     insn.length ? env->eip + insn.length : 0);
        if (insn.gpr >= 0 && (exit_code < SVM_EXIT_READ_DR0 ||
                              exit_code == SVM_EXIT_CR0_SEL_WRITE)) {
            /* Bit 63: a move, not LMSW or CLTS. */
            *info_1 = insn.gpr | 1ULL << 63;
        } else if (insn.gpr >= 0 && exit_code < SVM_EXIT_EXCP_BASE) {
            *info_1 = insn.gpr;
        } else if (exit_code == SVM_EXIT_INVLPG) {
            *info_1 = insn.address;
        }
    } else {
        x86_stq_phys(cs, env->vm_vmcb + VMCB_NEXT_RIP, 0);
    }
    if (exit_code == SVM_EXIT_NPF ||
        exit_code == SVM_EXIT_EXCP_BASE + EXCP0E_PAGE) {
        sev_lab_insn(env, &insn);
        x86_stb_phys(cs, env->vm_vmcb + VMCB_INSN_LENGTH, insn.fetched);
        for (int i = 0; i < insn.fetched; i++) {
            x86_stb_phys(cs, env->vm_vmcb + VMCB_INSN_BYTES + i,
                         insn.bytes[i]);
        }
    } else {
        x86_stb_phys(cs, env->vm_vmcb + VMCB_INSN_LENGTH, 0);
    }
}

void sev_lab_trap(CPUX86State *env, uint32_t exit_code, uint64_t value,
                  uintptr_t retaddr)
{
    SevLabInsn insn;

    if (!env->lab.es || !cpu_svm_has_intercept(env, exit_code)) {
        return;
    }
    cpu_restore_state(env_cpu(env), retaddr);
    sev_lab_insn(env, &insn);
    env->eip += insn.length;
    cpu_vmexit(env, exit_code, value, 0);
}

bool sev_lab_vmgexit(CPUX86State *env, uintptr_t retaddr)
{
    SevLabInsn insn;

    if (!env->lab.es) {
        return false;
    }
    cpu_restore_state(env_cpu(env), retaddr);
    sev_lab_insn(env, &insn);
    if (!insn.prefix) {
        return false;
    }
    env->eip += insn.length;
    cpu_vmexit(env, EXIT_VMGEXIT, 0, 0);
}
