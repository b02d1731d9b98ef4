/*
 * How the vCPUs of an x86 guest start, as an IGVM file says it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_context.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "igvm_format.h"
#include "little_endian.h"

namespace kvm_reset {

/* --- what KVM takes ------------------------------------------------------- */

constexpr uint64_t cr0_pe = 1 << 0;
constexpr uint64_t cr0_nw_cd = 3ull << 29;
constexpr uint64_t cr0_nw = 1ull << 29;
constexpr uint64_t cr0_cd = 1ull << 30;
constexpr uint64_t cr0_pg = 1ull << 31;
constexpr uint64_t cr4_pae = 1 << 5;
constexpr uint64_t cr4_mce = 1 << 6;
constexpr uint64_t efer_lme = 1 << 8;
constexpr uint64_t efer_lma = 1 << 10;
constexpr uint64_t efer_svme = 1 << 12;
constexpr uint64_t rflags_fixed = 1 << 1;
constexpr uint16_t attribute_l = 1 << 9; /* of a code segment: 64 bits */

/* Combinations that KVM_SET_SREGS refuses whatever the CPU. */
static Result<void> check_control_registers(const VmsaState &state)
{
    const bool paging = state.cr0 & cr0_pg;
    const bool long_mode = paging && state.efer & efer_lme;

    if (state.cr0 >> 32 || (paging && !(state.cr0 & cr0_pe)) ||
        (state.cr0 & cr0_nw && !(state.cr0 & cr0_cd))) {
        return refuse(EINVAL, "its CR0 is 0x%" PRIx64 ", which no CPU takes",
                      state.cr0);
    }
    if (long_mode
            ? !(state.cr4 & cr4_pae) || !(state.efer & efer_lma)
            : state.efer & efer_lma || state.cs.attributes & attribute_l) {
        return refuse(EINVAL,
                      "its CR0, CR4, EFER and CS do not agree whether it runs "
                      "in 64-bit mode: 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                      ", attributes 0x%x",
                      state.cr0, state.cr4, state.efer, state.cs.attributes);
    }
    return {};
}

/* --- SEV-ES, SEV-SNP ------------------------------------------------------ */

Result<VmsaState> context_of_vmsa(Bytes page, bool es)
{
    if (page.size() != launch_page_size) {
        return refuse(EINVAL,
                      "a save area has 4096 bytes, and this one has %zu",
                      page.size());
    }
    VmsaState state = vmsa_state(page);
    if (auto good = check_control_registers(state); !good) {
        return std::unexpected(good.error());
    }

    /* As vmsa_of_kvm() has it, of registers that are these. */
    VmsaState kvm = state;
    kvm.cr0 &= ~cr0_nw_cd;
    kvm.cr4 |= cr4_mce;
    kvm.efer |= efer_svme;
    kvm.rflags |= rflags_fixed;
    kvm.cpl = state.ss.attributes >> 5 & 3;
    kvm.pkru = 0;
    kvm.mxcsr = 0x1f80;
    kvm.x87_fcw = 0x37f;
    if (es && !state.mxcsr && !state.x87_fcw) {
        kvm = without_fpu(kvm);
    }
    for (VmsaSegment *table : {&kvm.gdtr, &kvm.idtr}) {
        *table = {.limit = table->limit & 0xffff, .base = table->base};
    }
    const VmsaPage made = vmsa_page(kvm);
    const auto differs = std::ranges::mismatch(page, made);
    if (differs.in1 != page.end()) {
        return refuse(EINVAL,
                      "its save area has 0x%02x at 0x%zx, where that which KVM "
                      "makes of such registers, and has measured, has 0x%02x",
                      *differs.in1, size_t(differs.in1 - page.begin()),
                      *differs.in2);
    }
    return state;
}

/* --- native --------------------------------------------------------------- */

namespace native {
/* In the order of their x86 numbers, from 0 on. */
constexpr size_t gpr = 0;
constexpr size_t rip = 128;
constexpr size_t rflags = 136;
constexpr size_t idtr_base = 144;
constexpr size_t idtr_limit = 152;
constexpr size_t gdtr_limit = 158;
constexpr size_t gdtr_base = 160;
constexpr size_t code = 168;
constexpr size_t data = 180;
constexpr size_t gs_base = 192;
constexpr size_t cr0 = 200;
constexpr size_t cr3 = 208;
constexpr size_t cr4 = 216;
constexpr size_t efer = 224;
} /* namespace native */

/* Selector, attributes as in a descriptor with a gap for the limit, base,
 * limit. */
static VmsaSegment native_segment(const uint8_t *at)
{
    const uint16_t attributes = get_le<uint16_t>(at + 2);

    return {
        .selector = get_le<uint16_t>(at),
        .attributes = uint16_t((attributes & 0xff) | (attributes >> 4 & 0xf00)),
        .limit = get_le<uint32_t>(at + 8),
        .base = get_le<uint32_t>(at + 4)};
}

Result<VmsaState> context_of_native(Bytes bytes)
{
    if (bytes.size() != igvm::native_context_size) {
        return refuse(EINVAL,
                      "a native context has %zu bytes, and this one has %zu",
                      igvm::native_context_size, bytes.size());
    }
    auto quad = [&](size_t at) { return get_le<uint64_t>(&bytes[at]); };
    VmsaState state = initial_vmsa(reset_vector, 0, 0);

    for (size_t i = 0; i < state.gpr.size(); i++) {
        state.gpr[i] = quad(native::gpr + 8 * i);
    }
    state.rip = quad(native::rip);
    state.rflags = quad(native::rflags) | rflags_fixed;
    state.idtr = {.limit = get_le<uint16_t>(&bytes[native::idtr_limit]),
                  .base = quad(native::idtr_base)};
    state.gdtr = {.limit = get_le<uint16_t>(&bytes[native::gdtr_limit]),
                  .base = quad(native::gdtr_base)};
    state.cs = native_segment(&bytes[native::code]);
    state.ds = native_segment(&bytes[native::data]);
    state.es = state.fs = state.gs = state.ss = state.ds;
    state.gs.base = quad(native::gs_base);
    state.cpl = state.ss.attributes >> 5 & 3;
    state.cr0 = quad(native::cr0);
    state.cr3 = quad(native::cr3);
    state.cr4 = quad(native::cr4);
    /* SVME is of the host's making. */
    state.efer = quad(native::efer);
    if (auto good = check_control_registers(state); !good) {
        return std::unexpected(good.error());
    }
    return state;
}

} /* namespace kvm_reset */
