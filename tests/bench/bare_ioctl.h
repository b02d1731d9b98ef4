/*
 * Calls to compare with: an ioctl that costs nothing
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_BENCH_BARE_IOCTL_H
#define TESTS_BENCH_BARE_IOCTL_H

#include <cerrno>

#include "kernel.h"
#include "kvm_abi.h"

/* A function call, and nothing else. */
extern "C" int bare_ioctl(int fd, unsigned long request, ...);

/*
 * A kernel that does nothing and at once: what is measured on it is the
 * core's own.  Files are watched as on the real one, since the system calls
 * that this takes are the core's own too.
 */
class BareKernel final : public kvm_reset::Kernel {
public:
    int open_kvm() override { return next_++; }
    int placeholder() override { return next_++; }
    int ioctl(int fd, uint32_t request, uintptr_t arg) override
    {
        bare_ioctl(fd, request, arg);
        switch (request) {
        case kvm_reset::abi::KVM_GET_API_VERSION:
            return int(kvm_reset::abi::KVM_API_VERSION);
        case kvm_reset::abi::KVM_CREATE_VM:
        case kvm_reset::abi::KVM_CREATE_VCPU:
            return next_++;
        case kvm_reset::abi::KVM_SET_MSRS:
            return 1;
        case kvm_reset::abi::KVM_GET_MSR_FEATURE_INDEX_LIST:
            return list_feature_msrs(reinterpret_cast<uint32_t *>(arg));
        default:
            return 0;
        }
    }
    int mmap(void *, size_t, int, int, int, int64_t, void **) override
    {
        return 0;
    }
    int munmap(void *, size_t) override { return 0; }
    int read_memory(uint64_t, std::span<uint8_t>) override { return -ENOSYS; }
    int write_memory(uint64_t, std::span<const uint8_t>) override
    {
        return -ENOSYS;
    }
    int dup(int fd) override { return real_->dup(fd); }
    int dup_onto(int, int onto) override { return onto; }
    int close(int) override { return 0; }
    int punch_hole(int, uint64_t, uint64_t) override { return 0; }
    uint64_t inode(const char *) override { return 0; }
    std::string describe(int fd) override { return real_->describe(fd); }
    int watch(int fd) override { return real_->watch(fd); }
    bool watched(int fd) override { return real_->watched(fd); }
    int ring(int fd) override { return real_->ring(fd); }
    uint64_t now() override { return real_->now(); }
    void wait(std::condition_variable &changed,
              std::unique_lock<std::mutex> &lock, uint64_t until) override
    {
        real_->wait(changed, lock, until);
    }

private:
    static int list_feature_msrs(uint32_t *list)
    {
        if (std::exchange(list[0], 1) < 1) {
            return -E2BIG;
        }
        list[1] = 0x10a;
        return 0;
    }

    std::unique_ptr<kvm_reset::Kernel> real_ = kvm_reset::make_system_kernel(
        "/dev/kvm");
    int next_ = 1000;
};

#endif
