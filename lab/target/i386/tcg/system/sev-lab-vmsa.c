/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of an SEV-ES guest, as VMRUN and #VMEXIT find and leave them.
 * AMD's APM, volume 2, appendix B, has the layout.
 */
#include "qemu/osdep.h"
#include "tcg/helper-tcg.h"
#include "sev-lab-vmsa.h"

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

void sev_lab_vmsa_load(CPUX86State *env, const Vmsa *vmsa, const Vmsa *fpu)
{
    load_more_segments(env, vmsa);
    load_registers(env, vmsa);
    load_fpu(env, fpu);
}

void sev_lab_vmsa_save(CPUX86State *env, Vmsa *vmsa)
{
    save_more_segments(env, vmsa);
    save_registers(env, vmsa);
    save_fpu(env, vmsa);
}
