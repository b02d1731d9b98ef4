/*
 * One VM of a program that knows nothing of us, and its moves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <shared_mutex>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

/*
 * Ioctls but KVM_RUN share it, and a move has it alone.  One for all VMs, which
 * is how kvm-reset asks for it.
 */
static std::shared_mutex calls;

static int call_signal()
{
    return SIGRTMIN + 5;
}

void catch_calls()
{
    struct sigaction action = {};

    action.sa_handler = [](int) {};
    sigaction(call_signal(), &action, nullptr);
}

/* --- Its files ------------------------------------------------------------ */

Machine::Machine(Choose choose)
    : choose_(choose), kernel_(make_system_kernel("/dev/kvm")),
      recorder_(*kernel_, observer_), generations_(recorder_, registry_),
      preserve_(generations_)
{
    generations_.exclude_with([] { calls.lock(); }, [] { calls.unlock(); });
}

bool Machine::has(int fd)
{
    std::unique_lock lock(mutex_);
    return fds_.contains(fd);
}

bool Machine::has_mapping(void *address)
{
    std::unique_lock lock(mutex_);
    return std::ranges::any_of(vcpus_, [address](const auto &vcpu) {
        return vcpu.second.run == address;
    });
}

bool Machine::is_vm(int fd)
{
    std::unique_lock lock(mutex_);
    return fd == vm_;
}

void Machine::note_created(int fd, uint32_t request, uintptr_t arg, int ret)
{
    std::unique_lock lock(mutex_);

    switch (request) {
    case KVM_CREATE_VM:
        fds_.insert({fd, ret});
        vm_ = ret;
        break;
    case KVM_CREATE_VCPU:
        fds_.insert(ret);
        vcpus_[ret] = {};
        break;
    case KVM_CREATE_DEVICE: {
        auto device = reinterpret_cast<const kvm_create_device *>(arg);
        if (!(device->flags & KVM_CREATE_DEVICE_TEST)) {
            fds_.insert(int(device->fd));
        }
        break;
    }
    default:
        break;
    }
}

int Machine::ioctl(int fd, uint32_t request, uintptr_t arg)
{
    if (request == KVM_RUN) {
        return run(fd);
    }
    std::shared_lock shared(calls);
    int ret = recorder_.ioctl(fd, request, arg);

    if (ret >= 0) {
        note_created(fd, request, arg, ret);
    }
    return ret;
}

int Machine::mmap(void *address, size_t length, int prot, int flags, int fd,
                  int64_t offset, void **mapping)
{
    int ret = recorder_.mmap(address, length, prot, flags, fd, offset, mapping);

    std::unique_lock lock(mutex_);
    if (auto vcpu = vcpus_.find(fd);
        ret >= 0 && !offset && vcpu != vcpus_.end()) {
        vcpu->second.run = static_cast<kvm_run *>(*mapping);
        vcpu->second.size = length;
    }
    return ret;
}

int Machine::munmap(void *address, size_t length)
{
    {
        std::unique_lock lock(mutex_);
        for (auto &[fd, vcpu] : vcpus_) {
            if (vcpu.run == address) {
                vcpu.run = nullptr;
            }
        }
    }
    return recorder_.munmap(address, length);
}

int Machine::close(int fd)
{
    {
        std::unique_lock lock(mutex_);
        fds_.erase(fd);
        vcpus_.erase(fd);
    }
    return recorder_.close(fd);
}

/* --- What is told at the end ---------------------------------------------- */

Machine::Counts Machine::counts()
{
    std::unique_lock lock(mutex_);
    return counts_;
}

std::string Machine::Counts::text() const
{
    std::string text = format("%u runs, %u moves, %u busy", runs, moves, busy);

    for (const std::string &why : failures) {
        text += "\nnot moved: " + why;
    }
    return text;
}

/* --- KVM_RUN -------------------------------------------------------------- */

/* What the program has been told of, and has to answer by the next KVM_RUN. */
static bool wants_an_answer(const kvm_run &run)
{
    switch (run.exit_reason) {
    case KVM_EXIT_IO:
        return run.io.direction == KVM_EXIT_IO_IN;
    case KVM_EXIT_MMIO:
        return !run.mmio.is_write;
    case KVM_EXIT_HYPERCALL:
    case KVM_EXIT_XEN:
    case KVM_EXIT_HYPERV:
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return true;
    default:
        return false;
    }
}

