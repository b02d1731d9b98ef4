/*
 * On a real KVM with nested SVM: a guest hypervisor and the guest that it runs
 * go on from one VM to the next
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hypervisor (L1) runs its guest (L2) over and over.  L2 counts in %cx,
 * tells it by port I/O, which goes past L1, and calls L1, which counts in
 * %ebx.  The moves come while L2 runs.  The layout of a VMCB is from the AMD64
 * Architecture Programmer's Manual, volume 2, appendix B.
 */

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>

#include "../unit/state_without.h"
#include "kvm_guest.h"

using namespace kvm_reset;

namespace {

constexpr uint32_t l1_code = 0x2000, l2_code = 0x3000, vmcb = 0x5000,
                   host_save = 0x7000, page_directory = 0x8000;
constexpr uint64_t svme = 1 << 12;

/* 32-bit code. */
constexpr uint8_t l1[] = {
    0xb8, 0x00, 0x50, 0x00, 0x00,             /* mov $vmcb, %eax */
    0x0f, 0x01, 0xd8,                         /* vmrun */
    0x43,                                     /* inc %ebx */
    0x83, 0x05, 0x78, 0x55, 0x00, 0x00, 0x03, /* addl $3, vmcb.rip */
    0xeb, 0xee,                               /* and again */
};

/* 16-bit code. */
constexpr uint8_t l2[] = {
    0x41,             /* inc %cx */
    0x89, 0xc8,       /* mov %cx, %ax */
    0xe7, 0xf4,       /* out %ax, $0xf4 */
    0x0f, 0x01, 0xd9, /* vmmcall */
    0xeb, 0xf6,       /* and again */
};

class Hypervisor {
public:
    KvmGuest guest;

    /* Why there is none; empty if there is. */
    std::string start()
    {
        if (guest.has(KVM_CAP_NESTED_STATE) <= 0) {
            return "this KVM does not tell the state of nested guests";
        }
        guest.add_memory();
        guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP);
        Vcpu &vcpu = guest.add_vcpu(0);
        guest.set_cpuid(vcpu);
        std::ranges::copy(l1, guest.memory(l1_code));
        std::ranges::copy(l2, guest.memory(l2_code));
        fill_vmcb();
        if (!set_host_save(vcpu)) {
            return "this KVM has no nested SVM";
        }
        kvm_sregs sregs = {};
        guest.ioctl(vcpu.fd, KVM_GET_SREGS, &sregs);
        for (kvm_segment *segment :
             {&sregs.cs, &sregs.ds, &sregs.es, &sregs.ss}) {
            *segment = {};
            segment->limit = 0xffffffff;
            segment->selector = segment == &sregs.cs ? 8 : 16;
            segment->type = segment == &sregs.cs ? 11 : 3;
            segment->present = segment->s = segment->db = segment->g = 1;
        }
        /* KVM has SVM's instructions only with paging: one page of 4 MiB. */
        const uint32_t page = 0x83;
        memcpy(guest.memory(page_directory), &page, sizeof(page));
        sregs.cr3 = page_directory;
        sregs.cr4 = 0x10;
        sregs.cr0 = 0x80000011;
        sregs.efer = svme;
        if (guest.ioctl(vcpu.fd, KVM_SET_SREGS, &sregs) < 0) {
            return "this KVM has no nested SVM";
        }
        kvm_regs regs = {};
        regs.rip = l1_code;
        regs.rflags = 2;
        guest.ioctl(vcpu.fd, KVM_SET_REGS, &regs);
        return "";
    }

