/*
 * The seam to the kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that the core asks of the kernel goes through this one small
 * interface: the real one makes system calls, the one in tests/unit is a
 * fake that remembers what it was asked and fails where it is told to.
 *
 * Calls return what the system call returns, or a negative errno; they never
 * set errno.  All of them may be called from any thread.
 */

#ifndef KVM_RESET_KERNEL_H
#define KVM_RESET_KERNEL_H

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

namespace kvm_reset {

class Kernel {
public:
    virtual ~Kernel() = default;

    /* Opens the KVM device anew; the fd is close-on-exec. */
    virtual int open_kvm() = 0;
    /* What messages call it; borrowed. */
    virtual const char *kvm_path() { return "/dev/kvm"; }
    /*
     * A file that is of no use, to keep a number: whatever is asked of it
     * fails.  The fd is close-on-exec.
     */
    virtual int placeholder() = 0;
    virtual int ioctl(int fd, uint32_t request, uintptr_t arg) = 0;

    /* @result is the mapping; meaningful when 0 is returned. */
    virtual int mmap(void *addr, size_t length, int prot, int flags, int fd,
                     int64_t offset, void **result) = 0;
    virtual int munmap(void *addr, size_t length) = 0;

    /*
     * This process' own memory, for addresses that it was given: -EFAULT
     * where there is none.
     */
    virtual int read_memory(uint64_t address, std::span<uint8_t> bytes) = 0;
    virtual int write_memory(uint64_t address,
                             std::span<const uint8_t> bytes) = 0;

    /* A duplicate on the lowest free number, close-on-exec. */
    virtual int dup(int fd) = 0;
    /* dup3(from, onto, O_CLOEXEC) */
    virtual int dup_onto(int from, int onto) = 0;
    virtual int close(int fd) = 0;
    /* Gives the pages of a file back; they read as zeros then. */
    virtual int punch_hole(int fd, uint64_t offset, uint64_t length) = 0;
    /* The inode that a path names, or 0: no file, or nobody may look. */
    virtual uint64_t inode(const char *path) = 0;

    /*
     * What the kernel calls the file behind @fd ("anon_inode:kvm-vm", …), an
     * empty string when @fd is not open, or "?" when the kernel does not say
     * (no /proc, no memory): that is no reason to take a file for closed.
     */
    virtual std::string describe(int fd) = 0;

    /*
     * Watching a file tells whether a number still means it, without holding
     * a reference to it: 0 when the file was not watched under this number,
     * -EEXIST when it was and is the same file.  A closed file is forgotten.
     */
    virtual int watch(int fd) = 0;
    virtual bool watched(int fd) = 0;

    /* Adds one to an eventfd's count, as whoever signals it does. */
    virtual int ring(int eventfd) = 0;

    /* CLOCK_MONOTONIC in nanoseconds. */
    virtual uint64_t now() = 0;
    /*
     * Waits until @changed is notified or now() is @until, whichever is first;
     * may return early.  Threads wait here so that a test knows who waits for
     * what, and moves the clock there.
     */
    virtual void wait(std::condition_variable &changed,
                      std::unique_lock<std::mutex> &lock, uint64_t until) = 0;

    static constexpr uint64_t forever = UINT64_MAX;

    /* Waits until it is @done, or now() is @until. */
    template <class Done>
    void wait_until(std::condition_variable &changed,
                    std::unique_lock<std::mutex> &lock, Done done,
                    uint64_t until = forever)
    {
        while (!done() && (until == forever || now() < until)) {
            wait(changed, lock, until);
        }
    }
};

/* open() of a path for reading and writing: an fd, or a negative errno. */
using OpenPath = int (*)(const char *path);

/*
 * The kernel this process runs on.  @device is the path of the KVM device,
 * which @open_path opens; without it, the system call does.
 */
std::unique_ptr<Kernel> make_system_kernel(std::string device,
                                           OpenPath open_path = nullptr);

/* An owned fd: closed when it goes. */
class Fd {
public:
    Fd() = default;
    Fd(Kernel &kernel, int fd) : kernel_(&kernel), fd_(fd) {}
    Fd(Fd &&other) noexcept
        : kernel_(other.kernel_), fd_(std::exchange(other.fd_, -1))
    {}
    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(kernel_, other.kernel_);
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd &) = delete;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset()
    {
        if (fd_ >= 0) {
            kernel_->close(std::exchange(fd_, -1));
        }
    }

private:
    Kernel *kernel_ = nullptr;
    int fd_ = -1;
};

} /* namespace kvm_reset */

#endif
