/*
 * Rebirth on a real KVM: nothing leaks, nothing is lost when a call fails
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "kvm_guest.h"
#include "c_api.h"
#include "standalone_error.h"
#include "sysemu/kvm-reset.h"

using namespace kvm_reset;

namespace {

class RealRebirthTest : public ::testing::Test {
protected:
    void SetUp() override { SKIP_WITHOUT_KVM(); }
};

/* A guest whose every part shows whether it is whole. */
struct Whole {
    KvmGuest guest;
    Doorbell irq, door;
    Memory memory{0x1000};

    Whole()
    {
        guest.add_memory();
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP), 0);
        guest.add_vcpu(0);
        guest.add_vcpu(1);
        guest.set_cpuid(guest.vcpus[0], 0x40000100, 0xabcd);
        EXPECT_EQ(guest.slot(1, 0x80000, 0x1000, memory.at()), 0);
        EXPECT_EQ(guest.irqfd(irq.fd(), 5), 0);
        EXPECT_EQ(guest.ioeventfd(door.fd(), 0xd0000, 1), 0);
    }

    void expect_whole()
    {
        Vcpu &vcpu = guest.vcpus[0];
        *memory.at(3) = 99;
        EXPECT_EQ(guest.report(vcpu, Code().load(0x80003).end()), 99u);
        EXPECT_EQ(guest.report(vcpu, Code().cpuid(0x40000100).end()), 0xabcdu);
        guest.report(vcpu, Code().store(0xd0000, 1).end());
        EXPECT_EQ(door.rung(), 1u);

        kvm_irqchip clear = {};
        clear.chip_id = KVM_IRQCHIP_PIC_MASTER;
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_SET_IRQCHIP, &clear), 0);
        irq.ring();
        yield_until([&] { return guest.raised(5); });
    }
};

TEST_F(RealRebirthTest, EverySingleFailingCallLeavesTheOldVmWhole)
{
    constexpr int codes[] = {ENOMEM, EINTR, EBUSY, EMFILE};
    Whole whole;
    whole.expect_whole();
    unsigned aborted = 0;

    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(format("call %u", nth));
        size_t fds = open_fds();
        whole.guest.kernel.fail(nth, codes[nth % std::size(codes)]);
        Result<Durations> done = whole.guest.reset();
        bool reached = whole.guest.kernel.failed();
        whole.guest.kernel.fail(0, 0);
        if (!done) {
            aborted++;
            EXPECT_EQ(open_fds(), fds) << done.error().what;
        } else {
            whole.guest.generations.drain();
        }
        whole.expect_whole();
        ASSERT_FALSE(HasFailure());
        if (!reached) {
            break;
        }
    }
    /* A device that cannot be opened again is no reason to. */
    EXPECT_GT(aborted, 14u);
}

TEST_F(RealRebirthTest, AHookThatFailsBringsTheOldVmBackWhole)
{
    Whole whole;
    whole.guest.registry.add(
        {.name = "fails",
         .owner = this,
         .phases = {Phase::NewVm},
         .run = [](Phase) -> Result<void> { return fail(EIO, "on purpose"); }});
    size_t fds = open_fds();
    for (int i = 0; i < 3; i++) {
        EXPECT_FALSE(whole.guest.reset());
        EXPECT_EQ(open_fds(), fds);
        whole.expect_whole();
    }
    whole.guest.registry.remove_owned(this);
    whole.guest.reborn();
    whole.expect_whole();
}

size_t mappings()
{
    std::ifstream maps("/proc/self/maps");
    std::string line;
    size_t count = 0;

    while (std::getline(maps, line)) {
        count += line.contains("kvm");
    }
    return count;
}

TEST_F(RealRebirthTest, ManyInARowLeakNeitherFdsNorMappings)
{
    Whole whole;
    whole.guest.reborn();
    whole.guest.generations.drain();
    size_t fds = open_fds(), maps = mappings();
    for (int i = 0; i < 50; i++) {
        ASSERT_NO_FATAL_FAILURE(whole.guest.reborn());
    }
    whole.guest.generations.drain();
    EXPECT_EQ(open_fds(), fds);
    EXPECT_EQ(mappings(), maps);
    whole.expect_whole();
    EXPECT_EQ(whole.guest.generations.status().generation, 51u);
}

/* --- Through the C surface ------------------------------------------------ */

TEST_F(RealRebirthTest, TheCSurfaceGivesTheGuestANewVm)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    ASSERT_GE(kvm, 0);
    int vm = kvm_reset_ioctl(kvm, KVM_CREATE_VM, nullptr);
    ASSERT_GE(vm, 0) << strerror(errno);
    int vcpu = kvm_reset_ioctl(vm, KVM_CREATE_VCPU, nullptr);
    ASSERT_GE(vcpu, 0);
    int size = kvm_reset_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, nullptr);
    auto run = static_cast<kvm_run *>(kvm_reset_mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
    ASSERT_NE(run, MAP_FAILED);
    Memory memory(0x10000);
    kvm_userspace_memory_region region = {};
    region.memory_size = memory.size();
    region.userspace_addr = memory.address();
    ASSERT_EQ(kvm_reset_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
    region.slot = 9999999;
    errno = 0;
    EXPECT_EQ(kvm_reset_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), -1);
    EXPECT_EQ(errno, EINVAL);

    for (int i = 0; i < 3; i++) {
        Code code;
        code.out(0x99, i).end();
        std::ranges::copy(code.bytes(), memory.at(code_at));
        kvm_sregs sregs;
        ASSERT_EQ(kvm_reset_ioctl(vcpu, KVM_GET_SREGS, &sregs), 0);
        EXPECT_EQ(sregs.cs.base, 0xffff0000u) << "not a new vCPU";
        sregs.cs.base = sregs.cs.selector = 0;
        ASSERT_EQ(kvm_reset_ioctl(vcpu, KVM_SET_SREGS, &sregs), 0);
        kvm_regs regs = {};
        regs.rip = code_at;
        regs.rflags = 2;
        ASSERT_EQ(kvm_reset_ioctl(vcpu, KVM_SET_REGS, &regs), 0);
        ASSERT_EQ(kvm_reset_ioctl(vcpu, KVM_RUN, nullptr), 0);
        EXPECT_EQ(run->exit_reason, uint32_t(KVM_EXIT_IO));
        EXPECT_EQ(run->io.port, 0x99);

        ::Error *err = nullptr;
        bool waits;
        ASSERT_TRUE(kvm_reset_rebirth(&waits, &err)) << err->what;
    }
    kvm_reset_drain();

    kvm_reset_munmap(run, size);
    kvm_reset_close(vcpu);
    kvm_reset_close(vm);
    kvm_reset_close(kvm);
}

} /* namespace */