/* Keeps kvm_run, and the rings behind it, as the program left them. */
class Machine::Quiet {
public:
    explicit Quiet(std::map<int, Vcpu> &vcpus)
    {
        for (auto &[fd, vcpu] : vcpus) {
            if (vcpu.run) {
                auto from = reinterpret_cast<const char *>(vcpu.run);
                kept_.emplace_back(vcpu.run,
                                   std::vector<char>(from, from + vcpu.size));
            }
        }
    }
    ~Quiet()
    {
        for (auto &[run, bytes] : kept_) {
            memcpy(static_cast<void *>(run), bytes.data(), bytes.size());
        }
    }

private:
    std::vector<std::pair<kvm_run *, std::vector<char>>> kept_;
};

int Machine::complete(int fd, Vcpu &vcpu)
{
    vcpu.run->immediate_exit = 1;
    int ret = kernel_->ioctl(fd, KVM_RUN, 0);
    vcpu.run->immediate_exit = 0;
    return ret;
}

/* Of the others: false if one of them waits for the program's answer. */
bool Machine::complete_others(const Vcpu &me)
{
    for (auto &[fd, vcpu] : vcpus_) {
        if (&vcpu == &me || !vcpu.exited || !vcpu.run) {
            continue;
        }
        if (wants_an_answer(*vcpu.run) || complete(fd, vcpu) != -EINTR) {
            return false;
        }
        vcpu.exited = false;
    }
    return true;
}

/* All threads that are in KVM_RUN; false if one does not come. */
bool Machine::call_out(std::unique_lock<std::mutex> &lock)
{
    auto is_inside = [](const auto &item) { return item.second.inside != 0; };
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);

    for (auto &[fd, vcpu] : vcpus_) {
        if (vcpu.inside && vcpu.run) {
            vcpu.called = true;
            vcpu.run->immediate_exit = 1;
            /* Who was cancelled in there is in no more. */
            if (tgkill(getpid(), vcpu.inside, call_signal())) {
                vcpu.inside = 0;
            }
        }
    }
    bool all = changed_.wait_until(
        lock, until, [&] { return std::ranges::none_of(vcpus_, is_inside); });
    for (auto &[fd, vcpu] : vcpus_) {
        if (std::exchange(vcpu.called, false) && vcpu.run) {
            vcpu.run->immediate_exit = 0;
        }
    }
    return all;
}

void Machine::move(std::unique_lock<std::mutex> &lock)
{
    Result<void> done = preserve_.prepare();

    if (done) {
        lock.unlock();
        if (Result<Durations> moved = preserve_.run(); !moved) {
            done = std::unexpected(moved.error());
        }
        lock.lock();
    }
    if (done) {
        counts_.moves++;
        generations_.release_old_vm();
    } else {
        counts_.failures.insert(done.error().what);
    }
}

/* With the lock; 0: it may enter. */
int Machine::enter(int fd, Vcpu &vcpu, std::unique_lock<std::mutex> &lock)
{
    Before what = vcpu.run && !vcpu.run->immediate_exit ? choose_()
                                                        : Before::Nothing;

    if (what == Before::Nothing) {
        return 0;
    }
    if (int ret = complete(fd, vcpu); ret != -EINTR) {
        return ret ? ret : 1;
    }
    vcpu.exited = false;
    if (what == Before::Complete) {
        return 0;
    }
    moving_ = true;
    if (call_out(lock)) {
        Quiet quiet(vcpus_);
        if (complete_others(vcpu)) {
            move(lock);
        } else {
            counts_.busy++;
        }
    } else {
        counts_.busy++;
    }
    moving_ = false;
    changed_.notify_all();
    return 0;
}

int Machine::run(int fd)
{
    std::unique_lock lock(mutex_);
    auto found = vcpus_.find(fd);

    if (found == vcpus_.end()) {
        lock.unlock();
        return kernel_->ioctl(fd, KVM_RUN, 0);
    }
    Vcpu &vcpu = found->second;
    counts_.runs++;
    changed_.wait(lock, [this] { return !moving_; });
    if (int ret = enter(fd, vcpu, lock)) {
        vcpu.exited = ret > 0;
        return ret > 0 ? 0 : ret;
    }
    for (;;) {
        vcpu.inside = gettid();
        lock.unlock();
        int ret = kernel_->ioctl(fd, KVM_RUN, 0);
        lock.lock();
        bool called = vcpu.called;
        vcpu.inside = 0;
        vcpu.exited = ret >= 0;
        changed_.notify_all();
        if (ret != -EINTR || !called) {
            return ret;
        }
        changed_.wait(lock, [this] { return !moving_; });
    }
}
