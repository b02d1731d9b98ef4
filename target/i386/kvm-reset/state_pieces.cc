/*
 * The pieces of an x86 guest's volatile state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the KVM API (Documentation/virt/kvm/api.rst).  The order is that of
 * what depends on what:
 *
 *   the clock       before what is told the time: pages that the guest
 *                   registered for it are written when their MSR is put
 *   FEATURE_CONTROL before nested VMX
 *   SREGS           EFER and the LAPIC's base: before nested state and LAPIC
 *   nested state    turns the registers that are there into L2's: before REGS
 *   TSC's offset    before the MSRs, one of which starts timers by the TSC
 *   LAPIC           before the deadline, which its timer's mode decides about
 *   MP state        before events, which say what is pending
 *   PIC, IOAPIC     after the LAPICs, into which they deliver
 *   Xen             after the clock, by which its timers and times go; timers
 *                   after the pages in which they tell the guest
 */

#include "state_pieces.h"

#include <algorithm>
#include <cerrno>

#include "catalogue_builder.h"

namespace kvm_reset {

namespace {

using builder::ior;
using builder::iow;
using builder::iowr;
constexpr auto Vm = FdClass::Vm;
constexpr auto Vcpu = FdClass::Vcpu;

constexpr uint32_t get_msrs = iowr(0x88, 8), set_msrs = iow(0x89, 8);
constexpr uint32_t get_msr_index_list = iowr(0x02, 4);
constexpr uint32_t xen_config = iow(0x7a, 56);

enum Cap : uint32_t {
    CapXcrs = 56,
    CapNestedState = 157,
    CapSregs2 = 200,
    CapXsave2 = 208,
};

enum Msr : uint32_t {
    Tsc = 0x10,
    FeatureControl = 0x3a,
    TscDeadline = 0x6e0,
    PerfGlobalCtrl = 0x38f,
    PebsEnable = 0x3f1,
    AmdPerfGlobalCtl = 0xc0000301,
};

/*
 * Not in KVM's list, though they are a vCPU's state: MTRRs, the banks of
 * machine checks, Hyper-V's SynIC with its timers.
 */
struct Range {
    uint32_t first, last;
};

constexpr Range unlisted[] = {
    {0x200, 0x20f}, /* variable MTRRs */
    {0x250, 0x250}, /* fixed ones */
    {0x258, 0x259},           {0x268, 0x26f},
    {0x2ff, 0x2ff},           {0x400, 0x47f}, /* MC0_CTL to MC31_MISC */
    {0x280, 0x29f},                           /* MC0_CTL2 to MC31_CTL2 */
    {0x40000080, 0x40000080},                 /* SCONTROL */
    {0x40000082, 0x40000083},                 /* SIEFP, SIMP */
    {0x40000090, 0x4000009f},                 /* SINT0 to SINT15 */
    {0x400000b0, 0x400000b7},                 /* STIMER0 to STIMER3 */
};

/* What makes counters count goes behind the counters. */
constexpr uint32_t last[] = {AmdPerfGlobalCtl, PebsEnable, PerfGlobalCtrl};

using Indices = Result<std::vector<uint32_t>>;

Indices listed(Kernel &kernel, int system)
{
    std::vector<uint32_t> list(1);
    int ret = kernel.ioctl(system, get_msr_index_list, uintptr_t(list.data()));

    if (ret == -E2BIG) {
        list.resize(1 + list[0]);
        ret = kernel.ioctl(system, get_msr_index_list, uintptr_t(list.data()));
    }
    if (ret < 0) {
        return fail(-ret, "KVM_GET_MSR_INDEX_LIST");
    }
    list.resize(1 + std::min<size_t>(list[0], list.size() - 1));
    list.erase(list.begin());
    return list;
}

bool has_its_own_row(uint32_t index)
{
    return index == Tsc || index == FeatureControl || index == TscDeadline;
}

Indices other_msrs(Kernel &kernel, int system)
{
    Indices known = listed(kernel, system);
    if (!known) {
        return known;
    }
    std::vector<uint32_t> all = std::move(*known);
    for (Range range : unlisted) {
        for (uint32_t index = range.first; index <= range.last; index++) {
            all.push_back(index);
        }
    }
    std::erase_if(all, has_its_own_row);
    std::ranges::sort(all);
    const auto same = std::ranges::unique(all);
    all.erase(same.begin(), same.end());
    std::ranges::stable_partition(all, [](uint32_t index) {
        return std::ranges::find(last, index) == std::end(last);
    });
    return all;
}

template <uint32_t index> Indices only(Kernel &, int)
{
    return std::vector<uint32_t>{index};
}

constexpr StatePiece msrs(const char *name, Indices (*indices)(Kernel &, int))
{
    StatePiece piece{.name = name,
                     .on = Vcpu,
                     .form = PieceForm::Registers,
                     .get = get_msrs,
                     .set = set_msrs,
                     .if_differs = true};
    piece.indices = indices;
    return piece;
}

constexpr StatePiece plain(const char *name, FdClass on, uint32_t get,
                           uint32_t set, uint32_t size)
{
    return {.name = name,
            .on = on,
            .form = PieceForm::Struct,
            .get = get,
            .set = set,
            .size = size};
}

constexpr StatePiece chip(const char *name, uint64_t number)
{
    StatePiece piece = plain(name, Vm, iowr(0x62, 520), ior(0x63, 520), 520);
    piece.selector = {0, 4};
    piece.selected = number;
    return piece;
}

constexpr StatePiece xen(const char *name, FdClass on, uint64_t type)
{
    StatePiece piece = on == Vm
                         ? plain(name, on, iowr(0xc8, 72), iow(0xc9, 72), 72)
                         : plain(name, on, iowr(0xca, 72), iow(0xcb, 72), 72);
    piece.selector = {0, 2};
    piece.selected = type;
    piece.needs = xen_config;
    piece.if_differs = true;
    piece.none = ENOENT;
    return piece;
}

constexpr StatePiece with_cap(StatePiece piece, uint32_t cap)
{
    piece.cap = cap;
    return piece;
}

constexpr StatePiece unless(StatePiece piece, uint32_t cap)
{
    piece.unless = cap;
    return piece;
}

constexpr StatePiece read_first(StatePiece piece)
{
    piece.first = true;
    return piece;
}

constexpr StatePiece acting(StatePiece piece)
{
    piece.autonomous = true;
    return piece;
}

constexpr StatePiece fallback(StatePiece piece)
{
    piece.fallback = true;
    return piece;
}

constexpr StatePiece sized(StatePiece piece, uint32_t cap, Field room = {})
{
    piece.form = PieceForm::Sized;
    piece.cap = cap;
    piece.room = room;
    return piece;
}

constexpr StatePiece pieces[] = {
    {.name = "CLOCK",
     .on = Vm,
     .form = PieceForm::Clock,
     .get = ior(0x7c, 48),
     .set = iow(0x7b, 48),
     .size = 48},

    msrs("FEATURE_CONTROL", only<FeatureControl>),
    with_cap(plain("SREGS2", Vcpu, ior(0xcc, 320), iow(0xcd, 320), 320),
             CapSregs2),
    unless(plain("SREGS", Vcpu, ior(0x83, 312), iow(0x84, 312), 312),
           CapSregs2),
    sized(plain("NESTED_STATE", Vcpu, iowr(0xbe, 128), iow(0xbf, 128), 128),
          CapNestedState, {4, 4}),
    plain("REGS", Vcpu, ior(0x81, 144), iow(0x82, 144), 144),
    sized(plain("XSAVE2", Vcpu, ior(0xcf, 4096), iow(0xa5, 4096), 4096),
          CapXsave2),
    unless(plain("XSAVE", Vcpu, ior(0xa4, 4096), iow(0xa5, 4096), 4096),
           CapXsave2),
    with_cap(plain("XCRS", Vcpu, ior(0xa6, 392), iow(0xa7, 392), 392), CapXcrs),
    {.name = "TSC_OFFSET",
     .on = Vcpu,
     .form = PieceForm::Attribute,
     .get = iow(0xe2, 24),
     .set = iow(0xe1, 24),
     .size = 8},
    fallback(msrs("TSC", only<Tsc>)),
    msrs("MSRS", other_msrs),
    plain("DEBUGREGS", Vcpu, ior(0xa1, 128), iow(0xa2, 128), 128),
    plain("LAPIC", Vcpu, ior(0x8e, 1024), iow(0x8f, 1024), 1024),
    msrs("TSC_DEADLINE", only<TscDeadline>),
    read_first(plain("MP_STATE", Vcpu, ior(0x98, 4), iow(0x99, 4), 4)),
    read_first(plain("VCPU_EVENTS", Vcpu, ior(0x9f, 64), iow(0xa0, 64), 64)),

    chip("PIC_MASTER", 0),
    chip("PIC_SLAVE", 1),
    chip("IOAPIC", 2),
    plain("PIT2", Vm, ior(0x9f, 112), iow(0xa0, 112), 112),
    xen("XEN_SHARED_INFO", Vm, 1),
    xen("XEN_SHARED_INFO_HVA", Vm, 6),

    xen("XEN_VCPU_INFO", Vcpu, 0),
    xen("XEN_VCPU_INFO_HVA", Vcpu, 9),
    xen("XEN_VCPU_TIME_INFO", Vcpu, 1),
    xen("XEN_RUNSTATE_DATA", Vcpu, 4),
    xen("XEN_RUNSTATE_ADDR", Vcpu, 2),
    /* When it is read KVM may deliver it, by the LAPIC. */
    acting(read_first(xen("XEN_TIMER", Vcpu, 7))),
};

} /* namespace */

std::span<const StatePiece> x86_state_pieces()
{
    return pieces;
}

} /* namespace kvm_reset */
