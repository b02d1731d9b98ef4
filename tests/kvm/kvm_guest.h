/*
 * A small guest on the machine's KVM, with all that a rebirth needs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_KVM_KVM_GUEST_H
#define TESTS_KVM_KVM_GUEST_H

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flexible.h"
#include "guest_code.h"
#include "preserve.h"
#include "reset.h"
#include "recorder.h"
#include "registry.h"

/* These tests speak of little else. */
using namespace kvm_reset::abi;

/* Why the machine's KVM cannot be used; empty if it can. */
std::string no_kvm();

/* The machine's kernel, whose nth call from now fails on demand. */
class FailingKernel final : public kvm_reset::Kernel {
public:
    int open_kvm() override;
    int placeholder() override;
    int ioctl(int fd, uint32_t request, uintptr_t arg) override;
    int mmap(void *addr, size_t length, int prot, int flags, int fd,
             int64_t offset, void **mapping) override;
    int munmap(void *addr, size_t length) override;
    int read_memory(uint64_t address, std::span<uint8_t> bytes) override
    {
        return real_->read_memory(address, bytes);
    }
    int write_memory(uint64_t address, std::span<const uint8_t> bytes) override
    {
        return real_->write_memory(address, bytes);
    }
    int dup(int fd) override;
    int dup_onto(int from, int onto) override;
    int close(int fd) override { return real_->close(fd); }
    int punch_hole(int fd, uint64_t offset, uint64_t length) override
    {
        return real_->punch_hole(fd, offset, length);
    }
    uint64_t inode(const char *path) override { return real_->inode(path); }
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

    void fail(unsigned nth, int code);
    bool failed() const { return failed_; }

    /* Called before each ioctl. */
    std::function<void(int fd, uint32_t request)> before_ioctl;

private:
    bool refuses();

    std::unique_ptr<kvm_reset::Kernel> real_ = kvm_reset::make_system_kernel(
        "/dev/kvm");
    unsigned countdown_ = 0;
    int code_ = 0;
    bool failed_ = false;
};

/* Memory of the guest; the pages are there from the start. */
class Memory {
public:
    explicit Memory(size_t size);
    Memory(Memory &&other) noexcept;
    Memory(const Memory &) = delete;
    ~Memory();

    uint8_t *at(size_t offset = 0) const { return bytes_ + offset; }
    uint64_t address() const { return uint64_t(bytes_); }
    size_t size() const { return size_; }

private:
    uint8_t *bytes_;
    size_t size_;
};

struct Vcpu {
    int fd = -1;
    kvm_run *run = nullptr;
};

/* Where the code of a guest lies, and the port that ends it. */
constexpr uint64_t code_at = 0x1000;

class KvmGuest {
public:
    explicit KvmGuest(unsigned long type = 0);
    ~KvmGuest();

    FailingKernel kernel;
    kvm_reset::Observer observer;
    kvm_reset::Recorder recorder{kernel, observer};
    kvm_reset::Registry registry;
    kvm_reset::Generations generations{recorder, registry};
    kvm_reset::Preserve preserve{generations};
    int kvm = -1;
    int vm = -1;
    std::vector<Vcpu> vcpus;

    /* As the system call; negative errno. */
    template <class T> int ioctl(int fd, unsigned long request, T *arg)
    {
        return recorder.ioctl(fd, request, uintptr_t(arg));
    }
    int ioctl(int fd, unsigned long request, unsigned long value = 0)
    {
        return recorder.ioctl(fd, request, value);
    }

    int has(int cap) { return ioctl(vm, KVM_CHECK_EXTENSION, cap); }
    int enable_cap(int fd, uint32_t cap, uint64_t arg);

    /* 0x10000 bytes at address 0, in slot 0. */
    void add_memory();
    Vcpu &add_vcpu(unsigned id);
    int slot(uint32_t id, uint64_t gpa, uint64_t size, const uint8_t *host,
             uint32_t flags = 0);
    int irqfd(int fd, uint32_t gsi, uint32_t flags = 0);
    /* Whether the first PIC has been told of interrupt @line. */
    bool raised(unsigned line);
    int ioeventfd(int fd, uint64_t addr, uint32_t len, uint32_t flags = 0,
                  uint64_t match = 0);
    int route(const std::vector<kvm_irq_routing_entry> &routes);
    /* What the host's KVM supports, as the guest's CPUID. */
    int set_cpuid(Vcpu &vcpu, uint32_t extra_leaf = 0, uint32_t value = 0);

    /* Runs @code from its start in real mode, until it leaves the kernel. */
    uint32_t run(Vcpu &vcpu, const Code &code);
    /* Goes on after an exit. */
    uint32_t resume(Vcpu &vcpu);
    /* Runs @code, which must reach its end: what it reported there. */
    uint32_t report(Vcpu &vcpu, const Code &code);

    kvm_reset::Result<kvm_reset::Durations> reset()
    {
        return kvm_reset::reset(generations);
    }
    void reborn();
    /* Gives the guest a new VM with all its state; the old one goes. */
    kvm_reset::Result<kvm_reset::Durations> move();

    uint8_t *memory(size_t offset) { return memory_->at(offset); }

private:
    std::unique_ptr<Memory> memory_;
    size_t run_size_ = 0;
};

/* A new eventfd that is closed with the test. */
class Doorbell {
public:
    Doorbell();
    Doorbell(Doorbell &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Doorbell(const Doorbell &) = delete;
    ~Doorbell();

    int fd() const { return fd_; }
    void ring() const;
    /* How often it was rung since the last time. */
    uint64_t rung() const;

private:
    int fd_;
};

/* Everything that can be read back of a VM, by name. */
using Readings = std::map<std::string, std::vector<uint8_t>>;
Readings read_back(KvmGuest &guest);

/* KVM's list of MSRs that define a CPU. */
std::vector<uint32_t> feature_msrs(KvmGuest &guest);

/*
 * For what a worker of the kernel does, however long it takes: the time that
 * a test may take ends a wait for what never comes.
 */
template <class Condition> void yield_until(Condition condition)
{
    while (!condition()) {
        std::this_thread::yield();
    }
}

/* How many fds the process has open. */
size_t open_fds();

/* For SetUp(): skips the test, with the reason, where there is no KVM. */
#define SKIP_WITHOUT_KVM()                                                     \
    do {                                                                       \
        if (std::string why = no_kvm(); !why.empty()) {                        \
            GTEST_SKIP() << why;                                               \
        }                                                                      \
    } while (0)

#endif
