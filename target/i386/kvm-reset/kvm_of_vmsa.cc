/*
 * The registers that KVM makes a save area of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "kvm_of_vmsa.h"

#include "field_of.h"
#include "kvm_abi.h"
#include "registers.h"

namespace kvm_reset {

using namespace abi;

/* KVM adds these by itself. */
constexpr uint64_t cr4_mce = 1 << 6;
constexpr uint64_t efer_svme = 1 << 12;

static void put_regs(Argument &arg, const VmsaState &state)
{
    constexpr Field of_gpr[] = {
        field_of(&kvm_regs::rax), field_of(&kvm_regs::rcx),
        field_of(&kvm_regs::rdx), field_of(&kvm_regs::rbx),
        field_of(&kvm_regs::rsp), field_of(&kvm_regs::rbp),
        field_of(&kvm_regs::rsi), field_of(&kvm_regs::rdi),
        field_of(&kvm_regs::r8),  field_of(&kvm_regs::r9),
        field_of(&kvm_regs::r10), field_of(&kvm_regs::r11),
        field_of(&kvm_regs::r12), field_of(&kvm_regs::r13),
        field_of(&kvm_regs::r14), field_of(&kvm_regs::r15),
    };

    for (size_t i = 0; i < state.gpr.size(); i++) {
        arg.write(of_gpr[i], state.gpr[i]);
    }
    arg.write(field_of(&kvm_regs::rip), state.rip);
    arg.write(field_of(&kvm_regs::rflags), state.rflags);
}

/* Both structs are the same as far as it goes. */
static void put_segment(Argument &arg, kvm_segment kvm_sregs::*which,
                        const VmsaSegment &from)
{
    const uint16_t at = offset_of(which);
    const unsigned bits = from.attributes;
    auto put = [&](Field field, uint64_t value) {
        field.offset += at;
        arg.write(field, value);
    };

    put(field_of(&kvm_segment::base), from.base);
    put(field_of(&kvm_segment::limit), from.limit);
    put(field_of(&kvm_segment::selector), from.selector);
    put(field_of(&kvm_segment::type), bits & 15);
    put(field_of(&kvm_segment::s), bits >> 4 & 1);
    put(field_of(&kvm_segment::dpl), bits >> 5 & 3);
    put(field_of(&kvm_segment::present), bits >> 7 & 1);
    put(field_of(&kvm_segment::avl), bits >> 8 & 1);
    put(field_of(&kvm_segment::l), bits >> 9 & 1);
    put(field_of(&kvm_segment::db), bits >> 10 & 1);
    put(field_of(&kvm_segment::g), bits >> 11 & 1);
    put(field_of(&kvm_segment::unusable), !(bits >> 7 & 1));
}

static void put_table(Argument &arg, kvm_dtable kvm_sregs::*which,
                      const VmsaSegment &from)
{
    const uint16_t at = offset_of(which);
    Field base = field_of(&kvm_dtable::base);
    Field limit = field_of(&kvm_dtable::limit);

    base.offset += at;
    limit.offset += at;
    arg.write(base, from.base);
    arg.write(limit, from.limit);
}

static void put_sregs(Argument &arg, const VmsaState &state)
{
    const struct {
        kvm_segment kvm_sregs::*kvm;
        const VmsaSegment &from;
    } segments[] = {
        {&kvm_sregs::cs, state.cs}, {&kvm_sregs::ds, state.ds},
        {&kvm_sregs::es, state.es}, {&kvm_sregs::fs, state.fs},
        {&kvm_sregs::gs, state.gs}, {&kvm_sregs::ss, state.ss},
        {&kvm_sregs::tr, state.tr}, {&kvm_sregs::ldt, state.ldtr},
    };

    for (const auto &segment : segments) {
        put_segment(arg, segment.kvm, segment.from);
    }
    put_table(arg, &kvm_sregs::gdt, state.gdtr);
    put_table(arg, &kvm_sregs::idt, state.idtr);
    arg.write(field_of(&kvm_sregs::cr0), state.cr0);
    arg.write(field_of(&kvm_sregs::cr2), state.cr2);
    arg.write(field_of(&kvm_sregs::cr3), state.cr3);
    arg.write(field_of(&kvm_sregs::cr4), state.cr4 & ~cr4_mce);
    arg.write(field_of(&kvm_sregs::efer), state.efer & ~efer_svme);
}

