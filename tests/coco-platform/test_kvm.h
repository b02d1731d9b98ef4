/*
 * A VM driven by ioctls, for the tests of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_TEST_KVM_H
#define COCO_TEST_KVM_H

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <deque>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "abi.h"

namespace coco_test {

using namespace coco;

/* Closes it; -1 is none. */
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { reset(); }

    int get() const { return fd_; }
    void reset()
    {
        if (fd_ >= 0) {
            close(std::exchange(fd_, -1));
        }
    }

private:
    int fd_ = -1;
};

/* What ioctl() says, as -errno. */
template <class T> int call(const Fd &fd, unsigned long request, T arg)
{
    int ret = ioctl(fd.get(), request, arg);
    return ret < 0 ? -errno : ret;
}

/* Pages of the test's own. */
class Pages {
public:
    explicit Pages(size_t count) : size_(count * kPage)
    {
        at_ = static_cast<uint8_t *>(mmap(nullptr, size_,
                                          PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    }
    ~Pages() { munmap(at_, size_); }
    Pages(const Pages &) = delete;
    Pages &operator=(const Pages &) = delete;

    uint8_t *at(size_t offset = 0) const { return at_ + offset; }
    uint64_t address(size_t offset = 0) const
    {
        return reinterpret_cast<uint64_t>(at_) + offset;
    }
    size_t size() const { return size_; }

private:
    size_t size_;
    uint8_t *at_;
};

/* A VM with what a launch needs; the steps are the tests' own. */
class TestVm {
public:
    explicit TestVm(uint32_t type, bool has_irqchip = true)
        : kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC)),
          sev(open("/dev/sev", O_RDWR | O_CLOEXEC)),
          vm(ioctl(kvm.get(), KVM_CREATE_VM, type))
    {
        if (has_irqchip && type == KVM_X86_TDX_VM) {
            split_irqchip();
        } else if (has_irqchip) {
            call(vm, KVM_CREATE_IRQCHIP, 0);
        }
    }

    int split_irqchip()
    {
        kvm_enable_cap cap = {};
        cap.cap = KVM_CAP_SPLIT_IRQCHIP;
        cap.args[0] = 24;
        return call(vm, KVM_ENABLE_CAP, &cap);
    }

    int add_vcpu(uintptr_t id)
    {
        int fd = call(vm, KVM_CREATE_VCPU, id);
        if (fd >= 0) {
            vcpus.emplace_back(fd);
            runs.push_back(mmap(nullptr, run_size(), PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd, 0));
        }
        return fd < 0 ? fd : 0;
    }

    size_t run_size() const
    {
        return static_cast<size_t>(call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    }

    kvm_run *run(size_t vcpu) const
    {
        return static_cast<kvm_run *>(runs[vcpu]);
    }

    void drop_vcpus()
    {
        for (void *run : runs) {
            munmap(run, run_size());
        }
        runs.clear();
        vcpus.clear();
    }

    ~TestVm() { drop_vcpus(); }

    /* KVM_MEMORY_ENCRYPT_OP; the firmware's error is in fw_error after. */
    int op(uint32_t id, const void *data = nullptr)
    {
        kvm_sev_cmd cmd = {};
        cmd.id = id;
        cmd.data = reinterpret_cast<uint64_t>(data);
        cmd.sev_fd = static_cast<uint32_t>(sev.get());
        int ret = call(vm, KVM_MEMORY_ENCRYPT_OP, &cmd);
        fw_error = cmd.error;
        return ret;
    }

    /* Of KVM_X86_GRP_SEV. */
    uint64_t system_attribute(uint64_t which) const
    {
        uint64_t value = ~0ull;
        kvm_device_attr attr = {};
        attr.group = 1;
        attr.attr = which;
        attr.addr = reinterpret_cast<uint64_t>(&value);
        return call(kvm, KVM_GET_DEVICE_ATTR, &attr) == 0 ? value : ~0ull;
    }

    int add_slot(uint32_t id, uint64_t gpa, const Pages &pages)
    {
        kvm_userspace_memory_region region = {};
        region.slot = id;
        region.guest_phys_addr = gpa;
        region.memory_size = pages.size();
        region.userspace_addr = pages.address();
        return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
    }

    Fd make_gmem(uint64_t size)
    {
        kvm_create_guest_memfd args = {};
        args.size = size;
        return Fd(call(vm, KVM_CREATE_GUEST_MEMFD, &args));
    }

    int add_private_slot(uint32_t id, uint64_t gpa, const Pages &pages,
                         const Fd &gmem, uint64_t offset = 0,
                         uint32_t flags = 0)
    {
        kvm_userspace_memory_region2 region = {};
        region.slot = id;
        region.flags = KVM_MEM_GUEST_MEMFD | flags;
        region.guest_phys_addr = gpa;
        region.memory_size = pages.size();
        region.userspace_addr = pages.address();
        region.guest_memfd = static_cast<uint32_t>(gmem.get());
        region.guest_memfd_offset = offset;
        return call(vm, KVM_SET_USER_MEMORY_REGION2, &region);
    }

    int delete_slot(uint32_t id)
    {
        kvm_userspace_memory_region2 region = {};
        region.slot = id;
        return call(vm, KVM_SET_USER_MEMORY_REGION2, &region);
    }

    int set_private(uint64_t gpa, uint64_t size, bool is_private = true)
    {
        kvm_memory_attributes attributes = {
            gpa, size, is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, 0};
        return call(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
    }

    Fd kvm, sev, vm;
    std::vector<Fd> vcpus;
    std::vector<void *> runs;
    uint32_t fw_error = 0;
};

/* Whether the platform is preloaded at all; without it every test fails. */
inline bool platform_is_there()
{
    Fd sev(open("/dev/sev", O_RDWR | O_CLOEXEC));
    Fd kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    return sev.get() >= 0 && kvm.get() >= 0 &&
           call(kvm, KVM_CHECK_EXTENSION, uintptr_t(KVM_CAP_VM_TYPES)) > 0;
}

} // namespace coco_test

#endif
