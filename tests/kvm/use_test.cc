/*
 * What cannot be read back of a VM, seen by using it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test does the same to the first VM and to the one that takes its
 * place: so that it fails when the test itself does not work here.
 */

#include <cerrno>
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "kvm_guest.h"

using namespace kvm_reset;

namespace {

class UseTest : public ::testing::Test {
protected:
    void SetUp() override { SKIP_WITHOUT_KVM(); }

    /* Runs @check on the first VM, and on two more. */
    template <class Check> void on_each_vm(KvmGuest &guest, Check check)
    {
        for (int vm = 0; vm < 3; vm++) {
            SCOPED_TRACE(format("VM %d", vm));
            ASSERT_NO_FATAL_FAILURE(check());
            if (HasFailure()) {
                return;
            }
            ASSERT_NO_FATAL_FAILURE(guest.reborn());
        }
        guest.generations.drain();
    }
};

#define SKIP_UNLESS(guest, cap)                                                \
    do {                                                                       \
        if ((guest).has(cap) <= 0) {                                           \
            GTEST_SKIP() << "this KVM lacks " #cap;                            \
        }                                                                      \
    } while (0)

/* --- Interrupts ----------------------------------------------------------- */

TEST_F(UseTest, AnIrqfdRaisesItsInterrupt)
{
    KvmGuest guest;
    Doorbell bell;
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP), 0);
    ASSERT_EQ(guest.irqfd(bell.fd(), 4), 0);

    on_each_vm(guest, [&] {
        EXPECT_FALSE(guest.raised(4));
        bell.ring();
        yield_until([&] { return guest.raised(4); });
        EXPECT_EQ(bell.rung(), 0u) << "nobody took it";
    });
}

TEST_F(UseTest, AnInterruptThatWaitsInAnIrqfdAtTheSwapIsNotLost)
{
    KvmGuest guest;
    Doorbell bell;
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP), 0);
    ASSERT_EQ(guest.irqfd(bell.fd(), 4), 0);
    bool once = true;
    guest.kernel.before_ioctl = [&](int fd, uint32_t request) {
        /* The old VM has it no more and the new one not yet. */
        if (request == KVM_IRQFD && fd != guest.vm &&
            std::exchange(once, false)) {
            bell.ring();
        }
    };
    ASSERT_NO_FATAL_FAILURE(guest.reborn());
    EXPECT_FALSE(once);
    yield_until([&] { return guest.raised(4); });
}

TEST_F(UseTest, ARouteLeadsAnIrqfdToItsVector)
{
    KvmGuest guest;
    Doorbell bell;
    SKIP_UNLESS(guest, KVM_CAP_SPLIT_IRQCHIP);
    ASSERT_EQ(guest.enable_cap(guest.vm, KVM_CAP_SPLIT_IRQCHIP, 24), 0);
    Vcpu &vcpu = guest.add_vcpu(0);
    kvm_irq_routing_entry entry = {};
    entry.gsi = 30;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = 0xfee00000;
    entry.u.msi.data = 0x61;
    ASSERT_EQ(guest.route({entry}), 0);
    ASSERT_EQ(guest.irqfd(bell.fd(), 30), 0);

    on_each_vm(guest, [&] {
        /* Software enables its APIC: volatile, so done anew each time. */
        kvm_lapic_state lapic = {};
        ASSERT_EQ(guest.ioctl(vcpu.fd, KVM_GET_LAPIC, &lapic), 0);
        uint32_t spurious = 0x1ff;
        memcpy(lapic.regs + 0xf0, &spurious, 4);
        ASSERT_EQ(guest.ioctl(vcpu.fd, KVM_SET_LAPIC, &lapic), 0);

        auto requested = [&] {
            EXPECT_EQ(guest.ioctl(vcpu.fd, KVM_GET_LAPIC, &lapic), 0);
            uint32_t irr;
            memcpy(&irr, lapic.regs + 0x200 + 0x61 / 32 * 0x10, 4);
            return (irr & 1u << 0x61 % 32) != 0;
        };
        EXPECT_FALSE(requested());
        bell.ring();
        yield_until(requested);
    });
}

/* --- Doorbells ------------------------------------------------------------ */