static void put_xcr0(Argument &arg, uint64_t value)
{
    const size_t rows = std::size(kvm_xcrs().xcrs);

    for (size_t i = 0; i < rows; i++) {
        const uint16_t at = offset_of(&kvm_xcrs::xcrs) + i * sizeof(kvm_xcr);
        Field number = field_of(&kvm_xcr::xcr);
        Field its_value = field_of(&kvm_xcr::value);
        number.offset += at;
        its_value.offset += at;
        if (i < arg.read(field_of(&kvm_xcrs::nr_xcrs)) && !arg.read(number)) {
            arg.write(its_value, value);
        }
    }
}

/* A list of one. */
static void put_msr(Argument &arg, const VmsaState &state)
{
    constexpr uint32_t msr_pat = 0x277;
    constexpr uint32_t msr_xss = 0xda0;
    const Field data = field_of_entry(0, &kvm_msr_entry::data);

    switch (arg.read(index_of(0))) {
    case msr_pat:
        arg.write(data, state.g_pat);
        break;
    case msr_xss:
        arg.write(data, state.xss);
        break;
    }
}

static void put(Argument &arg, uint32_t request, const VmsaState &state)
{
    switch (request) {
    case KVM_SET_REGS:
        put_regs(arg, state);
        break;
    case KVM_SET_SREGS:
        put_sregs(arg, state);
        break;
    case KVM_SET_SREGS2:
        put_sregs(arg, state);
        /* Page directory pointers, if there are any, are those of CR3. */
        arg.write(field_of(&kvm_sregs2::flags), 0);
        break;
    case KVM_SET_DEBUGREGS:
        arg.write(field_of(&kvm_debugregs::dr6), state.dr6);
        arg.write(field_of(&kvm_debugregs::dr7), state.dr7);
        break;
    case KVM_SET_XCRS:
        put_xcr0(arg, state.xcr0);
        break;
    case KVM_SET_MSRS:
        put_msr(arg, state);
        break;
    }
}

std::vector<Entry> entries_of_vmsa(const Snapshot &snapshot, ObjectId vcpu,
                                   const VmsaState &state)
{
    std::vector<Entry> entries;

    for (const EntryPtr &recorded : snapshot.entries) {
        if (recorded->target != vcpu) {
            continue;
        }
        Entry entry = *recorded;
        put(entry.arg, entry.row->request, state);
        if (entry.arg != recorded->arg) {
            entries.push_back(std::move(entry));
        }
    }
    return entries;
}

/* Reads what the vCPU has, changes it, and gives it back. */
static Result<void> change(Kernel &kernel, int fd, uint32_t get, uint32_t set,
                           const VmsaState &state)
{
    const Row &row = *find_row(FdClass::Vcpu, set);
    std::vector<uint8_t> now(fixed_size(row));
    int ret = kernel.ioctl(fd, get, uintptr_t(now.data()));

    if (ret >= 0) {
        Argument arg = Argument::copy(row, uintptr_t(now.data()));
        put(arg, set, state);
        if (set == KVM_SET_SREGS) {
            /* Nobody adds to these of an ordinary guest. */
            arg.write(field_of(&kvm_sregs::cr4), state.cr4);
            arg.write(field_of(&kvm_sregs::efer), state.efer);
        }
        ret = kernel.ioctl(fd, set, arg.live().pass());
    }
    return ret < 0 ? fail(-ret, "%s", row.name) : Result<void>();
}

Result<void> x86_start_vcpu(Kernel &kernel, int fd, Bytes page)
{
    const VmsaState state = vmsa_state(page);
    auto done = change(kernel, fd, KVM_GET_SREGS, KVM_SET_SREGS, state);

    if (done) {
        done = change(kernel, fd, KVM_GET_REGS, KVM_SET_REGS, state);
    }
    return done;
}

} /* namespace kvm_reset */
