/*
 * A kernel without KVM, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hands out fds and mappings and knows which file is behind each; remembers,
 * for each VM, every ioctl that it took, with a deep copy of the argument;
 * keeps those of KVM's rules that a rebirth could break; fails the call it is
 * told to fail.  What it was told can be compared between two VMs: fds in
 * arguments are shown as the file that they meant.
 */

#ifndef TESTS_UNIT_FAKE_KERNEL_H
#define TESTS_UNIT_FAKE_KERNEL_H

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fake_clock.h"
#include "fake_coco.h"
#include "fake_slots.h"
#include "fake_state.h"
#include "kernel.h"

/* One ioctl that a VM, or something in it, took. */
struct IssuedIoctl {
    std::string on; /* "vm", "vcpu 3", "device 0", … */
    uint32_t request = 0;
    uint64_t value = 0;           /* the third argument, if not a pointer */
    std::vector<uint8_t> bytes{}; /* pointers zero, fds named */
    std::vector<std::vector<uint8_t>> pointed{};
    bool operator==(const IssuedIoctl &) const = default;

    /* The argument, which is a @Struct; what it does not reach is zero. */
    template <class Struct> Struct as() const
    {
        Struct copy{};
        memcpy(&copy, bytes.data(), std::min(sizeof(copy), bytes.size()));
        return copy;
    }

    /* A member of it: field(&kvm_irqfd::gsi). */
    template <class Struct, class Member>
    Member field(Member Struct::*member) const
    {
        return as<Struct>().*member;
    }
};

void PrintTo(const IssuedIoctl &issued, std::ostream *out);

class FakeKernel final : public kvm_reset::Kernel {
public:
    /* The kinds of calls that can be told to fail. */
    enum class Call {
        Open,
        Ioctl,
        Mmap,
        Munmap,
        Dup,
        DupOnto,
        Watch,
        WriteMemory
    };

    FakeKernel();
    ~FakeKernel() override;

    int open_kvm() override;
    int placeholder() override;
    int ioctl(int fd, uint32_t request, uintptr_t arg) override;
    int mmap(void *addr, size_t length, int prot, int flags, int fd,
             int64_t offset, void **mapping) override;
    int munmap(void *addr, size_t length) override;
    int read_memory(uint64_t address, std::span<uint8_t> bytes) override;
    int write_memory(uint64_t address, std::span<const uint8_t> bytes) override;
    int dup(int fd) override;
    int dup_onto(int from, int onto) override;
    int close(int fd) override;
    int punch_hole(int fd, uint64_t offset, uint64_t length) override;
    uint64_t inode(const char *path) override;
    std::string describe(int fd) override;
    int watch(int fd) override;
    bool watched(int fd) override;
    int ring(int eventfd) override;
    uint64_t now() override { return clock.now(); }
    void wait(std::condition_variable &changed,
              std::unique_lock<std::mutex> &lock, uint64_t until) override
    {
        clock.wait(changed, lock, until);
    }
    FakeClock clock;

    /* Userspace's own files. */
    int eventfd();
    int file(const std::string &name);

    /* What the VM behind @fd took, in order; its irqfds as (file, gsi). */
    std::vector<IssuedIoctl> ioctls(int fd) const;
    std::vector<IssuedIoctl> ioctls(int fd, uint32_t request) const;
    std::set<std::pair<uint64_t, uint32_t>> irqfds(int fd) const;
    /* The VM's memory slots, by number. */
    std::map<uint32_t, FakeSlots::Slot> slots(int fd) const;
    /* Ever taken by any VM, or by none: how often. */
    size_t times(uint32_t request) const;

    /* Which file is behind an fd or a mapping; numbers are never reused. */
    uint64_t file_at(int fd) const;
    std::map<int, uint64_t> fds() const;
    std::map<uintptr_t, uint64_t> mappings() const;
    /* VMs that something still keeps alive, and files that are watched. */
    size_t vms() const;
    size_t watches() const;

    /* What was put into the VM behind @fd, and its eventfds that were rung. */
    FakeState::Values state(int fd) const;
    std::vector<uint64_t> rung() const { return rung_; }

    /* What the VM was launched from, if it is confidential. */
    std::vector<std::string> launched(int fd) const;
    /* The errno with which the KVM device opens, for this process, or 0. */
    int device_fails = 0;
    /* Another file has its path. */
    bool device_is_kvm = true;

