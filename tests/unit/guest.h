/*
 * A VM on the fake kernel, with everything that a rebirth needs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_GUEST_H
#define TESTS_UNIT_GUEST_H

#include <string>
#include <type_traits>
#include <vector>

#include <sys/mman.h>

#include "fake_kernel.h"
#include "field_of.h"
#include "kvm_abi.h"
#include "detach.h"
#include "recorder.h"
#include "registry.h"
#include "reset.h"

/* Keeps what it is told. */
class Listener final : public kvm_reset::Observer {
public:
    void seen(int, uint32_t, const char *name, kvm_reset::Effect, int) override
    {
        std::unique_lock lock(mutex_);
        if (remembers) {
            seen_.push_back(name);
        }
    }
    void blocked(const std::string &why) override { add(blocked_, why); }
    void stale(const std::string &what) override { add(stale_, what); }
    void step(const char *name, const std::string &, uint64_t) override
    {
        add(steps_, name);
    }

    std::vector<std::string> seen() const { return copy(seen_); }
    std::vector<std::string> blocked() const { return copy(blocked_); }
    std::vector<std::string> stale() const { return copy(stale_); }
    std::vector<std::string> steps() const { return copy(steps_); }

    bool remembers = true;

private:
    void add(std::vector<std::string> &list, const std::string &what)
    {
        std::unique_lock lock(mutex_);
        list.push_back(what);
    }
    std::vector<std::string> copy(const std::vector<std::string> &list) const
    {
        std::unique_lock lock(mutex_);
        return list;
    }

    mutable std::mutex mutex_;
    std::vector<std::string> seen_, blocked_, stale_, steps_;
};

/* An ioctl that no row names. */
constexpr uint32_t unknown_ioctl = kvm_reset::abi::iow<uint8_t[16]>(0xfe);

/* The tests speak of little else. */
using namespace kvm_reset::abi;

struct Guest {
    FakeKernel kernel;
    Listener listener;
    kvm_reset::Recorder recorder{kernel, listener};
    kvm_reset::Registry registry;
    kvm_reset::Generations generations{recorder, registry};
    kvm_reset::Preserve preserve{generations};
    kvm_reset::Detach detach{generations, preserve};
    int kvm = -1;
    int vm = -1;

    explicit Guest(uint64_t vm_type = 0)
    {
        kvm = kernel.open_kvm();
        vm = ioctl(kvm, KVM_CREATE_VM, vm_type);
    }

    kvm_reset::Result<kvm_reset::Durations> reset()
    {
        return kvm_reset::reset(generations);
    }

    /* @arg is a struct of KVM's, or a number. */
    template <class T> int ioctl(int fd, uint32_t request, T &&arg)
    {
        if constexpr (std::is_integral_v<std::remove_cvref_t<T>>) {
            return recorder.ioctl(fd, request, arg);
        } else if constexpr (std::is_pointer_v<std::remove_cvref_t<T>>) {
            return recorder.ioctl(fd, request, uintptr_t(arg));
        } else {
            return recorder.ioctl(fd, request, uintptr_t(&arg));
        }
    }
    int ioctl(int fd, uint32_t request)
    {
        return recorder.ioctl(fd, request, 0);
    }

    int vcpu(unsigned id) { return ioctl(vm, KVM_CREATE_VCPU, id); }

    void *map(int fd, size_t length = 0x3000, int64_t offset = 0)
    {
        void *at = MAP_FAILED;
        recorder.mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                      offset, &at);
        return at;
    }

    int slot(uint32_t id, uint64_t size, uint64_t gpa = 0)
    {
        return ioctl(
            vm, KVM_SET_USER_MEMORY_REGION,
            kvm_userspace_memory_region{.slot = id,
                                        .guest_phys_addr = gpa,
                                        .memory_size = size,
                                        .userspace_addr = 0x10000000 + gpa});
    }

    /* A slot that is backed by @bytes. */
    void memory(uint32_t id, uint64_t gpa, uint8_t *bytes, uint64_t size,
                uint32_t flags = 0)
    {
        ioctl(vm, KVM_SET_USER_MEMORY_REGION,
              kvm_userspace_memory_region{.slot = id,
                                          .flags = flags,
                                          .guest_phys_addr = gpa,
                                          .memory_size = size,
                                          .userspace_addr = uint64_t(bytes)});
    }

    int irqfd(int fd, uint32_t gsi, uint32_t flags = 0, int resample = 0)
    {
        return ioctl(vm, KVM_IRQFD,
                     kvm_irqfd{.fd = uint32_t(fd),
                               .gsi = gsi,
                               .flags = flags,
                               .resamplefd = uint32_t(resample)});
    }

    int ioeventfd(int fd, uint64_t addr, uint32_t flags = 0, uint64_t match = 0)
    {
        return ioctl(vm, KVM_IOEVENTFD,
                     kvm_ioeventfd{.datamatch = match,
                                   .addr = addr,
                                   .len = 4,
                                   .fd = fd,
                                   .flags = flags});
    }

    int enable_cap(int fd, uint32_t cap, uint64_t arg)
    {
        return ioctl(fd, KVM_ENABLE_CAP,
                     kvm_enable_cap{.cap = cap, .args = {arg}});
    }

    int vfio_device()
    {
        kvm_create_device device{.type = KVM_DEV_TYPE_VFIO};
        return ioctl(vm, KVM_CREATE_DEVICE, device) < 0 ? -1 : int(device.fd);
    }

    int vfio_file(int device, int file, uint64_t attr = KVM_DEV_VFIO_FILE_ADD)
    {
        int32_t fd = file;
        return ioctl(device, KVM_SET_DEVICE_ATTR,
                     kvm_device_attr{.group = KVM_DEV_VFIO_FILE,
                                     .attr = attr,
                                     .addr = uintptr_t(&fd)});
    }

    int guest_memfd()
    {
        return ioctl(vm, KVM_CREATE_GUEST_MEMFD,
                     kvm_create_guest_memfd{.size = 0x200000});
    }

    /* What the VM in use was told. */
    std::vector<IssuedIoctl> ioctls() const { return kernel.ioctls(vm); }
    std::vector<IssuedIoctl> ioctls(uint32_t request) const
    {
        return kernel.ioctls(vm, request);
    }

    /* What a program with a bit of everything does.  Returns the vCPUs. */
    std::vector<int> define_a_bit_of_everything();
};

/* The fds, mappings and irqfds of a guest, to compare before and after. */
struct Holdings {
    std::map<int, uint64_t> fds;
    std::map<uintptr_t, uint64_t> mappings;
    std::set<std::pair<uint64_t, uint32_t>> irqfds;
    size_t vms = 0;
    size_t watches = 0;
    bool operator==(const Holdings &) const = default;

    static Holdings of(const Guest &guest)
    {
        return {guest.kernel.fds(), guest.kernel.mappings(),
                guest.kernel.irqfds(guest.vm), guest.kernel.vms(),
                guest.kernel.watches()};
    }
};

#endif