TEST_F(UseTest, AnIoeventfdOnAPortFiresForItsValueOnly)
{
    KvmGuest guest;
    Doorbell bell;
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.ioeventfd(
                  bell.fd(), 0xc000, 1,
                  KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 3),
              0);

    on_each_vm(guest, [&] {
        guest.report(vcpu, Code().out(0xc000, 3).out(0xc000, 3).end());
        EXPECT_EQ(bell.rung(), 2u);
        EXPECT_EQ(guest.run(vcpu, Code().out(0xc000, 4).end()),
                  uint32_t(KVM_EXIT_IO));
        EXPECT_EQ(vcpu.run->io.port, 0xc000);
        EXPECT_EQ(bell.rung(), 0u);
    });
}

TEST_F(UseTest, AnIoeventfdOnAnAddressFires)
{
    KvmGuest guest;
    Doorbell bell;
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.ioeventfd(bell.fd(), 0xd0004, 1), 0);

    on_each_vm(guest, [&] {
        guest.report(vcpu, Code().store(0xd0004, 9).end());
        EXPECT_EQ(bell.rung(), 1u);
    });
}

TEST_F(UseTest, ADoorbellTakenAwayStaysAway)
{
    KvmGuest guest;
    Doorbell bell;
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.ioeventfd(bell.fd(), 0xd0004, 1), 0);
    ASSERT_EQ(
        guest.ioeventfd(bell.fd(), 0xd0004, 1, KVM_IOEVENTFD_FLAG_DEASSIGN), 0);

    on_each_vm(guest, [&] {
        EXPECT_EQ(guest.run(vcpu, Code().store(0xd0004, 9).end()),
                  uint32_t(KVM_EXIT_MMIO));
        EXPECT_EQ(vcpu.run->mmio.phys_addr, 0xd0004u);
        EXPECT_EQ(bell.rung(), 0u);
    });
}

TEST_F(UseTest, ACoalescedZoneCollects)
{
    KvmGuest guest;
    SKIP_UNLESS(guest, KVM_CAP_COALESCED_MMIO);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    kvm_coalesced_mmio_zone zone = {};
    zone.addr = 0xe0000;
    zone.size = 0x1000;
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_REGISTER_COALESCED_MMIO, &zone), 0);
    auto ring = reinterpret_cast<kvm_coalesced_mmio_ring *>(
        reinterpret_cast<uint8_t *>(vcpu.run) +
        guest.has(KVM_CAP_COALESCED_MMIO) * getpagesize());

    on_each_vm(guest, [&] {
        uint32_t first = ring->last;
        guest.report(vcpu, Code().store(0xe0010, 5).store(0xe0020, 6).end());
        EXPECT_EQ(ring->last, first + 2);
        EXPECT_EQ(ring->coalesced_mmio[first].phys_addr, 0xe0010u);
        EXPECT_EQ(ring->coalesced_mmio[first].data[0], 5);
        EXPECT_EQ(ring->coalesced_mmio[first + 1].phys_addr, 0xe0020u);
    });
}

/* --- Memory --------------------------------------------------------------- */

TEST_F(UseTest, ASlotsMemoryIsWhatTheGuestSees)
{
    KvmGuest guest;
    Memory memory(0x2000);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.slot(3, 0x80000, 0x2000, memory.at()), 0);

    uint8_t value = 0;
    on_each_vm(guest, [&] {
        *memory.at(0x1008) = ++value;
        EXPECT_EQ(guest.report(vcpu, Code().load(0x81008).end()), value);
        guest.report(vcpu, Code().store(0x80004, 0x40 + value).end());
        EXPECT_EQ(*memory.at(4), 0x40 + value);
    });
}

TEST_F(UseTest, ASlotThatMovedIsAtItsNewPlaceAlone)
{
    KvmGuest guest;
    Memory memory(0x1000);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.slot(3, 0x80000, 0x1000, memory.at()), 0);
    ASSERT_EQ(guest.slot(3, 0x90000, 0x1000, memory.at()), 0);
    *memory.at(1) = 77;

    on_each_vm(guest, [&] {
        EXPECT_EQ(guest.report(vcpu, Code().load(0x90001).end()), 77u);
        EXPECT_EQ(guest.run(vcpu, Code().load(0x80001).end()),
                  uint32_t(KVM_EXIT_MMIO));
    });
}