    /* Keys that there are for confidential VMs, and pages added in a call. */
    unsigned asids = 10;
    unsigned most_pages = 1000;
    /* The most bytes that were asked for in one reading of memory. */
    size_t most_read = 0;
    FakeCoco::NotReady not_ready;

    /* Whether VMs and vCPUs tell of their state what they were told. */
    bool keeps_state = false;

    /* Of what it has otherwise: capabilities, and MSRs. */
    std::set<uint32_t> lacks_caps;
    std::set<uint32_t> lacks_registers;
    /* Words of CPUID that it supports, by leaf and register (0: EAX). */
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> supported_cpuid;

    /* Off for tests that talk for so long that it would fill the memory. */
    bool remembers = true;
    /* The feature MSRs that it lists. */
    std::vector<uint32_t> feature_msrs{0x10a, 0x8b, 0x480};
    /* Numbers that dup_onto() always finds busy. */
    std::set<int> busy_numbers;
    /* No fd has this number or a higher one, as with RLIMIT_NOFILE. */
    int fd_limit = 1 << 20;
    /* KVM_SET_MSRS takes no more than this many. */
    int takes_msrs = 1000;

    /* Fails the @nth call from now (1 is the next), of all or of a kind. */
    void fail(unsigned nth, int code);
    void fail(Call call, unsigned nth, int code);
    void fail(uint32_t request, unsigned nth, int code);
    /* Every call of that request from now on, until fail_nothing(). */
    void fail_always(uint32_t request, int code);
    void fail_nothing();
    /* Whether what fail() asked for has happened. */
    bool failed() const;
    /* Calls that could have failed, since the start. */
    unsigned calls() const;

    /* Called before each of them, without a lock: may call anything. */
    std::function<void(int fd, uint32_t request)> before_ioctl;
    std::function<void(int fd)> before_close;
    std::function<void(int fd, uint64_t offset, uint64_t length)> before_punch;
    /* What paths there are, and their inodes. */
    std::map<std::string, uint64_t> inodes;

private:
    struct File;
    struct Vm;
    using FilePtr = std::shared_ptr<File>;

    int refused(Call call, uint32_t request = 0);
    int lowest() const;
    int install(FilePtr file);
    void release(FilePtr file);
    FilePtr make(const char *name, std::shared_ptr<Vm> vm, std::string role);
    FilePtr find(int fd) const;
    uint64_t named(uint32_t fd) const;
    IssuedIoctl describe_call(const File &file, uint32_t request,
                              uintptr_t arg);
    int perform(File &file, uint32_t request, uintptr_t arg);
    int on_system(uint32_t request, uintptr_t arg);
    int list_cpuid(uintptr_t arg);
    int on_vm(std::shared_ptr<Vm> vm, uint32_t request, uintptr_t arg);
    int on_device(Vm &vm, uint32_t request, uintptr_t arg);
    int assign_irqfd(Vm &vm, uintptr_t arg);
    int assign_ioeventfd(Vm &vm, uintptr_t arg);
    int set_slot(Vm &vm, uint32_t request, uintptr_t arg);
    int create_device(std::shared_ptr<Vm> vm, uintptr_t arg);
    int change_vfio(Vm &vm, uintptr_t arg);
    std::vector<std::shared_ptr<Vm>> living() const;

    struct Failure {
        bool of_call = false, of_request = false, always = false;
        Call call = Call::Open;
        uint32_t request = 0;
        unsigned countdown = 0;
        int code = 0;
    };
    struct Mapped {
        size_t length;
        FilePtr file;
        std::vector<uint8_t> memory{}; /* without a file */
    };
    /* What a mapping of KVM's shows: the file's own memory. */
    uint8_t *behind(uint64_t address, size_t length);

    mutable std::recursive_mutex mutex_;
    std::map<int, FilePtr> fds_;
    std::map<uintptr_t, Mapped> mappings_;
    std::vector<std::weak_ptr<Vm>> vms_;
    std::set<std::pair<int, uint64_t>> watches_;
    std::vector<uint64_t> rung_;
    std::map<uint32_t, size_t> times_;
    Failure failure_;
    bool failed_ = false;
    unsigned calls_ = 0;
    uint64_t serial_ = 100;
    uintptr_t next_address_ = 0x7f0000000000;
};

#endif
