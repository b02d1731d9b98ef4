/*
 * Confidential guests on the fake kernel, launched as QEMU launches them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_CONFIDENTIAL_GUEST_H
#define TESTS_UNIT_CONFIDENTIAL_GUEST_H

#include <cstring>
#include <vector>

#include "guest.h"

/* struct kvm_sev_cmd; struct kvm_tdx_cmd has its flags where pad is. */
struct Command {
    uint32_t id = 0;
    uint32_t pad = 0;
    uint64_t data = 0;
    uint32_t error = 0;
    uint32_t sev_fd = 0;
};

struct ConfidentialGuest : Guest {
    static constexpr uint64_t firmware_gpa = 0xfffc0000;
    static constexpr size_t firmware_size = 0x4000;
    static constexpr uint64_t ram_size = 0x80000000;

    std::vector<int> vcpus;
    int ram = -1, flash = -1; /* the memory of slots 1 and 2, if private */
    alignas(4096) uint8_t firmware[firmware_size];
    alignas(4096) uint8_t page[4096];
    Command last;
    uint32_t sev_fd = 77; /* a TD has half of its error there */

    explicit ConfidentialGuest(uint64_t vm_type) : Guest(vm_type)
    {
        for (size_t i = 0; i < sizeof(firmware); i++) {
            firmware[i] = uint8_t(i * 7 + i / 4096);
        }
        memset(page, 0x5a, sizeof(page));
    }

    int command(int fd, uint32_t id, const void *data = nullptr)
    {
        last = {.id = id, .data = uint64_t(data), .sev_fd = sev_fd};
        return ioctl(fd, KVM_MEMORY_ENCRYPT_OP, last);
    }

    int attributes(uint64_t gpa, uint64_t size, uint64_t attributes)
    {
        return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES,
                     kvm_memory_attributes{.address = gpa,
                                           .size = size,
                                           .attributes = attributes});
    }

    void add_vcpus(unsigned count)
    {
        for (unsigned id = 0; id < count; id++) {
            vcpus.push_back(vcpu(id));
        }
    }

    /* One more: plugged in, if the guest was launched. */
    void add_vcpu() { vcpus.push_back(vcpu(uint32_t(vcpus.size()))); }

    int regs(int fd, uint8_t value)
    {
        uint8_t regs[144];
        memset(regs, value, sizeof(regs));
        return ioctl(fd, KVM_SET_REGS, regs);
    }

    /* Returns its memory. */
    int private_slot(uint32_t id, uint64_t gpa, uint64_t size)
    {
        int memfd = guest_memfd();
        private_slot_of(memfd, id, gpa, size);
        return memfd;
    }

    int private_slot_of(int memfd, uint32_t id, uint64_t gpa, uint64_t size,
                        uint64_t offset = 0)
    {
        int ret = ioctl(
            vm, KVM_SET_USER_MEMORY_REGION2,
            kvm_userspace_memory_region2{.slot = id,
                                         .flags = KVM_MEM_GUEST_MEMFD,
                                         .guest_phys_addr = gpa,
                                         .memory_size = size,
                                         .guest_memfd_offset = offset,
                                         .guest_memfd = uint32_t(memfd)});
        attributes(gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
        return ret;
    }

    int delete_slot(uint32_t id)
    {
        return ioctl(vm, KVM_SET_USER_MEMORY_REGION2,
                     kvm_userspace_memory_region2{.slot = id});
    }

    std::vector<std::string> launched() const { return kernel.launched(vm); }
};

struct SnpUpdate {
    uint64_t gfn = 0;
    uint64_t address = 0;
    uint64_t length = 0;
    uint8_t type = 1;
    uint8_t pad0 = 0;
    uint16_t flags = 0;
    uint32_t pad1 = 0;
    uint64_t pad2[4] = {};
};
static_assert(sizeof(SnpUpdate) == 64);

struct SnpFinish {
    uint64_t id_block = 0;
    uint64_t id_auth = 0;
    uint8_t id_block_en = 0;
    uint8_t rest[7] = {};
    uint64_t more[8] = {};
};
static_assert(sizeof(SnpFinish) == 88);

struct SnpGuest : ConfidentialGuest {
    uint8_t id_block[96] = {1}, id_auth[4096] = {2};

    explicit SnpGuest(unsigned count = 2) : ConfidentialGuest(4)
    {
        uint64_t init2[6] = {1}, start[8] = {0x30000};
        command(vm, 22, init2);
        command(vm, 100, start);
        ram = private_slot(1, 0, ram_size);
        flash = private_slot(2, firmware_gpa, firmware_size);
        add_vcpus(count);
        for (int fd : vcpus) {
            regs(fd, 1);
            kvm_msrs_of<1> msrs{.entries = {{.index = 0x277, .data = 7}}};
            ioctl(fd, KVM_SET_MSRS, msrs);
        }
    }

