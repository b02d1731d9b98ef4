/*
 * A VM on the fake kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

std::vector<int> Guest::define_a_bit_of_everything()
{
    using namespace uapi;
    std::vector<int> vcpus;

    enable_cap(vm, 116, 1);
    ioctl(vm, set_tss_addr, 0xfffbd000u);
    uint64_t identity_map = 0xfffbc000;
    ioctl(vm, set_identity_map_addr, &identity_map);
    ioctl(vm, create_irqchip);
    uint8_t pit[64] = {};
    ioctl(vm, create_pit2, pit);

    for (uint32_t i = 0; i < 3; i++) {
        slot(i, 0x100000, i * 0x1000000ull);
    }
    int memfd = guest_memfd();
    ioctl(vm, set_user_memory_region2,
          Region2{.slot = 9,
                  .flags = mem_guest_memfd,
                  .gpa = 0x100000000,
                  .size = 0x200000,
                  .memfd = uint32_t(memfd)});

    uint8_t bitmap[8] = {0xff};
    MsrFilter filter{.flags = 1};
    filter.ranges[0] = {.flags = 1, .count = 8, .base = 0x10, .bitmap = bitmap};
    ioctl(vm, set_msr_filter, filter);

    for (unsigned id = 0; id < 2; id++) {
        int fd = vcpu(id);
        vcpus.push_back(fd);
        map(fd);
        Cpuid2<2> cpuid;
        cpuid.entries[1].function = 1;
        cpuid.entries[1].ebx = id << 24;
        ioctl(fd, set_cpuid2, cpuid);
        Msrs<2> msrs{
            .msrs = {{.index = 0x10a, .data = 7}, {.index = 0x10, .data = 5}}};
        ioctl(fd, set_msrs, msrs);
        SignalMask mask;
        mask.set[0] = 0x10;
        ioctl(fd, set_signal_mask, mask);
    }
    ioctl(vm, get_stats_fd);
    ioctl(vcpus[0], get_stats_fd);

    Routing<2> routing;
    routing.routes[1].gsi = 1;
    ioctl(vm, set_gsi_routing, routing);
    irqfd(kernel.eventfd(), 5);
    irqfd(kernel.eventfd(), 6, irqfd_resample, kernel.eventfd());
    irqfd(kernel.eventfd(), 7);
    ioeventfd(kernel.eventfd(), 0xfe000000);
    ioeventfd(kernel.eventfd(), 0xc000, ioeventfd_pio | ioeventfd_datamatch, 3);
    ioctl(vm, register_coalesced_mmio, Zone{.addr = 0xa0000, .size = 0x20000});

    int device = vfio_device();
    vfio_file(device, kernel.file("/dev/vfio/12"));
    vfio_file(device, kernel.file("/dev/vfio/13"));
    return vcpus;
}
