/*
 * Random definitions: what can be read back of the new VM is equal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A seed makes a VM: capabilities, slots, irqchip, vCPUs, filters and the
 * rest, in an order that KVM takes; what this KVM refuses is simply not part
 * of the definition.  Then a rebirth; then more of it, and another generations.
 * KVM_RESET_SEED repeats one seed.
 */

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include <gtest/gtest.h>

#include "kvm_guest.h"

using namespace kvm_reset;

namespace {

/* What a seed does to a guest. */
class Definer {
public:
    Definer(KvmGuest &guest, unsigned seed) : guest_(guest), random_(seed) {}

    void before_vcpus()
    {
        enable_caps();
        if (chance(70)) {
            guest_.ioctl(guest_.vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
            uint64_t identity_map = 0xfffbc000;
            guest_.ioctl(guest_.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
        }
        make_irqchip();
        if (guest_.has(KVM_CAP_VM_TSC_CONTROL) > 0 && chance(50)) {
            int khz = guest_.ioctl(guest_.vm, KVM_GET_TSC_KHZ);
            guest_.ioctl(guest_.vm, KVM_SET_TSC_KHZ, khz);
        }
        make_slots();
        filter_msrs();
        filter_events();
    }

    void make_vcpus()
    {
        std::vector<unsigned> ids;
        for (unsigned id = 0, n = number(1, 8); id < n; id++) {
            ids.push_back(id);
        }
        std::ranges::shuffle(ids, random_);
        for (unsigned id : ids) {
            define_vcpu(guest_.add_vcpu(id), id);
        }
    }

    /* What a machine does all its life. */
    void live()
    {
        for (int i = number(5, 25); i > 0; i--) {
            switch (number(0, 5)) {
            case 0:
                change_a_slot();
                break;
            case 1:
                route();
                break;
            case 2:
                toggle_an_irqfd();
                break;
            case 3:
                toggle_an_ioeventfd();
                break;
            case 4:
                toggle_a_zone();
                break;
            case 5:
                filter_msrs();
                break;
            }
        }
        if (vfio_ < 0 && chance(50)) {
            kvm_create_device device = {};
            device.type = KVM_DEV_TYPE_VFIO;
            if (guest_.ioctl(guest_.vm, KVM_CREATE_DEVICE, &device) == 0) {
                vfio_ = device.fd;
            }
        }
    }

    ~Definer()
    {
        if (vfio_ >= 0) {
            guest_.recorder.close(vfio_);
        }
    }

private:
    uint64_t number(uint64_t from, uint64_t to)
    {
        return std::uniform_int_distribution<uint64_t>(from, to)(random_);
    }
    bool chance(unsigned percent) { return number(1, 100) <= percent; }

    void enable_caps()
    {
        struct {
            uint32_t cap;
            uint64_t mask; /* of the values that may be asked for */
        } caps[] = {
            {KVM_CAP_X86_USER_SPACE_MSR, 7},
            {KVM_CAP_EXCEPTION_PAYLOAD, 1},
            {KVM_CAP_MSR_PLATFORM_INFO, 1},
            {KVM_CAP_X86_DISABLE_EXITS, 2},
            {KVM_CAP_HALT_POLL, 0xffff},
            {KVM_CAP_X2APIC_API, 3},
            {KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1},
            {KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1},
            {KVM_CAP_X86_BUS_LOCK_EXIT, 1},
            {KVM_CAP_PMU_CAPABILITY, 1},
            {KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1},
            {KVM_CAP_DISABLE_QUIRKS2, 0x1f},
            {KVM_CAP_MAX_VCPU_ID, 63},
        };
        std::ranges::shuffle(caps, random_);
        for (auto &cap : caps) {
            if (chance(50) && guest_.has(cap.cap) > 0) {
                uint64_t value = cap.cap == KVM_CAP_MAX_VCPU_ID
                                   ? number(8, 64)
                                   : number(0, cap.mask) & cap.mask;
                guest_.enable_cap(guest_.vm, cap.cap, value);
            }
        }
    }

    void make_irqchip()
    {
        switch (number(0, 2)) {
        case 0:
            break;
        case 1:
            if (guest_.ioctl(guest_.vm, KVM_CREATE_IRQCHIP) == 0 &&
                chance(70)) {
                kvm_pit_config pit = {};
                pit.flags = number(0, 1);
                guest_.ioctl(guest_.vm, KVM_CREATE_PIT2, &pit);
            }
            break;
        case 2:
            guest_.enable_cap(guest_.vm, KVM_CAP_SPLIT_IRQCHIP, 24);
            break;
        }
    }

    void make_slots()
    {
        for (uint32_t id = 0, n = number(1, 10); id < n; id++) {
            memory_.emplace_back(0x10000);
            place_.push_back(id * 0x1000000);
            present_.push_back(true);
            set_slot(id, chance(20) ? KVM_MEM_LOG_DIRTY_PAGES : 0);
        }
    }

    int set_slot(uint32_t id, uint32_t flags)
    {
        return guest_.slot(id, place_[id], memory_[id].size(), memory_[id].at(),
                           flags);
    }

    void change_a_slot()
    {
        uint32_t id = number(0, memory_.size() - 1);

        switch (number(0, 3)) {
        case 0:
            if (present_[id] && guest_.slot(id, place_[id], 0, nullptr) == 0) {
                present_[id] = false;
            }
            break;
        case 1:
            if (!present_[id]) {
                present_[id] = set_slot(id,
                                        chance(50) ? KVM_MEM_READONLY : 0) == 0;
            }
            break;
        case 2:
            if (present_[id]) {
                set_slot(id, chance(50) ? KVM_MEM_LOG_DIRTY_PAGES : 0);
            }
            break;
        case 3: /* moves it */
            if (present_[id]) {
                uint64_t old = place_[id];
                place_[id] = id * 0x1000000 + number(0, 200) * 0x10000;
                if (set_slot(id, 0) < 0) {
                    place_[id] = old;
                }
            }
            break;
        }
    }

    void filter_msrs()
    {
        if (guest_.has(KVM_CAP_X86_MSR_FILTER) <= 0) {
            return;
        }
        std::vector<std::vector<uint8_t>> bitmaps;
        kvm_msr_filter filter = {};
        filter.flags = number(0, 1);
        for (uint64_t i = 0, n = number(1, 16); i < n; i++) {
            uint32_t msrs = number(1, 300);
            bitmaps.emplace_back((msrs + 63) / 64 * 8);
            for (uint8_t &byte : bitmaps.back()) {
                byte = number(0, 255);
            }
            filter.ranges[i].flags = number(1, 3);
            filter.ranges[i].nmsrs = msrs;
            filter.ranges[i].base = 0x40000100 + i * 0x1000;
            filter.ranges[i].bitmap = bitmaps.back().data();
        }
        guest_.ioctl(guest_.vm, KVM_X86_SET_MSR_FILTER, &filter);
    }

    void filter_events()
    {
        if (guest_.has(KVM_CAP_PMU_EVENT_FILTER) <= 0 || chance(50)) {
            return;
        }
        unsigned n = number(1, 20);
        auto filter = flexible<kvm_pmu_event_filter>(n, 8);
        filter->nevents = n;
        filter->action = number(0, 1);
        for (unsigned i = 0; i < n; i++) {
            filter->events[i] = number(0, 0xffff);
        }
        guest_.ioctl(guest_.vm, KVM_SET_PMU_EVENT_FILTER, filter.get());
    }

    void define_vcpu(Vcpu &vcpu, unsigned id)
    {
        guest_.set_cpuid(vcpu, 0x40000100, 0x1000 + id);
        std::vector<uint32_t> indices = feature_msrs(guest_);
        std::ranges::shuffle(indices, random_);
        for (uint32_t index : indices) {
            define_msr(vcpu, index);
        }
        if (chance(50)) {
            uint64_t banks = number(1, 10) | 1ull << 8;
            guest_.ioctl(vcpu.fd, KVM_X86_SETUP_MCE, &banks);
        }
        if (chance(50)) {
            int khz = guest_.ioctl(vcpu.fd, KVM_GET_TSC_KHZ);
            guest_.ioctl(vcpu.fd, KVM_SET_TSC_KHZ, khz);
        }
        if (chance(50)) {
            auto mask = flexible<kvm_signal_mask>(8, 1);
            mask->len = 8;
            mask->sigset[1] = 2;
            guest_.ioctl(vcpu.fd, KVM_SET_SIGNAL_MASK, mask.get());
        }
        if (chance(30)) {
            kvm_tpr_access_ctl tpr = {};
            tpr.enabled = 1;
            guest_.ioctl(vcpu.fd, KVM_TPR_ACCESS_REPORTING, &tpr);
        }
        if (chance(30)) {
            kvm_guest_debug debug = {};
            debug.control = KVM_GUESTDBG_ENABLE;
            guest_.ioctl(vcpu.fd, KVM_SET_GUEST_DEBUG, &debug);
        }
    }

    /* With the value that KVM offers, or one bit less of it. */
    void define_msr(Vcpu &vcpu, uint32_t index)
    {
        auto msr = flexible<kvm_msrs>(1, sizeof(kvm_msr_entry));
        msr->nmsrs = 1;
        msr->entries[0].index = index;
        if (guest_.ioctl(guest_.kvm, KVM_GET_MSRS, msr.get()) != 1) {
            return;
        }
        if (chance(30)) {
            uint64_t value = msr->entries[0].data;
            msr->entries[0].data = value & (value - 1);
        }
        guest_.ioctl(vcpu.fd, KVM_SET_MSRS, msr.get());
    }

    void route()
    {
        std::vector<kvm_irq_routing_entry> routes;
        for (uint32_t gsi = 0, n = number(1, 40); gsi < n; gsi++) {
            kvm_irq_routing_entry entry = {};
            entry.gsi = gsi;
            entry.type = KVM_IRQ_ROUTING_MSI;
            entry.u.msi.address_lo = 0xfee00000;
            entry.u.msi.data = number(0x20, 0xff);
            routes.push_back(entry);
        }
        guest_.route(routes);
    }

    void toggle_an_irqfd()
    {
        if (irqfds_.empty() || chance(60)) {
            uint32_t gsi = number(0, 23);
            Doorbell bell;
            if (guest_.irqfd(bell.fd(), gsi) == 0) {
                irqfds_.push_back({std::move(bell), gsi});
            }
        } else {
            auto &[bell, gsi] = irqfds_.back();
            if (chance(70)) {
                guest_.irqfd(bell.fd(), gsi, KVM_IRQFD_FLAG_DEASSIGN);
            }
            irqfds_.pop_back(); /* … or closes it, without a word */
        }
    }

    void toggle_an_ioeventfd()
    {
        if (ioeventfds_.empty() || chance(60)) {
            uint32_t flags = number(0, 3);
            uint64_t addr = (flags & KVM_IOEVENTFD_FLAG_PIO ? 0xc000
                                                            : 0xd0000000) +
                            number(0, 63) * 4;
            uint64_t match = flags & KVM_IOEVENTFD_FLAG_DATAMATCH ? number(0, 3)
                                                                  : 0;
            Doorbell bell;
            if (guest_.ioeventfd(bell.fd(), addr, 4, flags, match) == 0) {
                ioeventfds_.push_back({std::move(bell), addr, match, flags});
            }
        } else {
            auto &one = ioeventfds_.back();
            guest_.ioeventfd(one.bell.fd(), one.addr, 4,
                             one.flags | KVM_IOEVENTFD_FLAG_DEASSIGN,
                             one.match);
            ioeventfds_.pop_back();
        }
    }

    void toggle_a_zone()
    {
        kvm_coalesced_mmio_zone zone = {};
        zone.addr = 0xe0000000 + number(0, 7) * 0x1000;
        zone.size = 0x1000;
        guest_.ioctl(guest_.vm,
                     chance(60) ? KVM_REGISTER_COALESCED_MMIO
                                : KVM_UNREGISTER_COALESCED_MMIO,
                     &zone);
    }

    struct Assigned {
        Doorbell bell;
        uint64_t addr, match;
        uint32_t flags;
    };

    KvmGuest &guest_;
    std::mt19937 random_;
    std::vector<Memory> memory_;
    std::vector<uint64_t> place_;
    std::vector<bool> present_;
    std::vector<std::pair<Doorbell, uint32_t>> irqfds_;
    std::vector<Assigned> ioeventfds_;
    int vfio_ = -1;
};

void expect_equal(const Readings &before, const Readings &after)
{
    ASSERT_EQ(before.size(), after.size());
    for (auto &[name, value] : before) {
        EXPECT_EQ(after.at(name), value) << name;
    }
}

class DefinitionTest : public ::testing::Test {
protected:
    void SetUp() override { SKIP_WITHOUT_KVM(); }

    void try_seed(unsigned seed)
    {
        SCOPED_TRACE(format("repeat with KVM_RESET_SEED=%u", seed));
        size_t fds = open_fds();
        {
            KvmGuest guest;
            Definer definer(guest, seed);
            definer.before_vcpus();
            definer.make_vcpus();
            definer.live();
            ASSERT_FALSE(guest.recorder.blocker()) << *guest.recorder.blocker();
            Readings before = read_back(guest);
            ASSERT_NO_FATAL_FAILURE(guest.reborn());
            ASSERT_NO_FATAL_FAILURE(expect_equal(before, read_back(guest)));

            definer.live();
            ASSERT_NO_FATAL_FAILURE(guest.reborn());
            expect_equal(before, read_back(guest));
            guest.generations.drain();
            read_ += before.size();
            entries_ += guest.recorder.entries();
        }
        /* The watcher of eventfds goes with the guest's kernel. */
        EXPECT_EQ(open_fds(), fds);
    }

    size_t read_ = 0, entries_ = 0;
};

TEST_F(DefinitionTest, WhatCanBeReadBackIsEqual)
{
    if (const char *given = getenv("KVM_RESET_SEED")) {
        try_seed(strtoul(given, nullptr, 0));
        return;
    }
    unsigned first = time(nullptr);
    printf("seeds %u to %u\n", first, first + 9);
    for (unsigned i = 0; i < 10 && !HasFailure(); i++) {
        try_seed(first + i);
    }
    EXPECT_GT(read_, 10u * 300);
    EXPECT_GT(entries_, 10u * 20);
    printf("%zu entries, %zu readings\n", entries_, read_);
}

} /* namespace */