TEST_F(UseTest, AReadOnlySlotIsReadAndNotWritten)
{
    KvmGuest guest;
    SKIP_UNLESS(guest, KVM_CAP_READONLY_MEM);
    Memory memory(0x1000);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.slot(3, 0x80000, 0x1000, memory.at(), KVM_MEM_READONLY), 0);
    *memory.at(8) = 55;

    on_each_vm(guest, [&] {
        EXPECT_EQ(guest.report(vcpu, Code().load(0x80008).end()), 55u);
        EXPECT_EQ(guest.run(vcpu, Code().store(0x80008, 1).end()),
                  uint32_t(KVM_EXIT_MMIO));
        EXPECT_EQ(*memory.at(8), 55);
    });
}

TEST_F(UseTest, ASlotsDirtyPagesAreLogged)
{
    KvmGuest guest;
    Memory memory(0x4000);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.slot(3, 0x80000, 0x4000, memory.at()), 0);
    ASSERT_EQ(
        guest.slot(3, 0x80000, 0x4000, memory.at(), KVM_MEM_LOG_DIRTY_PAGES),
        0);

    on_each_vm(guest, [&] {
        uint64_t bitmap = 0;
        kvm_dirty_log log = {};
        log.slot = 3;
        log.dirty_bitmap = &bitmap;
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_GET_DIRTY_LOG, &log), 0);
        guest.report(vcpu, Code().store(0x82000, 1).end());
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_GET_DIRTY_LOG, &log), 0);
        EXPECT_EQ(bitmap, 4u);
    });
}

TEST_F(UseTest, TheDirtyRingIsAtItsAddress)
{
    KvmGuest guest;
    SKIP_UNLESS(guest, KVM_CAP_DIRTY_LOG_RING);
    constexpr size_t size = 0x4000;
    ASSERT_EQ(guest.enable_cap(guest.vm, KVM_CAP_DIRTY_LOG_RING, size), 0);
    Memory memory(0x4000);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    void *at;
    ASSERT_EQ(guest.recorder.mmap(
                  nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd,
                  KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize(), &at),
              0);
    auto ring = static_cast<volatile kvm_dirty_gfn *>(at);
    ASSERT_EQ(
        guest.slot(3, 0x80000, 0x4000, memory.at(), KVM_MEM_LOG_DIRTY_PAGES),
        0);

    on_each_vm(guest, [&] {
        EXPECT_EQ(ring[0].flags, 0u);
        guest.report(vcpu, Code().store(0x83000, 1).end());
        EXPECT_EQ(ring[0].flags, uint32_t(KVM_DIRTY_GFN_F_DIRTY));
        EXPECT_EQ(ring[0].slot, 3u);
        EXPECT_EQ(ring[0].offset, 3u);
    });
    guest.recorder.munmap(at, size);
}

TEST_F(UseTest, GuestMemfdAndItsSlotAreTheNewVms)
{
    {
        /* Asked of KVM itself: what it has for a VM depends on its type. */
        KvmGuest probe;
        int types = probe.ioctl(probe.kvm, KVM_CHECK_EXTENSION,
                                KVM_CAP_VM_TYPES);
        if (types < 0 || !(types & 1 << KVM_X86_SW_PROTECTED_VM)) {
            GTEST_SKIP() << "this KVM lacks KVM_X86_SW_PROTECTED_VM";
        }
    }
    KvmGuest guest(KVM_X86_SW_PROTECTED_VM);
    kvm_create_guest_memfd create = {};
    create.size = 0x10000;
    int memfd = guest.ioctl(guest.vm, KVM_CREATE_GUEST_MEMFD, &create);
    ASSERT_GE(memfd, 0) << strerror(-memfd);
    Memory memory(0x10000);
    kvm_userspace_memory_region2 region = {};
    region.slot = 4;
    region.flags = KVM_MEM_GUEST_MEMFD;
    region.guest_phys_addr = 0x100000;
    region.memory_size = 0x10000;
    region.userspace_addr = memory.address();
    region.guest_memfd = memfd;
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
    kvm_memory_attributes attributes = {};
    attributes.address = 0x100000;
    attributes.size = 0x10000;
    attributes.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes), 0);

    on_each_vm(guest, [&] {
        /* The slot holds this very memfd: binding it twice is refused. */
        kvm_userspace_memory_region2 again = region;
        again.slot = 5;
        again.guest_phys_addr = 0x200000;
        EXPECT_LT(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2, &again),
                  0);
    });
    guest.recorder.close(memfd);
}

/* --- CPUs ----------------------------------------------------------------- */

