/*
 * The save area of a vCPU, as KVM fills it in for the launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Offsets: AMD64 APM volume 2 (24593), table B-4.  What Linux puts there,
 * and what it changes on the way: sev_es_sync_vmsa() and what svm.c does when
 * the registers are set.
 */

#include "vmsa.h"

#include <cerrno>
#include <cstring>

#include "sys.h"

namespace coco {

namespace {

/* What kvm_amd adds to the guest's own value. */
constexpr uint64_t kEferSvme = 1 << 12;
constexpr uint64_t kCr4Mce = 1 << 6; /* the host's */
constexpr uint64_t kCr0CdNw = 3ull << 29;

class Writer {
public:
    explicit Writer(Vmsa *vmsa) : vmsa_(*vmsa) {}

    template <class T> void put(size_t offset, T value)
    {
        memcpy(&vmsa_[offset], &value, sizeof(value));
    }

    void segment(size_t offset, const kvm_segment &s)
    {
        uint16_t attributes = 0;
        if (!s.unusable) {
            attributes = static_cast<uint16_t>(
                s.type | s.s << 4 | s.dpl << 5 | s.present << 7 | s.avl << 8 |
                s.l << 9 | s.db << 10 | s.g << 11);
        }
        put<uint16_t>(offset, s.selector);
        put<uint16_t>(offset + 2, attributes);
        put<uint32_t>(offset + 4, s.limit);
        put<uint64_t>(offset + 8, s.base);
    }

    void table(size_t offset, const kvm_dtable &t)
    {
        put<uint32_t>(offset + 4, t.limit);
        put<uint64_t>(offset + 8, t.base);
    }

private:
    Vmsa &vmsa_;
};

struct MsrField {
    uint32_t msr;
    size_t offset;
};

constexpr MsrField kMsrs[] = {
    {0xc0000081, 0x200}, /* STAR */
    {0xc0000082, 0x208}, /* LSTAR */
    {0xc0000083, 0x210}, /* CSTAR */
    {0xc0000084, 0x218}, /* SFMASK */
    {0xc0000102, 0x220}, /* KERNEL_GS_BASE */
    {0x00000174, 0x228}, /* SYSENTER_CS */
    {0x00000175, 0x230}, /* SYSENTER_ESP */
    {0x00000176, 0x238}, /* SYSENTER_EIP */
    {0x00000277, 0x268}, /* PAT */
    {0x000001d9, 0x270}, /* DEBUGCTL */
    {0x00000da0, 0x140}, /* XSS */
};

/* An MSR that this KVM does not have is as good as 0. */
uint64_t read_msr(int fd, uint32_t index)
{
    kvm_msrs_of<1> one = {.entries = {{.index = index}}};
    return sys::ioctl(fd, KVM_GET_MSRS, &one) == 1 ? one.entries[0].data : 0;
}

void put_fpu(Writer *out, int fd)
{
    kvm_xsave xsave = {};
    if (sys::ioctl(fd, KVM_GET_XSAVE, &xsave) != 0) {
        return;
    }
    /* The first 512 bytes have FXSAVE's format. */
    const auto *area = reinterpret_cast<const uint8_t *>(xsave.region);
    auto get = [area](size_t offset, auto value) {
        memcpy(&value, area + offset, sizeof(value));
        return value;
    };
    out->put(0x400, get(16, uint64_t())); /* data pointer */
    out->put(0x408, get(24, uint32_t())); /* MXCSR */
    out->put(0x40c, get(4, uint16_t()));  /* FTW */
    out->put(0x40e, get(2, uint16_t()));  /* FSW */
    out->put(0x410, get(0, uint16_t()));  /* FCW */
    out->put(0x412, get(6, uint16_t()));  /* FOP */
    out->put(0x418, get(8, uint64_t()));  /* RIP */
    for (size_t i = 0; i < 8; i++) {
        out->put(0x420 + i * 8, get(32 + i * 16, uint64_t()));
        out->put(0x460 + i * 2, get(40 + i * 16, uint16_t()));
    }
    for (size_t i = 0; i < 32; i++) {
        out->put(0x470 + i * 8, get(160 + i * 8, uint64_t()));
    }
}

void put_segments(Writer *out, const kvm_sregs &sregs)
{
    out->segment(0x00, sregs.es);
    out->segment(0x10, sregs.cs);
    out->segment(0x20, sregs.ss);
    out->segment(0x30, sregs.ds);
    out->segment(0x40, sregs.fs);
    out->segment(0x50, sregs.gs);
    out->table(0x60, sregs.gdt);
    out->segment(0x70, sregs.ldt);
    out->table(0x80, sregs.idt);
    out->segment(0x90, sregs.tr);
}

void put_general(Writer *out, const kvm_regs &regs)
{
    const uint64_t high[] = {regs.r8,  regs.r9,  regs.r10, regs.r11,
                             regs.r12, regs.r13, regs.r14, regs.r15};
    out->put<uint64_t>(0x170, regs.rflags);
    out->put<uint64_t>(0x178, regs.rip);
    out->put<uint64_t>(0x1d8, regs.rsp);
    out->put<uint64_t>(0x1f8, regs.rax);
    out->put<uint64_t>(0x308, regs.rcx);
    out->put<uint64_t>(0x310, regs.rdx);
    out->put<uint64_t>(0x318, regs.rbx);
    out->put<uint64_t>(0x328, regs.rbp);
    out->put<uint64_t>(0x330, regs.rsi);
    out->put<uint64_t>(0x338, regs.rdi);
    for (size_t i = 0; i < 8; i++) {
        out->put(0x340 + i * 8, high[i]);
    }
}

} // namespace

int read_vmsa(int fd, uint64_t sev_features, bool with_fpu, Vmsa *vmsa)
{
    kvm_regs regs = {};
    kvm_sregs sregs = {};
    kvm_debugregs debug = {};
    kvm_xcrs xcrs = {};
    Writer out(vmsa);

    vmsa->fill(0);
    if (sys::ioctl(fd, KVM_GET_REGS, &regs) != 0 ||
        sys::ioctl(fd, KVM_GET_SREGS, &sregs) != 0 ||
        sys::ioctl(fd, KVM_GET_DEBUGREGS, &debug) != 0) {
        return -errno;
    }
    put_segments(&out, sregs);
    out.put<uint8_t>(0xcb, sregs.ss.dpl); /* CPL */
    out.put<uint64_t>(0xd0, sregs.efer | kEferSvme);
    out.put<uint64_t>(0x148, sregs.cr4 | kCr4Mce);
    out.put<uint64_t>(0x150, sregs.cr3);
    out.put<uint64_t>(0x158, sregs.cr0 & ~kCr0CdNw);
    out.put<uint64_t>(0x160, debug.dr7);
    out.put<uint64_t>(0x168, debug.dr6);
    out.put<uint64_t>(0x240, sregs.cr2);
    put_general(&out, regs);
    for (const MsrField &field : kMsrs) {
        out.put<uint64_t>(field.offset, read_msr(fd, field.msr));
    }
    out.put<uint64_t>(0x3b0, sev_features);
    uint64_t xcr0 = 1;
    if (sys::ioctl(fd, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs) {
        xcr0 = xcrs.xcrs[0].value;
    }
    out.put<uint64_t>(0x3e8, xcr0);
    if (with_fpu) {
        put_fpu(&out, fd);
    }
    return 0;
}

} // namespace coco
