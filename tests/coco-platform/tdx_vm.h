/*
 * A TD driven by ioctls, for the tests of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_TDX_VM_H
#define COCO_TDX_VM_H

#include "test_kvm.h"

namespace coco_test {

constexpr uint64_t kTdxGpa = 0x100000;

class TdxVm : public TestVm {
public:
    explicit TdxVm(bool split = true) : TestVm(KVM_X86_TDX_VM, split), pages(4)
    {
        gmem = make_gmem(pages.size());
        good = gmem.get() >= 0 &&
               add_private_slot(0, kTdxGpa, pages, gmem) == 0 &&
               set_private(kTdxGpa, pages.size()) == 0;
    }

    int command(const Fd &fd, uint32_t id, const void *data = nullptr,
                uint32_t flags = 0)
    {
        kvm_tdx_cmd cmd = {id, flags, reinterpret_cast<uint64_t>(data), 0};
        return call(fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
    }

    int init(uint64_t attributes = kTdxSeptVeDisable, uint64_t xfam = 7)
    {
        return init_with({.function = 0x80000008, .eax = 48 << 16 | 48},
                         attributes, xfam);
    }

    int init_with(const kvm_cpuid_entry2 &entry,
                  uint64_t attributes = kTdxSeptVeDisable, uint64_t xfam = 7)
    {
        InitVm data;
        data.init.attributes = attributes;
        data.init.xfam = xfam;
        data.entries[0] = entry;
        return command(vm, KVM_TDX_INIT_VM, &data);
    }

    /* As it is taken, unless it is changed. */
    struct InitVm {
        kvm_tdx_init_vm init = {};
        kvm_cpuid_entry2 entries[2] = {};

        InitVm()
        {
            init.attributes = kTdxSeptVeDisable;
            init.xfam = 7;
            init.cpuid.nent = 1;
            entries[0].function = 0x80000008;
            entries[0].eax = 48 << 16 | 48;
        }
    };

    int add(size_t offset, uint64_t count = 1,
            uint32_t flags = KVM_TDX_MEASURE_MEMORY_REGION)
    {
        region = {pages.address(offset), kTdxGpa + offset, count};
        return command(vcpus[0], KVM_TDX_INIT_MEM_REGION, &region, flags);
    }

    Pages pages;
    Fd gmem;
    kvm_tdx_init_mem_region region = {};
    bool good = false;
};

} // namespace coco_test

#endif