    int update(uint64_t gpa, const void *from, uint64_t size, uint8_t type)
    {
        SnpUpdate update{.gfn = gpa / 4096,
                         .address = uint64_t(from),
                         .length = size,
                         .type = type};
        int ret = 0;
        attributes(gpa, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
        while (update.length || ret == -EAGAIN) {
            ret = command(vm, 101, &update);
            if (ret && ret != -EAGAIN) {
                break;
            }
        }
        return ret;
    }

    void finish()
    {
        SnpFinish finish{.id_block = uint64_t(id_block),
                         .id_auth = uint64_t(id_auth),
                         .id_block_en = 1};
        command(vm, 102, &finish);
    }

    /* Everything, as at a first start. */
    void launch()
    {
        update(firmware_gpa, firmware, sizeof(firmware), 1);
        update(0x800000, page, sizeof(page), 3);
        update(0x801000, page, sizeof(page), 6);
        finish();
    }
};

struct SevGuest : ConfidentialGuest {
    uint8_t session[32] = {3}, measurement[48] = {};
    bool es;

    /* @typed: with KVM_SEV_INIT2, as since Linux 6.10. */
    explicit SevGuest(bool is_es, bool typed = false)
        : ConfidentialGuest(!typed  ? KVM_X86_DEFAULT_VM
                            : is_es ? KVM_X86_SEV_ES_VM
                                    : KVM_X86_SEV_VM),
          es(is_es)
    {
        uint64_t init2[6] = {};
        typed ? command(vm, 22, init2) : command(vm, es ? 1 : 0);
        struct {
            uint32_t handle = 0, policy = 5;
            uint64_t dh = 0;
            uint32_t dh_len = 0, pad = 0;
            uint64_t session = 0;
            uint32_t session_len = 32, pad1 = 0;
        } start;
        start.session = uint64_t(session);
        command(vm, 2, &start);
        ioctl(
            vm, KVM_SET_USER_MEMORY_REGION,
            kvm_userspace_memory_region{.slot = 1,
                                        .guest_phys_addr = firmware_gpa,
                                        .memory_size = firmware_size,
                                        .userspace_addr = uint64_t(firmware)});
        add_vcpus(2);
        for (int fd : vcpus) {
            regs(fd, 1);
        }
    }

    int measure()
    {
        struct {
            uint64_t address = 0;
            uint32_t length = 0, pad = 0;
        } ask;
        command(vm, 6, &ask);
        ask.address = uint64_t(measurement);
        return command(vm, 6, &ask);
    }

    void launch_until_measured()
    {
        struct {
            uint64_t address;
            uint32_t length, pad = 0;
        } update{uint64_t(firmware), sizeof(firmware)};
        command(vm, 3, &update);
        if (es) {
            command(vm, 4);
        }
        measure();
    }

    int secret()
    {
        uint64_t packet[8] = {};
        return command(vm, 5, packet);
    }

    int finish() { return command(vm, 7); }

    void launch()
    {
        launch_until_measured();
        finish();
    }
};

struct TdxGuest : ConfidentialGuest {
    explicit TdxGuest() : ConfidentialGuest(5)
    {
        sev_fd = 0;
        struct {
            uint64_t attributes = 0x10000000, xfam = 7;
            uint64_t more[30] = {};
            uint32_t count = 2, pad = 0;
            uint8_t entries[80] = {1, 2, 3};
        } init;
        command(vm, 0, &init);
        command(vm, 1, &init);
        ram = private_slot(1, 0, ram_size);
        flash = private_slot(2, firmware_gpa, firmware_size);
        add_vcpus(2);
    }

    int region(uint64_t gpa, const void *from, uint64_t pages, uint32_t flags)
    {
        struct {
            uint64_t source, gpa, pages;
        } region{uint64_t(from), gpa, pages};
        int ret;
        do {
            last = {.id = 3, .pad = flags, .data = uint64_t(&region)};
            ret = ioctl(vcpus[0], KVM_MEMORY_ENCRYPT_OP, last);
        } while (ret == -EAGAIN || ret == -EINTR);
        return ret;
    }

    void launch()
    {
        for (int fd : vcpus) {
            command(fd, 2, reinterpret_cast<const void *>(0x809000));
        }
        region(firmware_gpa, firmware, sizeof(firmware) / 4096, 1);
        region(0x809000, page, 1, 0);
        command(vm, 4);
    }
};

#endif
