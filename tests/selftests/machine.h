/*
 * One VM of a program that knows nothing of us, and its moves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Before a vCPU enters the guest, the VM is given up for a new one with all of
 * its state.  The program has no part in that: its threads that are inside of
 * KVM_RUN are called out of it and go back in, and what it sees in kvm_run
 * stays what it was.
 */

#ifndef TESTS_SELFTESTS_MACHINE_H
#define TESTS_SELFTESTS_MACHINE_H

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

#include "kvm_abi.h"
#include "preserve.h"
#include "recorder.h"
#include "registry.h"

/* What is done before a vCPU enters the guest. */
enum class Before {
    Nothing,
    Complete, /* the instruction that it is in */
    Move,     /* and another VM takes the place of the one that it is on */
};

/* Whether the next time is one to do so; any thread. */
using Choose = Before (*)();

class Machine {
public:
    explicit Machine(Choose choose);

    /* As the system calls, on a file of this VM's.  Any thread. */
    int ioctl(int fd, uint32_t request, uintptr_t arg);
    int mmap(void *address, size_t length, int prot, int flags, int fd,
             int64_t offset, void **mapping);
    int munmap(void *address, size_t length);
    /* The last one of its files ends it. */
    int close(int fd);

    bool has(int fd);
    bool has_mapping(void *address);
    bool is_vm(int fd);

    struct Counts {
        unsigned runs = 0, moves = 0, busy = 0;
        std::set<std::string> failures; /* why it was not moved */
        std::string text() const;
    };
    Counts counts();

private:
    struct Vcpu {
        kvm_reset::abi::kvm_run *run = nullptr;
        size_t size = 0;
        pid_t inside = 0;    /* the thread that is in KVM_RUN */
        bool called = false; /* it is to come out */
        bool exited = false; /* the program may not have answered its exit */
    };
    class Quiet;

    int run(int fd);
    int enter(int fd, Vcpu &vcpu, std::unique_lock<std::mutex> &lock);
    /* -EINTR: it is in none any more, else what KVM_RUN says. */
    int complete(int fd, Vcpu &vcpu);
    bool complete_others(const Vcpu &me);
    bool call_out(std::unique_lock<std::mutex> &lock);
    void move(std::unique_lock<std::mutex> &lock);
    void note_created(int fd, uint32_t request, uintptr_t arg, int ret);

    const Choose choose_;
    std::unique_ptr<kvm_reset::Kernel> kernel_;
    kvm_reset::Observer observer_;
    kvm_reset::Registry registry_;
    kvm_reset::Recorder recorder_;
    kvm_reset::Generations generations_;
    kvm_reset::Preserve preserve_;

    std::mutex mutex_; /* of what follows */
    std::condition_variable changed_;
    std::set<int> fds_;
    int vm_ = -1;
    std::map<int, Vcpu> vcpus_;
    bool moving_ = false;
    Counts counts_;
};

/* A thread that is in KVM_RUN is called out of it by this signal. */
void catch_calls();

#endif
