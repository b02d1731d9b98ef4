/*
 * The save area of an SEV-ES or SEV-SNP vCPU (VMSA), as it is measured
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vmsa.h"

#include "little_endian.h"

namespace kvm_reset {

/* --- the page ------------------------------------------------------------- */

struct SegmentPlace {
    uint16_t offset;
    VmsaSegment VmsaState::*field;
};

static constexpr SegmentPlace segments[] = {
    {0x000, &VmsaState::es},   {0x010, &VmsaState::cs},
    {0x020, &VmsaState::ss},   {0x030, &VmsaState::ds},
    {0x040, &VmsaState::fs},   {0x050, &VmsaState::gs},
    {0x060, &VmsaState::gdtr}, {0x070, &VmsaState::ldtr},
    {0x080, &VmsaState::idtr}, {0x090, &VmsaState::tr},
};

template <class T> struct Place {
    uint16_t offset;
    T VmsaState::*field;
};

static constexpr Place<uint64_t> quads[] = {
    {0x0d0, &VmsaState::efer},  {0x140, &VmsaState::xss},
    {0x148, &VmsaState::cr4},   {0x150, &VmsaState::cr3},
    {0x158, &VmsaState::cr0},   {0x160, &VmsaState::dr7},
    {0x168, &VmsaState::dr6},   {0x170, &VmsaState::rflags},
    {0x178, &VmsaState::rip},   {0x240, &VmsaState::cr2},
    {0x268, &VmsaState::g_pat}, {0x3b0, &VmsaState::sev_features},
    {0x3e8, &VmsaState::xcr0},
};

/* By x86's numbers; RAX and RSP lie apart. */
static constexpr uint16_t gpr_offsets[16] = {
    0x1f8, 0x308, 0x310, 0x318, 0x1d8, 0x328, 0x330, 0x338,
    0x340, 0x348, 0x350, 0x358, 0x360, 0x368, 0x370, 0x378,
};

static constexpr uint16_t cpl_offset = 0x0cb;
static constexpr uint16_t pkru_offset = 0x2e8;
static constexpr uint16_t mxcsr_offset = 0x408;
static constexpr uint16_t x87_fcw_offset = 0x410;

static void put_segment(uint8_t *to, const VmsaSegment &segment)
{
    put_le(to, segment.selector);
    put_le(to + 2, segment.attributes);
    put_le(to + 4, segment.limit);
    put_le(to + 8, segment.base);
}

VmsaPage vmsa_page(const VmsaState &state)
{
    VmsaPage page{};

    for (const SegmentPlace &place : segments) {
        put_segment(&page[place.offset], state.*place.field);
    }
    for (const Place<uint64_t> &place : quads) {
        put_le(&page[place.offset], state.*place.field);
    }
    for (size_t i = 0; i < state.gpr.size(); i++) {
        put_le(&page[gpr_offsets[i]], state.gpr[i]);
    }
    page[cpl_offset] = state.cpl;
    put_le(&page[pkru_offset], state.pkru);
    put_le(&page[mxcsr_offset], state.mxcsr);
    put_le(&page[x87_fcw_offset], state.x87_fcw);
    return page;
}

static VmsaSegment get_segment(const uint8_t *from)
{
    return {.selector = get_le<uint16_t>(from),
            .attributes = get_le<uint16_t>(from + 2),
            .limit = get_le<uint32_t>(from + 4),
            .base = get_le<uint64_t>(from + 8)};
}

VmsaState vmsa_state(Bytes page)
{
    VmsaState state;

    for (const SegmentPlace &place : segments) {
        state.*place.field = get_segment(&page[place.offset]);
    }
    for (const Place<uint64_t> &place : quads) {
        state.*place.field = get_le<uint64_t>(&page[place.offset]);
    }
    for (size_t i = 0; i < state.gpr.size(); i++) {
        state.gpr[i] = get_le<uint64_t>(&page[gpr_offsets[i]]);
    }
    state.cpl = page[cpl_offset];
    state.pkru = get_le<uint32_t>(&page[pkru_offset]);
    state.mxcsr = get_le<uint32_t>(&page[mxcsr_offset]);
    state.x87_fcw = get_le<uint16_t>(&page[x87_fcw_offset]);
    return state;
}

/* --- a CPU after reset ---------------------------------------------------- */

/* Descriptor types (AMD64 APM volume 2, 4.7): all accessed or busy. */
constexpr unsigned data_writable = 0x3;
constexpr unsigned code_readable = 0xb;
constexpr unsigned system_ldt = 0x2;
constexpr unsigned system_busy_tss = 0xb;

static VmsaSegment real_mode(uint16_t attributes)
{
    return {.attributes = attributes, .limit = 0xffff};
}

VmsaState initial_vmsa(uint32_t entry, uint32_t signature,
                       uint64_t sev_features)
{
    const VmsaSegment data = real_mode(
        vmsa_attributes(data_writable, true, 0, true));
    const VmsaSegment table = real_mode(0);
    VmsaState state;

    state.es = state.ss = state.ds = state.fs = state.gs = data;
    state.cs = real_mode(vmsa_attributes(code_readable, true, 0, true));
    state.cs.selector = 0xf000;
    state.cs.base = entry & 0xffff0000;
    state.rip = entry & 0xffff;
    state.gdtr = state.idtr = table;
    state.ldtr = real_mode(vmsa_attributes(system_ldt, false, 0, true));
    state.tr = real_mode(vmsa_attributes(system_busy_tss, false, 0, true));

    state.gpr[Rdx] = signature;
    state.rflags = 0x2;
    state.cr0 = 0x10;    /* ET; KVM clears CD and NW */
    state.cr4 = 0x40;    /* MCE: KVM keeps the host's */
    state.efer = 0x1000; /* SVME: no VMRUN without it */
    state.dr6 = 0xffff0ff0;
    state.dr7 = 0x400;
    state.xcr0 = 0x1;
    state.g_pat = 0x0007040600070406;
    state.mxcsr = 0x1f80;
    state.x87_fcw = 0x37f;
    state.sev_features = sev_features;
    return state;
}

} /* namespace kvm_reset */
