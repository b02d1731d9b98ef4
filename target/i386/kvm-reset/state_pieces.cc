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
 *   HYPERCALL       Hyper-V's, without which KVM takes no enlightenments with
 *                   nested state
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

#include "field_of.h"
#include "kvm_abi.h"
#include "nested_state.h"

namespace kvm_reset {

namespace {

using namespace abi;
constexpr auto Vm = FdClass::Vm;
constexpr auto Vcpu = FdClass::Vcpu;

enum Msr : uint32_t {
    Tsc = 0x10,
    FeatureControl = 0x3a,
    HypervGuestOsId = 0x40000000,
    HypervHypercall = 0x40000001,
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
    int ret = kernel.ioctl(system, KVM_GET_MSR_INDEX_LIST,
                           uintptr_t(list.data()));

    if (ret == -E2BIG) {
        list.resize(1 + list[0]);
        ret = kernel.ioctl(system, KVM_GET_MSR_INDEX_LIST,
                           uintptr_t(list.data()));
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
    return index == Tsc || index == FeatureControl || index == TscDeadline ||
           index == HypervGuestOsId || index == HypervHypercall;
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

/* In the order in which they are put. */
template <uint32_t... index> Indices only(Kernel &, int)
{
    return std::vector<uint32_t>{index...};
}

constexpr StatePiece msrs(const char *name, Indices (*indices)(Kernel &, int))
{
    StatePiece piece{.name = name,
                     .on = Vcpu,
                     .form = PieceForm::Registers,
                     .get = KVM_GET_MSRS,
                     .set = KVM_SET_MSRS,
                     .if_differs = true};
    piece.indices = indices;
    return piece;
}

constexpr StatePiece plain(const char *name, FdClass on, uint32_t get,
                           uint32_t set)
{
    return {.name = name,
            .on = on,
            .form = PieceForm::Struct,
            .get = get,
            .set = set,
            .size = ioc_size(get)};
}

constexpr StatePiece chip(const char *name, uint64_t number)
{
    StatePiece piece = plain(name, Vm, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP);
    piece.selector = field_of(&kvm_irqchip::chip_id);
    piece.selected = number;
    return piece;
}

constexpr StatePiece xen(const char *name, FdClass on, uint64_t type)
{
    StatePiece piece = on == Vm ? plain(name, on, KVM_XEN_HVM_GET_ATTR,
                                        KVM_XEN_HVM_SET_ATTR)
                                : plain(name, on, KVM_XEN_VCPU_GET_ATTR,
                                        KVM_XEN_VCPU_SET_ATTR);
    piece.selector = on == Vm ? field_of(&kvm_xen_hvm_attr::type)
                              : field_of(&kvm_xen_vcpu_attr::type);
    piece.selected = type;
    piece.needs = KVM_XEN_HVM_CONFIG;
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

constexpr StatePiece autonomous(StatePiece piece)
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

constexpr StatePiece amended(StatePiece piece, decltype(StatePiece::amend) how)
{
    piece.amend = how;
    return piece;
}

constexpr StatePiece pieces[] = {
    {.name = "CLOCK",
     .on = Vm,
     .form = PieceForm::Clock,
     .get = KVM_GET_CLOCK,
     .set = KVM_SET_CLOCK,
     .size = sizeof(kvm_clock_data)},

    msrs("FEATURE_CONTROL", only<FeatureControl>),
    with_cap(plain("SREGS2", Vcpu, KVM_GET_SREGS2, KVM_SET_SREGS2),
             KVM_CAP_SREGS2),
    unless(plain("SREGS", Vcpu, KVM_GET_SREGS, KVM_SET_SREGS), KVM_CAP_SREGS2),
    msrs("HYPERCALL", only<HypervGuestOsId, HypervHypercall>),
    amended(sized(plain("NESTED_STATE", Vcpu, KVM_GET_NESTED_STATE,
                        KVM_SET_NESTED_STATE),
                  KVM_CAP_NESTED_STATE, field_of(&kvm_nested_state::size)),
            add_enlightenments),
    plain("REGS", Vcpu, KVM_GET_REGS, KVM_SET_REGS),
    sized(plain("XSAVE2", Vcpu, KVM_GET_XSAVE2, KVM_SET_XSAVE), KVM_CAP_XSAVE2),
    unless(plain("XSAVE", Vcpu, KVM_GET_XSAVE, KVM_SET_XSAVE), KVM_CAP_XSAVE2),
    with_cap(plain("XCRS", Vcpu, KVM_GET_XCRS, KVM_SET_XCRS), KVM_CAP_XCRS),
    {.name = "TSC_OFFSET",
     .on = Vcpu,
     .form = PieceForm::Attribute,
     .get = KVM_GET_DEVICE_ATTR,
     .set = KVM_SET_DEVICE_ATTR,
     .size = sizeof(uint64_t)},
    fallback(msrs("TSC", only<Tsc>)),
    msrs("MSRS", other_msrs),
    plain("DEBUGREGS", Vcpu, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS),
    plain("LAPIC", Vcpu, KVM_GET_LAPIC, KVM_SET_LAPIC),
    msrs("TSC_DEADLINE", only<TscDeadline>),
    read_first(plain("MP_STATE", Vcpu, KVM_GET_MP_STATE, KVM_SET_MP_STATE)),
    read_first(
        plain("VCPU_EVENTS", Vcpu, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS)),

    chip("PIC_MASTER", KVM_IRQCHIP_PIC_MASTER),
    chip("PIC_SLAVE", KVM_IRQCHIP_PIC_SLAVE),
    chip("IOAPIC", KVM_IRQCHIP_IOAPIC),
    plain("PIT2", Vm, KVM_GET_PIT2, KVM_SET_PIT2),
    xen("XEN_SHARED_INFO", Vm, KVM_XEN_ATTR_TYPE_SHARED_INFO),
    xen("XEN_SHARED_INFO_HVA", Vm, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA),

    xen("XEN_VCPU_INFO", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO),
    xen("XEN_VCPU_INFO_HVA", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA),
    xen("XEN_VCPU_TIME_INFO", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO),
    xen("XEN_RUNSTATE_DATA", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA),
    xen("XEN_RUNSTATE_ADDR", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR),
    /* When it is read KVM may deliver it, by the LAPIC. */
    autonomous(
        read_first(xen("XEN_TIMER", Vcpu, KVM_XEN_VCPU_ATTR_TYPE_TIMER))),
};

} /* namespace */

std::span<const StatePiece> x86_state_pieces()
{
    return pieces;
}

} /* namespace kvm_reset */
