/*
 * A VM on the fake kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

std::vector<int> Guest::define_a_bit_of_everything()
{
    using namespace kvm_reset::abi;
    std::vector<int> vcpus;

    enable_cap(vm, KVM_CAP_DISABLE_QUIRKS, 1);
    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000u);
    uint64_t identity_map = 0xfffbc000;
    ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    ioctl(vm, KVM_CREATE_IRQCHIP);
    kvm_pit_config pit;
    ioctl(vm, KVM_CREATE_PIT2, pit);

    for (uint32_t i = 0; i < 3; i++) {
        slot(i, 0x100000, i * 0x1000000ull);
    }
    int memfd = guest_memfd();
    ioctl(vm, KVM_SET_USER_MEMORY_REGION2,
          kvm_userspace_memory_region2{.slot = 9,
                                       .flags = KVM_MEM_GUEST_MEMFD,
                                       .guest_phys_addr = 0x100000000,
                                       .memory_size = 0x200000,
                                       .guest_memfd = uint32_t(memfd)});

    uint8_t bitmap[8] = {0xff};
    kvm_msr_filter filter{.flags = 1};
    filter.ranges[0] = {.flags = 1, .nmsrs = 8, .base = 0x10, .bitmap = bitmap};
    ioctl(vm, KVM_X86_SET_MSR_FILTER, filter);

    for (unsigned id = 0; id < 2; id++) {
        int fd = vcpu(id);
        vcpus.push_back(fd);
        map(fd);
        kvm_cpuid2_of<2> cpuid;
        cpuid.entries[1].function = 1;
        cpuid.entries[1].ebx = id << 24;
        ioctl(fd, KVM_SET_CPUID2, cpuid);
        kvm_msrs_of<2> msrs{.entries = {{.index = 0x10a, .data = 7},
                                        {.index = 0x10, .data = 5}}};
        ioctl(fd, KVM_SET_MSRS, msrs);
        kvm_signal_mask_of<8> mask;
        mask.sigset[0] = 0x10;
        ioctl(fd, KVM_SET_SIGNAL_MASK, mask);
    }
    ioctl(vm, KVM_GET_STATS_FD);
    ioctl(vcpus[0], KVM_GET_STATS_FD);

    kvm_irq_routing_of<2> routing;
    routing.entries[1].gsi = 1;
    ioctl(vm, KVM_SET_GSI_ROUTING, routing);
    irqfd(kernel.eventfd(), 5);
    irqfd(kernel.eventfd(), 6, KVM_IRQFD_FLAG_RESAMPLE, kernel.eventfd());
    irqfd(kernel.eventfd(), 7);
    ioeventfd(kernel.eventfd(), 0xfe000000);
    ioeventfd(kernel.eventfd(), 0xc000,
              KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH, 3);
    ioctl(vm, KVM_REGISTER_COALESCED_MMIO,
          kvm_coalesced_mmio_zone{.addr = 0xa0000, .size = 0x20000});

    int device = vfio_device();
    vfio_file(device, kernel.file("/dev/vfio/12"));
    vfio_file(device, kernel.file("/dev/vfio/13"));
    return vcpus;
}
