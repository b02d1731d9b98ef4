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

QEMU_BUILD_BUG_ON(offsetof(Vmsa, efer) != 0xd0);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, xss) != 0x140);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, rsp) != 0x1d8);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, cr2) != 0x240);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, pkru) != 0x2e8);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, gprs) != 0x308);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, sev_features) != 0x3b0);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, xcr0) != 0x3e8);
QEMU_BUILD_BUG_ON(offsetof(Vmsa, x87_dp) != 0x400);
QEMU_BUILD_BUG_ON(sizeof(Vmsa) != 0x670);

enum { VMSA_FS = 4, VMSA_GS = 5, VMSA_LDTR = 7, VMSA_TR = 9 };

/* QEMU's numbers of the registers in Vmsa.gprs; RSP has its own place. */
static const uint8_t gprs[15] = {
    R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI, 8, 9, 10, 11, 12, 13, 14,
    15,
};

static void load_segment(SegmentCache *segment, const struct vmcb_seg *from)
{
    segment->selector = from->selector;
    segment->base = from->base;
    segment->limit = from->limit;
    segment->flags = (from->attrib & 0xff) << 8 | (from->attrib & 0xf00) << 12;
}

static void save_segment(struct vmcb_seg *to, const SegmentCache *segment)
{
    to->selector = segment->selector;
    to->base = segment->base;
    to->limit = segment->limit;
    to->attrib = ((segment->flags >> 8) & 0xff) |
                 ((segment->flags >> 12) & 0xf00);
}

/* What VMLOAD loads. */
static void load_more_segments(CPUX86State *env, const Vmsa *vmsa)
{
    SegmentCache segment;

    load_segment(&segment, &vmsa->segs[VMSA_FS]);
    cpu_x86_load_seg_cache(env, R_FS, segment.selector, segment.base,
                           segment.limit, segment.flags);
    load_segment(&segment, &vmsa->segs[VMSA_GS]);
    cpu_x86_load_seg_cache(env, R_GS, segment.selector, segment.base,
                           segment.limit, segment.flags);
    load_segment(&env->tr, &vmsa->segs[VMSA_TR]);
    load_segment(&env->ldt, &vmsa->segs[VMSA_LDTR]);
    env->star = vmsa->star;
    env->lstar = vmsa->lstar;
    env->cstar = vmsa->cstar;
    env->fmask = vmsa->sfmask;
    env->kernelgsbase = vmsa->kernel_gs_base;
    env->sysenter_cs = vmsa->sysenter_cs;
    env->sysenter_esp = vmsa->sysenter_esp;
    env->sysenter_eip = vmsa->sysenter_eip;
}

static void save_more_segments(CPUX86State *env, Vmsa *vmsa)
{
    save_segment(&vmsa->segs[VMSA_FS], &env->segs[R_FS]);
    save_segment(&vmsa->segs[VMSA_GS], &env->segs[R_GS]);
    save_segment(&vmsa->segs[VMSA_TR], &env->tr);
    save_segment(&vmsa->segs[VMSA_LDTR], &env->ldt);
    vmsa->star = env->star;
    vmsa->lstar = env->lstar;
    vmsa->cstar = env->cstar;
    vmsa->sfmask = env->fmask;
    vmsa->kernel_gs_base = env->kernelgsbase;
    vmsa->sysenter_cs = env->sysenter_cs;
    vmsa->sysenter_esp = env->sysenter_esp;
    vmsa->sysenter_eip = env->sysenter_eip;
}

static void load_registers(CPUX86State *env, const Vmsa *vmsa)
{
    for (int i = 0; i < ARRAY_SIZE(gprs); i++) {
        if (gprs[i] != R_ESP) {
            env->regs[gprs[i]] = vmsa->gprs[i];
        }
    }
    env->pkru = vmsa->pkru;
    env->xcr0 = vmsa->xcr0 | XSTATE_FP_MASK;
    cpu_sync_bndcs_hflags(env);
    cpu_sync_avx_hflag(env);
}

static void save_registers(CPUX86State *env, Vmsa *vmsa)
{
    for (int i = 0; i < ARRAY_SIZE(gprs); i++) {
        if (gprs[i] != R_ESP) {
            vmsa->gprs[i] = env->regs[gprs[i]];
        }
    }
    vmsa->pkru = env->pkru;
    vmsa->xcr0 = env->xcr0;
}

static void load_fpu(CPUX86State *env, const Vmsa *vmsa)
{
    env->fpdp = vmsa->x87_dp;
    env->fpip = vmsa->x87_rip;
    env->fpop = vmsa->x87_fop;
    env->fpcs = vmsa->x87_cs;
    env->fpds = vmsa->x87_ds;
    env->fpus = vmsa->x87_fsw & ~0x3800;
    env->fpstt = (vmsa->x87_fsw >> 11) & 7;
    for (int i = 0; i < 8; i++) {
        FPReg *reg = &env->fpregs[(env->fpstt + i) & 7];

        /* The tag word as FXSAVE has it: a bit for each full register. */
        env->fptags[i] = !((vmsa->x87_ftw >> i) & 1);
        reg->d.low = vmsa->x87_low[i];
        reg->d.high = vmsa->x87_high[i];
    }
    cpu_set_fpuc(env, vmsa->x87_fcw);
    cpu_set_mxcsr(env, vmsa->mxcsr);
    for (int i = 0; i < 16; i++) {
        ZMMReg *reg = &env->xmm_regs[i];

        reg->ZMM_Q(0) = vmsa->xmm[i][0];
        reg->ZMM_Q(1) = vmsa->xmm[i][1];
        reg->ZMM_Q(2) = vmsa->ymm[i][0];
        reg->ZMM_Q(3) = vmsa->ymm[i][1];
    }
}

static void save_fpu(CPUX86State *env, Vmsa *vmsa)
{
    vmsa->x87_dp = env->fpdp;
    vmsa->x87_rip = env->fpip;
    vmsa->x87_fop = env->fpop;
    vmsa->x87_cs = env->fpcs;
    vmsa->x87_ds = env->fpds;
    vmsa->x87_fsw = (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
    vmsa->x87_fcw = env->fpuc;
    vmsa->x87_ftw = 0;
    for (int i = 0; i < 8; i++) {
        FPReg *reg = &env->fpregs[(env->fpstt + i) & 7];

        vmsa->x87_ftw |= !env->fptags[i] << i;
        vmsa->x87_low[i] = reg->d.low;
        vmsa->x87_high[i] = reg->d.high;
    }
    update_mxcsr_from_sse_status(env);
    vmsa->mxcsr = env->mxcsr;
    for (int i = 0; i < 16; i++) {
        ZMMReg *reg = &env->xmm_regs[i];

        vmsa->xmm[i][0] = reg->ZMM_Q(0);
        vmsa->xmm[i][1] = reg->ZMM_Q(1);
        vmsa->ymm[i][0] = reg->ZMM_Q(2);
        vmsa->ymm[i][1] = reg->ZMM_Q(3);
    }
}

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
        load_more_segments(env, &vmsa);
        load_registers(env, &vmsa);
        load_fpu(env, &vmsa);
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
    save_more_segments(env, &vmsa);
    save_registers(env, &vmsa);
    save_fpu(env, &vmsa);
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
        load_more_segments(env, &host);
        load_registers(env, &host);
        load_fpu(env, &initial);
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
