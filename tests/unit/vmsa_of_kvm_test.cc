/*
 * The save area that KVM makes of a vCPU's registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "kvm_abi.h"
#include "firmware_image.h"
#include "vmsa_of_kvm.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

template <class T> Bytes bytes(const T &object)
{
    return {reinterpret_cast<const uint8_t *>(&object), sizeof object};
}

constexpr kvm_segment segment(uint8_t type, uint8_t s)
{
    kvm_segment segment{};
    segment.limit = 0xffff;
    segment.type = type;
    segment.present = 1;
    segment.s = s;
    return segment;
}

/* What QEMU sets for a vCPU after a reset, in the kernel's own structures. */
class VmsaOfKvmTest : public ::testing::Test {
protected:
    VmsaOfKvmTest()
    {
        regs.rip = 0xfff0;
        regs.rflags = 2;
        regs.rdx = 0x800f12;
        sregs.cs = segment(0xb, 1);
        sregs.cs.selector = 0xf000;
        sregs.cs.base = 0xffff0000;
        sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment(3, 1);
        sregs.tr = segment(0xb, 0);
        sregs.ldt = segment(2, 0);
        sregs.gdt.limit = sregs.idt.limit = 0xffff;
        sregs.cr0 = 0x60000010;
        sregs.apic_base = 0xfee00900;
        debugregs.dr6 = 0xffff0ff0;
        debugregs.dr7 = 0x400;
        xcrs.nr_xcrs = 2;
        xcrs.xcrs[0].xcr = 1;
        xcrs.xcrs[0].value = 7;
        xcrs.xcrs[1].value = 1;
        xsave.region[0] = 0x37f;
        xsave.region[6] = 0x1f80;
        xsave.region[7] = 0xffff;
        xsave.region[128] = 3; /* XSTATE_BV */
    }

    Result<VmsaState> state(uint64_t features = 0) const
    {
        return vmsa_of_kvm({.regs = bytes(regs),
                            .sregs = bytes(sregs),
                            .debugregs = bytes(debugregs),
                            .xcrs = bytes(xcrs),
                            .xsave = bytes(xsave)},
                           features);
    }

    kvm_regs regs{};
    kvm_sregs sregs{};
    kvm_debugregs debugregs{};
    kvm_xcrs xcrs{};
    kvm_xsave xsave{};
};

TEST_F(VmsaOfKvmTest, OfAResetVcpuIsTheInitialOneInEveryByte)
{
    auto found = state(1);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(vmsa_page(*found),
              vmsa_page(initial_vmsa(reset_vector, 0x800f12, 1)));
}

TEST_F(VmsaOfKvmTest, EachRegisterIsTakenFromItsPlace)
{
    uint64_t *general[16] = {&regs.rax, &regs.rcx, &regs.rdx, &regs.rbx,
                             &regs.rsp, &regs.rbp, &regs.rsi, &regs.rdi};
    kvm_segment *segments[] = {&sregs.es, &sregs.cs, &sregs.ss, &sregs.ds,
                               &sregs.fs, &sregs.gs, &sregs.tr, &sregs.ldt};
    memcpy(&general[8],
           std::array{&regs.r8, &regs.r9, &regs.r10, &regs.r11, &regs.r12,
                      &regs.r13, &regs.r14, &regs.r15}
               .data(),
           8 * sizeof general[0]);
    for (int i = 0; i < 16; i++) {
        *general[i] = 0x100 + i;
    }
    for (int i = 0; i < 8; i++) {
        segments[i]->base = 0x200 + i;
    }
    regs.rip = 1;
    regs.rflags = 2;
    sregs.cr2 = 3;
    sregs.cr3 = 4;
    sregs.gdt.base = 5;
    sregs.idt.base = 6;
    sregs.idt.limit = 7;
    debugregs.db[3] = 8;
    debugregs.dr6 = 9;
    debugregs.dr7 = 10;

    auto found = state();
    ASSERT_TRUE(found) << found.error().what;
    for (int i = 0; i < 16; i++) {
        EXPECT_EQ(found->gpr[i], 0x100u + i);
    }
    const VmsaSegment *taken[] = {&found->es, &found->cs,  &found->ss,
                                  &found->ds, &found->fs,  &found->gs,
                                  &found->tr, &found->ldtr};
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(taken[i]->base, 0x200u + i);
    }
    EXPECT_EQ(found->rip, 1u);
    EXPECT_EQ(found->rflags, 2u);
    EXPECT_EQ(found->cr2, 3u);
    EXPECT_EQ(found->cr3, 4u);
    EXPECT_EQ(found->gdtr.base, 5u);
    EXPECT_EQ(found->idtr.base, 6u);
    EXPECT_EQ(found->idtr.limit, 7u);
    EXPECT_EQ(found->dr6, 9u);
    EXPECT_EQ(found->dr7, 10u);
    EXPECT_EQ(found->xcr0, 1u);
    EXPECT_EQ(found->cr0, 0x10u);
    EXPECT_EQ(found->cr4, 0x40u);
    EXPECT_EQ(found->efer, 0x1000u);
}

TEST_F(VmsaOfKvmTest, EachAttributeBitHasItsPlace)
{
    sregs.ss.dpl = 3;
    sregs.ss.avl = sregs.ss.l = sregs.ss.db = sregs.ss.g = 1;
    sregs.fs.unusable = 1;

    auto found = state();
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->ss.attributes, 0xff3);
    EXPECT_EQ(found->cpl, 3);
    EXPECT_EQ(found->fs.attributes, 0x13);
}

TEST_F(VmsaOfKvmTest, WithoutTheFpuItIsZero)
{
    auto found = vmsa_of_kvm({.regs = bytes(regs),
                              .sregs = bytes(sregs),
                              .debugregs = bytes(debugregs),
                              .xcrs = bytes(xcrs),
                              .xsave = {}},
                             0);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->mxcsr, 0u);
    EXPECT_EQ(found->x87_fcw, 0u);
}

TEST_F(VmsaOfKvmTest, AnFpuInUseIsRefused)
{
    xsave.region[40] = 1; /* XMM0 */
    auto found = state();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, EINVAL);
    EXPECT_TRUE(says(found.error(), "FPU in use")) << found.error().what;
}

TEST_F(VmsaOfKvmTest, WhatIsCutShortIsRefused)
{
    const KvmRegisters whole = {.regs = bytes(regs),
                                .sregs = bytes(sregs),
                                .debugregs = bytes(debugregs),
                                .xcrs = bytes(xcrs),
                                .xsave = bytes(xsave)};
    for (Bytes KvmRegisters::*part :
         {&KvmRegisters::regs, &KvmRegisters::sregs, &KvmRegisters::debugregs,
          &KvmRegisters::xcrs, &KvmRegisters::xsave}) {
        KvmRegisters cut = whole;
        cut.*part = (cut.*part).first(24);
        auto found = vmsa_of_kvm(cut, 0);
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code, EINVAL);
    }
    xcrs.nr_xcrs = 0xffffffff;
    xcrs.xcrs[1].xcr = 5;
    for (auto &row : xcrs.xcrs) {
        row.xcr = 5;
    }
    EXPECT_FALSE(state());
}

} /* namespace */
