/*
 * What the tests say to KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Written down apart from the catalogue, so that a mistake in a row cannot
 * hide in a test that reads the same row.  Not <linux/kvm.h>: the unit tests
 * need no kernel headers.
 */

#ifndef TESTS_UNIT_KVM_ABI_H
#define TESTS_UNIT_KVM_ABI_H

#include <cstdint>

namespace uapi {

constexpr uint32_t number(uint32_t direction, uint32_t n, uint32_t size)
{
    return direction << 30 | size << 16 | 0xae00 | n;
}
constexpr uint32_t plain(uint32_t n)
{
    return number(0, n, 0);
}
constexpr uint32_t in(uint32_t n, uint32_t size)
{
    return number(1, n, size);
}
constexpr uint32_t out(uint32_t n, uint32_t size)
{
    return number(2, n, size);
}
constexpr uint32_t both(uint32_t n, uint32_t size)
{
    return number(3, n, size);
}

constexpr uint32_t create_vm = plain(0x01);
constexpr uint32_t check_extension = plain(0x03);
constexpr uint32_t get_msr_feature_index_list = both(0x0a, 4);
constexpr uint32_t create_vcpu = plain(0x41);
constexpr uint32_t set_user_memory_region = in(0x46, 32);
constexpr uint32_t set_user_memory_region2 = in(0x49, 160);
constexpr uint32_t set_tss_addr = plain(0x47);
constexpr uint32_t set_identity_map_addr = in(0x48, 8);
constexpr uint32_t create_irqchip = plain(0x60);
constexpr uint32_t irq_line = in(0x61, 8);
constexpr uint32_t register_coalesced_mmio = in(0x67, 16);
constexpr uint32_t unregister_coalesced_mmio = in(0x68, 16);
constexpr uint32_t set_gsi_routing = in(0x6a, 8);
constexpr uint32_t reinject_control = plain(0x71);
constexpr uint32_t irqfd = in(0x76, 32);
constexpr uint32_t create_pit2 = in(0x77, 64);
constexpr uint32_t ioeventfd = in(0x79, 64);
constexpr uint32_t set_clock = in(0x7b, 48);
constexpr uint32_t run = plain(0x80);
constexpr uint32_t set_regs = in(0x82, 144);
constexpr uint32_t set_msrs = in(0x89, 8);
constexpr uint32_t set_cpuid = in(0x8a, 8);
constexpr uint32_t set_signal_mask = in(0x8b, 4);
constexpr uint32_t set_cpuid2 = in(0x90, 8);
constexpr uint32_t set_guest_debug = in(0x9b, 72);
constexpr uint32_t set_tsc_khz = plain(0xa2);
constexpr uint32_t enable_cap = in(0xa3, 104);
constexpr uint32_t set_one_reg = in(0xac, 16);
constexpr uint32_t set_pmu_event_filter = in(0xb2, 32);
constexpr uint32_t memory_encrypt_op = both(0xba, 8);
constexpr uint32_t hyperv_eventfd = in(0xbd, 24);
constexpr uint32_t set_msr_filter = in(0xc6, 392);
constexpr uint32_t get_stats_fd = plain(0xce);
constexpr uint32_t set_memory_attributes = in(0xd2, 32);
constexpr uint32_t create_guest_memfd = both(0xd4, 64);
constexpr uint32_t create_device = both(0xe0, 12);
constexpr uint32_t set_device_attr = in(0xe1, 24);

struct Region {
    uint32_t slot = 0;
    uint32_t flags = 0;
    uint64_t gpa = 0;
    uint64_t size = 0;
    uint64_t hva = 0;
};

struct Region2 {
    uint32_t slot = 0;
    uint32_t flags = 0;
    uint64_t gpa = 0;
    uint64_t size = 0;
    uint64_t hva = 0;
    uint64_t memfd_offset = 0;
    uint32_t memfd = 0;
    uint32_t pad1 = 0;
    uint64_t pad2[14] = {};
};
static_assert(sizeof(Region2) == 160);
constexpr uint32_t mem_guest_memfd = 4;

struct Irqfd {
    uint32_t fd = 0;
    uint32_t gsi = 0;
    uint32_t flags = 0;
    uint32_t resamplefd = 0;
    uint8_t pad[16] = {};
};
constexpr uint32_t irqfd_deassign = 1;
constexpr uint32_t irqfd_resample = 2;

struct Ioeventfd {
    uint64_t datamatch = 0;
    uint64_t addr = 0;
    uint32_t len = 0;
    int32_t fd = -1;
    uint32_t flags = 0;
    uint8_t pad[36] = {};
};
static_assert(sizeof(Ioeventfd) == 64);
constexpr uint32_t ioeventfd_datamatch = 1;
constexpr uint32_t ioeventfd_pio = 2;
constexpr uint32_t ioeventfd_deassign = 4;

struct HypervEventfd {
    uint32_t conn_id = 0;
    int32_t fd = -1;
    uint32_t flags = 0;
    uint32_t pad[3] = {};
};

struct Zone {
    uint64_t addr = 0;
    uint32_t size = 0;
    uint32_t pio = 0;
};

struct Route {
    uint32_t gsi = 0;
    uint32_t type = 1;
    uint32_t flags = 0;
    uint32_t pad = 0;
    uint32_t chip = 0;
    uint32_t pin = 0;
    uint32_t rest[6] = {};
};
static_assert(sizeof(Route) == 48);

template <unsigned n> struct Routing {
    uint32_t count = n;
    uint32_t flags = 0;
    Route routes[n] = {};
};

struct EnableCap {
    uint32_t cap = 0;
    uint32_t flags = 0;
    uint64_t args[4] = {};
    uint8_t pad[64] = {};
};
static_assert(sizeof(EnableCap) == 104);

struct Msr {
    uint32_t index = 0;
    uint32_t reserved = 0;
    uint64_t data = 0;
};

template <unsigned n> struct Msrs {
    uint32_t count = n;
    uint32_t pad = 0;
    Msr msrs[n] = {};
};

struct CpuidEntry2 {
    uint32_t function = 0, index = 0, flags = 0;
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    uint32_t pad[3] = {};
};
static_assert(sizeof(CpuidEntry2) == 40);

template <unsigned n> struct Cpuid2 {
    uint32_t count = n;
    uint32_t pad = 0;
    CpuidEntry2 entries[n] = {};
};

struct SignalMask {
    uint32_t len = 8;
    uint8_t set[8] = {};
};

struct MsrRange {
    uint32_t flags = 0;
    uint32_t count = 0;
    uint32_t base = 0;
    uint32_t pad = 0;
    const uint8_t *bitmap = nullptr;
};

struct MsrFilter {
    uint32_t flags = 0;
    uint32_t pad = 0;
    MsrRange ranges[16] = {};
};
static_assert(sizeof(MsrFilter) == 392);

struct CreateDevice {
    uint32_t type = 4; /* KVM_DEV_TYPE_VFIO */
    uint32_t fd = 0;
    uint32_t flags = 0;
};

struct DeviceAttr {
    uint32_t flags = 0;
    uint32_t group = 0;
    uint64_t attr = 0;
    const void *addr = nullptr;
};

struct MemoryAttributes {
    uint64_t address = 0;
    uint64_t size = 0;
    uint64_t attributes = 0;
    uint64_t flags = 0;
};

struct GuestMemfd {
    uint64_t size = 0;
    uint64_t flags = 0;
    uint64_t reserved[6] = {};
};

} /* namespace uapi */

#endif