    /* L2's count, once the instruction that told it is finished. */
    uint16_t next_count()
    {
        Vcpu &vcpu = guest.vcpus[0];
        uint16_t count = 0;
        uint32_t reason = guest.resume(vcpu);
        EXPECT_EQ(reason, uint32_t(KVM_EXIT_IO));
        if (reason == KVM_EXIT_IO) {
            memcpy(&count,
                   reinterpret_cast<uint8_t *>(vcpu.run) +
                       vcpu.run->io.data_offset,
                   2);
        }
        vcpu.run->immediate_exit = 1;
        EXPECT_EQ(guest.ioctl(vcpu.fd, KVM_RUN), -EINTR);
        vcpu.run->immediate_exit = 0;
        return count;
    }

    /* How often L1 was called. */
    uint64_t calls()
    {
        kvm_regs regs = {};
        guest.ioctl(guest.vcpus[0].fd, KVM_GET_REGS, &regs);
        return uint32_t(regs.rbx);
    }

    bool in_l2()
    {
        std::vector<uint8_t> state(guest.has(KVM_CAP_NESTED_STATE));
        auto head = reinterpret_cast<kvm_nested_state *>(state.data());
        head->size = state.size();
        return guest.ioctl(guest.vcpus[0].fd, KVM_GET_NESTED_STATE, head) ==
                   0 &&
               (head->flags & KVM_STATE_NESTED_GUEST_MODE);
    }

private:
    template <class T> void field(uint32_t offset, T value)
    {
        memcpy(guest.memory(vmcb + offset), &value, sizeof(value));
    }

    void segment(uint32_t offset, uint16_t attributes)
    {
        field<uint16_t>(offset + 2, attributes);
        field<uint32_t>(offset + 4, 0xffff);
    }

    /* L2 is in real mode; L1 wants its calls, and VMRUN as it must. */
    void fill_vmcb()
    {
        field<uint32_t>(0x010, 3); /* VMRUN, VMMCALL */
        field<uint32_t>(0x058, 1); /* the ASID */
        for (uint32_t offset : {0x400, 0x420, 0x430, 0x440, 0x450}) {
            segment(offset, 0x93);
        }
        segment(0x410, 0x9b);
        segment(0x460, 0);
        segment(0x470, 0x82);
        segment(0x480, 0);
        segment(0x490, 0x8b);
        field<uint64_t>(0x4d0, svme);
        field<uint64_t>(0x558, 0x10); /* CR0 */
        field<uint64_t>(0x560, 0x400);
        field<uint64_t>(0x568, 0xffff0ff0);
        field<uint64_t>(0x570, 2);
        field<uint64_t>(0x578, l2_code);
        field<uint64_t>(0x668, 0x0007040600070406);
    }

    bool set_host_save(Vcpu &vcpu)
    {
        auto one = flexible<kvm_msrs>(1, sizeof(kvm_msr_entry));
        one->nmsrs = 1;
        one->entries[0].index = 0xc0010117;
        one->entries[0].data = host_save;
        return guest.ioctl(vcpu.fd, KVM_SET_MSRS, one.get()) == 1;
    }
};

class NestedPreserveTest : public ::testing::Test {
protected:
    Hypervisor subject;

    void SetUp() override
    {
        SKIP_WITHOUT_KVM();
        if (std::string why = subject.start(); !why.empty()) {
            GTEST_SKIP() << why;
        }
        ASSERT_EQ(subject.next_count(), 1);
        ASSERT_TRUE(subject.in_l2());
    }
};

TEST_F(NestedPreserveTest, AGuestsGuestGoesOnFromOneVmToTheNext)
{
    for (unsigned count = 2; count < 50; count++) {
        Result<Durations> done = subject.guest.move();
        ASSERT_TRUE(done) << done.error().what;
        ASSERT_TRUE(subject.in_l2());
        ASSERT_EQ(subject.next_count(), count);
        ASSERT_EQ(subject.calls(), count - 1);
    }
}

TEST_F(NestedPreserveTest, WithoutItsStateItIsNoGuestOfTheGuestsAnyMore)
{
    StateWithout lacking("NESTED_STATE");
    ASSERT_TRUE(subject.guest.move());
    EXPECT_FALSE(subject.in_l2());
}

} /* namespace */
