/*
 * Moves a program's VMs beneath it, for LD_PRELOAD
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_RESET_MOVE says what is done before a vCPU enters the guest:
 *
 *   complete    the instruction that it is in is completed, and nothing else
 *   every       the VM is moved, each time
 *   SEED/N      the VM is moved one time in N, at random from SEED
 *
 * KVM_RESET_MOVE_REPORT names a file that gets a line for each VM.
 */

/* With it, mmap is another name of mmap64, and both are needed here. */
#undef _FILE_OFFSET_BITS

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "machine.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

/* --- What is done --------------------------------------------------------- */

struct Policy {
    Policy();
    Before choose();

    Before what = Before::Nothing;

private:
    unsigned one_in_ = 1;
    std::mutex mutex_;
    std::minstd_rand random_;
};

Policy::Policy()
{
    const char *wanted = getenv("KVM_RESET_MOVE");
    unsigned seed;

    if (!wanted) {
        return;
    }
    if (!strcmp(wanted, "complete")) {
        what = Before::Complete;
    } else if (!strcmp(wanted, "every")) {
        what = Before::Move;
    } else if (sscanf(wanted, "%u/%u", &seed, &one_in_) == 2 && one_in_) {
        what = Before::Move;
        random_.seed(seed);
    } else {
        fprintf(stderr, "KVM_RESET_MOVE=%s: take complete, every or SEED/N\n",
                wanted);
        _exit(125);
    }
    catch_calls();
}

Before Policy::choose()
{
    if (one_in_ > 1) {
        std::unique_lock lock(mutex_);
        return random_() % one_in_ ? Before::Complete : what;
    }
    return what;
}

/* Never destroyed: the program's threads may go on while it ends. */
static Policy &policy()
{
    static Policy *only = new Policy;
    return *only;
}

static std::mutex &guard = *new std::mutex;
static auto &machines = *new std::vector<std::shared_ptr<Machine>>;

static void tell_of(Machine &machine)
{
    const char *path = getenv("KVM_RESET_MOVE_REPORT");
    FILE *report = path ? fopen(path, "a") : nullptr;

    if (report) {
        fprintf(report, "%s\n", machine.counts().text().c_str());
        fclose(report);
    }
}

/* Of VMs that the program has not closed. */
__attribute__((destructor)) static void end()
{
    for (const auto &machine : machines) {
        tell_of(*machine);
    }
}

/* --- Which VM it is of ---------------------------------------------------- */

/* kvm-reset's own calls come here, too. */
extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" const char etext[] __attribute__((visibility("hidden")));

static bool is_ours(const void *caller)
{
    return caller >= __ehdr_start && caller < etext;
}

static std::shared_ptr<Machine> machine_of(int fd)
{
    std::unique_lock lock(guard);

    /* Of two that had that number, the later one has it. */
    for (auto it = machines.rbegin(); it != machines.rend(); it++) {
        if ((*it)->has(fd)) {
            return *it;
        }
    }
    return nullptr;
}

static std::shared_ptr<Machine> machine_with(void *mapping)
{
    std::unique_lock lock(guard);

    for (auto &machine : machines) {
        if (machine->has_mapping(mapping)) {
            return machine;
        }
    }
    return nullptr;
}

static int to_errno(int ret)
{
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}

static int create_vm(int fd, uint32_t request, uintptr_t type)
{
    auto machine = std::make_shared<Machine>([] { return policy().choose(); });
    int ret = machine->ioctl(fd, request, type);

    if (ret >= 0) {
        std::unique_lock lock(guard);
        machines.push_back(machine);
    }
    return to_errno(ret);
}

/* --- The functions -------------------------------------------------------- */

EXPORT int ioctl(int fd, unsigned long request, ...) noexcept
{
    va_list list;
    va_start(list, request);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);

    if (!is_ours(__builtin_return_address(0)) &&
        policy().what != Before::Nothing) {
        if (uint32_t(request) == kvm_reset::abi::KVM_CREATE_VM) {
            return create_vm(fd, uint32_t(request), arg);
        }
        if (auto machine = machine_of(fd)) {
            return to_errno(machine->ioctl(fd, uint32_t(request), arg));
        }
    }
    return int(syscall(SYS_ioctl, fd, request, arg));
}

static void *map(const void *caller, void *address, size_t length, int prot,
                 int flags, int fd, off_t offset)
{
    auto machine = !is_ours(caller) && fd >= 0 ? machine_of(fd) : nullptr;
    void *mapping;

    if (!machine) {
        return reinterpret_cast<void *>(
            syscall(SYS_mmap, address, length, prot, flags, fd, offset));
    }
    int ret = machine->mmap(address, length, prot, flags, fd, offset, &mapping);
    return to_errno(ret) < 0 ? MAP_FAILED : mapping;
}

EXPORT void *mmap(void *address, size_t length, int prot, int flags, int fd,
                  off_t offset) noexcept
{
    return map(__builtin_return_address(0), address, length, prot, flags, fd,
               offset);
}

EXPORT void *mmap64(void *address, size_t length, int prot, int flags, int fd,
                    off_t offset) noexcept
{
    return map(__builtin_return_address(0), address, length, prot, flags, fd,
               offset);
}

EXPORT int munmap(void *address, size_t length) noexcept
{
    if (!is_ours(__builtin_return_address(0))) {
        if (auto machine = machine_with(address)) {
            return to_errno(machine->munmap(address, length));
        }
    }
    return int(syscall(SYS_munmap, address, length));
}

EXPORT int close(int fd)
{
    if (!is_ours(__builtin_return_address(0))) {
        if (auto machine = machine_of(fd)) {
            if (machine->is_vm(fd)) {
                tell_of(*machine);
                std::unique_lock lock(guard);
                std::erase(machines, machine);
            }
            return to_errno(machine->close(fd));
        }
    }
    return int(syscall(SYS_close, fd));
}
