/*
 * The save area that KVM makes of a vCPU's registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What KVM changes on the way is in its arch/x86/kvm/svm: CR0's caching bits
 * go, the host's MCE and SVME come.
 */

#include "vmsa_of_kvm.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "argument.h"
#include "field_of.h"
#include "kvm_abi.h"
#include "little_endian.h"

namespace kvm_reset {

using namespace abi;

/* What @bytes does not reach is zero. */
template <class Struct> static Struct copy_of(Bytes bytes)
{
    Struct copy;
    memcpy(&copy, bytes.data(), std::min(sizeof copy, bytes.size()));
    return copy;
}

/* --- struct kvm_regs ------------------------------------------------------ */

static void take_regs(VmsaState &state, const kvm_regs &regs)
{
    state.gpr[Rax] = regs.rax;
    state.gpr[Rbx] = regs.rbx;
    state.gpr[Rcx] = regs.rcx;
    state.gpr[Rdx] = regs.rdx;
    state.gpr[Rsi] = regs.rsi;
    state.gpr[Rdi] = regs.rdi;
    state.gpr[Rsp] = regs.rsp;
    state.gpr[Rbp] = regs.rbp;
    state.gpr[8] = regs.r8;
    state.gpr[9] = regs.r9;
    state.gpr[10] = regs.r10;
    state.gpr[11] = regs.r11;
    state.gpr[12] = regs.r12;
    state.gpr[13] = regs.r13;
    state.gpr[14] = regs.r14;
    state.gpr[15] = regs.r15;
    state.rip = regs.rip;
    state.rflags = regs.rflags;
}

/* --- struct kvm_sregs, kvm_sregs2 ----------------------------------------- */

/* Up to here both are the same. */
constexpr size_t sregs_size = offsetof(kvm_sregs, interrupt_bitmap);
static_assert(sregs_size == offsetof(kvm_sregs2, flags));

constexpr uint64_t cr0_nw_cd = 3ull << 29;
constexpr uint64_t cr4_mce = 1 << 6;
constexpr uint64_t efer_svme = 1 << 12;

static VmsaSegment segment(const kvm_segment &from)
{
    return {.selector = from.selector,
            .attributes = vmsa_attributes(from.type, from.s & 1, from.dpl,
                                          (from.present & 1) && !from.unusable,
                                          from.avl & 1, from.l & 1, from.db & 1,
                                          from.g & 1),
            .limit = from.limit,
            .base = from.base};
}

static VmsaSegment table(const kvm_dtable &from)
{
    return {.limit = from.limit, .base = from.base};
}

static void take_sregs(VmsaState &state, const kvm_sregs &sregs)
{
    state.cs = segment(sregs.cs);
    state.ds = segment(sregs.ds);
    state.es = segment(sregs.es);
    state.fs = segment(sregs.fs);
    state.gs = segment(sregs.gs);
    state.ss = segment(sregs.ss);
    state.tr = segment(sregs.tr);
    state.ldtr = segment(sregs.ldt);
    state.cpl = state.ss.attributes >> 5 & 3;
    state.gdtr = table(sregs.gdt);
    state.idtr = table(sregs.idt);
    state.cr0 = sregs.cr0 & ~cr0_nw_cd;
    state.cr2 = sregs.cr2;
    state.cr3 = sregs.cr3;
    state.cr4 = sregs.cr4 | cr4_mce;
    state.efer = sregs.efer | efer_svme;
}

/* --- the smaller ones ----------------------------------------------------- */

constexpr size_t debugregs_size = offsetof(kvm_debugregs, flags);

static Result<uint64_t> xcr0(Bytes xcrs)
{
    constexpr size_t rows_at = offsetof(kvm_xcrs, xcrs);
    const uint32_t count = read_field(xcrs, field_of(&kvm_xcrs::nr_xcrs));

    for (uint32_t i = 0;
         i < std::min<uint32_t>(count, std::size(kvm_xcrs().xcrs)); i++) {
        const size_t at = rows_at + size_t(i) * sizeof(kvm_xcr);
        if (at + sizeof(kvm_xcr) > xcrs.size()) {
            break;
        }
        const auto row = copy_of<kvm_xcr>(xcrs.subspan(at));
        if (row.xcr == 0) {
            return row.value;
        }
    }
    return refuse(EINVAL, "the extended control registers of a vCPU lack XCR0");
}

/* The legacy part of struct kvm_xsave, which is FXSAVE's. */
constexpr size_t fcw_at = 0;
constexpr size_t mxcsr_at = 24;
constexpr size_t fpu_size = 416; /* up to the last XMM register */
constexpr size_t xstate_bv_at = 512;
constexpr uint64_t xstate_x87 = 1;
constexpr uint64_t xstate_sse_avx = 6;

static Result<void> take_fpu(VmsaState &state, Bytes xsave)
{
    auto is_zero = [&](size_t from, size_t to) {
        return std::ranges::all_of(xsave.subspan(from, to - from),
                                   [](uint8_t byte) { return byte == 0; });
    };

    if (xsave.size() < fpu_size) {
        return refuse(EINVAL,
                      "the FPU's state of a vCPU has %zu bytes, which is "
                      "too few",
                      xsave.size());
    }
    /* Behind MXCSR is its mask, which is not state. */
    if (!is_zero(fcw_at + 2, mxcsr_at) || !is_zero(mxcsr_at + 8, fpu_size)) {
        return refuse(EINVAL, "a vCPU was launched with an FPU in use; its "
                              "measurement cannot be computed");
    }
    state.x87_fcw = get_le<uint16_t>(&xsave[fcw_at]);
    state.mxcsr = get_le<uint32_t>(&xsave[mxcsr_at]);
    /* What XSTATE_BV leaves out is as after a reset, whatever lies there. */
    const uint64_t there = xsave.size() < xstate_bv_at + 8
                             ? ~0ull
                             : get_le<uint64_t>(&xsave[xstate_bv_at]);
    if (!(there & xstate_x87)) {
        state.x87_fcw = 0x37f;
    }
    if (!(there & xstate_sse_avx)) {
        state.mxcsr = 0x1f80;
    }
    return {};
}

Result<VmsaState> vmsa_of_kvm(const KvmRegisters &registers,
                              uint64_t sev_features)
{
    VmsaState state;

    if (registers.regs.size() < sizeof(kvm_regs) ||
        registers.sregs.size() < sregs_size ||
        registers.debugregs.size() < debugregs_size) {
        return refuse(EINVAL, "the registers of a vCPU are cut short");
    }
    take_regs(state, copy_of<kvm_regs>(registers.regs));
    take_sregs(state, copy_of<kvm_sregs>(registers.sregs));
    state.dr6 = read_field(registers.debugregs, field_of(&kvm_debugregs::dr6));
    state.dr7 = read_field(registers.debugregs, field_of(&kvm_debugregs::dr7));
    state.g_pat = registers.pat;
    state.xss = registers.xss;
    state.sev_features = sev_features;

    auto extended = xcr0(registers.xcrs);
    if (!extended) {
        return std::unexpected(extended.error());
    }
    state.xcr0 = *extended;
    if (!registers.xsave.empty()) {
        if (auto good = take_fpu(state, registers.xsave); !good) {
            return std::unexpected(good.error());
        }
    }
    return state;
}

} /* namespace kvm_reset */
