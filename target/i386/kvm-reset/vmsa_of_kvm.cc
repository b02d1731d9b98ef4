/*
 * The save area that KVM makes of a vCPU's registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Offsets are those of <asm/kvm.h>; a test compares them with that header.
 * What KVM changes on the way is in its arch/x86/kvm/svm: CR0's caching bits
 * go, the host's MCE and SVME come.
 */

#include "vmsa_of_kvm.h"

#include <algorithm>
#include <cerrno>

#include "little_endian.h"

namespace kvm_reset {

/* --- struct kvm_regs ------------------------------------------------------ */

constexpr size_t regs_size = 144;
constexpr size_t rip_at = 128;
constexpr size_t rflags_at = 136;
/* In KVM's order: A, B, C, D, source, destination, stack, base. */
constexpr size_t kvm_order[] = {Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp};

static void take_regs(VmsaState &state, Bytes regs)
{
    for (size_t i = 0; i < state.gpr.size(); i++) {
        const size_t to = i < std::size(kvm_order) ? kvm_order[i] : i;
        state.gpr[to] = get_le<uint64_t>(&regs[8 * i]);
    }
    state.rip = get_le<uint64_t>(&regs[rip_at]);
    state.rflags = get_le<uint64_t>(&regs[rflags_at]);
}

/* --- struct kvm_sregs, kvm_sregs2 ----------------------------------------- */

constexpr size_t sregs_size = 280; /* up to apic_base both are the same */
constexpr size_t segment_size = 24;
constexpr size_t gdt_at = 192;
constexpr size_t idt_at = 208;
constexpr size_t cr0_at = 224;
constexpr size_t cr2_at = 232;
constexpr size_t cr3_at = 240;
constexpr size_t cr4_at = 248;
constexpr size_t efer_at = 264;

constexpr uint64_t cr0_nw_cd = 3ull << 29;
constexpr uint64_t cr4_mce = 1 << 6;
constexpr uint64_t efer_svme = 1 << 12;

constexpr VmsaSegment VmsaState::*segment_order[] = {
    &VmsaState::cs, &VmsaState::ds, &VmsaState::es, &VmsaState::fs,
    &VmsaState::gs, &VmsaState::ss, &VmsaState::tr, &VmsaState::ldtr,
};

/* struct kvm_segment: after the selector, a byte for each attribute. */
static VmsaSegment segment(const uint8_t *from)
{
    const uint8_t *type = from + 14, *present = from + 15, *dpl = from + 16,
                  *db = from + 17, *s = from + 18, *l = from + 19,
                  *g = from + 20, *avl = from + 21, *unusable = from + 22;

    return {.selector = get_le<uint16_t>(from + 12),
            .attributes = vmsa_attributes(*type, *s & 1, *dpl,
                                          (*present & 1) && !*unusable,
                                          *avl & 1, *l & 1, *db & 1, *g & 1),
            .limit = get_le<uint32_t>(from + 8),
            .base = get_le<uint64_t>(from)};
}

/* struct kvm_dtable */
static VmsaSegment table(const uint8_t *from)
{
    return {.limit = get_le<uint16_t>(from + 8),
            .base = get_le<uint64_t>(from)};
}

static void take_sregs(VmsaState &state, Bytes sregs)
{
    for (size_t i = 0; i < std::size(segment_order); i++) {
        state.*segment_order[i] = segment(&sregs[segment_size * i]);
    }
    state.cpl = state.ss.attributes >> 5 & 3;
    state.gdtr = table(&sregs[gdt_at]);
    state.idtr = table(&sregs[idt_at]);
    state.cr0 = get_le<uint64_t>(&sregs[cr0_at]) & ~cr0_nw_cd;
    state.cr2 = get_le<uint64_t>(&sregs[cr2_at]);
    state.cr3 = get_le<uint64_t>(&sregs[cr3_at]);
    state.cr4 = get_le<uint64_t>(&sregs[cr4_at]) | cr4_mce;
    state.efer = get_le<uint64_t>(&sregs[efer_at]) | efer_svme;
}

/* --- the smaller ones ----------------------------------------------------- */

/* struct kvm_debugregs */
constexpr size_t debugregs_size = 48;
constexpr size_t dr6_at = 32;
constexpr size_t dr7_at = 40;

/* struct kvm_xcrs: a count, flags, and rows of number, nothing and value. */
constexpr size_t xcr_rows_at = 8;
constexpr size_t xcr_row_size = 16;
constexpr uint32_t most_xcrs = 16;

static Result<uint64_t> xcr0(Bytes xcrs)
{
    const uint32_t count = xcrs.size() >= xcr_rows_at
                             ? get_le<uint32_t>(xcrs.data())
                             : 0;

    for (uint32_t i = 0; i < std::min(count, most_xcrs); i++) {
        const size_t at = xcr_rows_at + size_t(i) * xcr_row_size;
        if (at + xcr_row_size > xcrs.size()) {
            break;
        }
        if (get_le<uint32_t>(&xcrs[at]) == 0) {
            return get_le<uint64_t>(&xcrs[at + 8]);
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

    if (registers.regs.size() < regs_size ||
        registers.sregs.size() < sregs_size ||
        registers.debugregs.size() < debugregs_size) {
        return refuse(EINVAL, "the registers of a vCPU are cut short");
    }
    take_regs(state, registers.regs);
    take_sregs(state, registers.sregs);
    state.dr6 = get_le<uint64_t>(&registers.debugregs[dr6_at]);
    state.dr7 = get_le<uint64_t>(&registers.debugregs[dr7_at]);
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