TEST_F(UseTest, TheGuestSeesItsCpuid)
{
    KvmGuest guest;
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    ASSERT_EQ(guest.set_cpuid(vcpu, 0x40000100, 0x12345678), 0);

    on_each_vm(guest, [&] {
        EXPECT_EQ(guest.report(vcpu, Code().cpuid(0x40000100).end()),
                  0x12345678u);
    });
}

TEST_F(UseTest, TheMsrFilterExitsToUserspace)
{
    KvmGuest guest;
    SKIP_UNLESS(guest, KVM_CAP_X86_MSR_FILTER);
    SKIP_UNLESS(guest, KVM_CAP_X86_USER_SPACE_MSR);
    guest.add_memory();
    ASSERT_EQ(guest.enable_cap(guest.vm, KVM_CAP_X86_USER_SPACE_MSR,
                               KVM_MSR_EXIT_REASON_FILTER),
              0);
    Vcpu &vcpu = guest.add_vcpu(0);
    {
        uint8_t bitmap[8] = {0xfe}; /* the first one is denied */
        kvm_msr_filter filter = {};
        filter.ranges[0].flags = KVM_MSR_FILTER_READ;
        filter.ranges[0].nmsrs = 8;
        filter.ranges[0].base = 0x174;
        filter.ranges[0].bitmap = bitmap;
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_X86_SET_MSR_FILTER, &filter), 0);
        memset(bitmap, 0xff, sizeof(bitmap));
    }

    on_each_vm(guest, [&] {
        EXPECT_EQ(guest.run(vcpu, Code().rdmsr(0x174).end()),
                  uint32_t(KVM_EXIT_X86_RDMSR));
        EXPECT_EQ(vcpu.run->msr.index, 0x174u);
        EXPECT_EQ(vcpu.run->msr.reason, uint32_t(KVM_MSR_EXIT_REASON_FILTER));
        vcpu.run->msr.data = 0x1234;
        EXPECT_EQ(guest.resume(vcpu), uint32_t(KVM_EXIT_IO));
        guest.report(vcpu, Code().rdmsr(0x175).end());
    });
}

TEST_F(UseTest, TheSignalMaskOfAVcpuHolds)
{
    KvmGuest guest;
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    sigset_t usr1, before;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &usr1, &before), 0);
    /* While the vCPU runs nothing is blocked. */
    auto mask = flexible<kvm_signal_mask>(8, 1);
    mask->len = 8;
    ASSERT_EQ(guest.ioctl(vcpu.fd, KVM_SET_SIGNAL_MASK, mask.get()), 0);

    on_each_vm(guest, [&] {
        guest.report(vcpu, Code().end());
        guest.resume(vcpu);
        pthread_kill(pthread_self(), SIGUSR1);
        EXPECT_EQ(guest.ioctl(vcpu.fd, KVM_RUN), -EINTR);
        timespec none = {};
        EXPECT_EQ(sigtimedwait(&usr1, nullptr, &none), SIGUSR1);
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(UseTest, TheStatisticsAreOfTheNewVm)
{
    KvmGuest guest;
    SKIP_UNLESS(guest, KVM_CAP_BINARY_STATS_FD);
    guest.add_memory();
    Vcpu &vcpu = guest.add_vcpu(0);
    int stats = guest.ioctl(vcpu.fd, KVM_GET_STATS_FD);
    ASSERT_GE(stats, 0);

    auto exits = [&]() -> uint64_t {
        kvm_stats_header header;
        EXPECT_EQ(pread(stats, &header, sizeof(header), 0),
                  ssize_t(sizeof(header)));
        size_t size = sizeof(kvm_stats_desc) + header.name_size;
        for (uint32_t i = 0; i < header.num_desc; i++) {
            auto desc = flexible<kvm_stats_desc>(header.name_size + 1, 1);
            EXPECT_EQ(
                pread(stats, desc.get(), size, header.desc_offset + i * size),
                ssize_t(size));
            if (!strcmp(desc->name, "exits")) {
                uint64_t value = 0;
                EXPECT_EQ(
                    pread(stats, &value, 8, header.data_offset + desc->offset),
                    8);
                return value;
            }
        }
        return 0;
    };

    on_each_vm(guest, [&] {
        EXPECT_EQ(exits(), 0u);
        for (int i = 0; i < 5; i++) {
            guest.report(vcpu, Code().end());
        }
        EXPECT_GT(exits(), 4u);
    });
    guest.recorder.close(stats);
}

} /* namespace */
