/*
 * The kernel this process runs on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "kernel.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

namespace kvm_reset {

static int result(int ret)
{
    return ret < 0 ? -errno : ret;
}

namespace {

/*
 * Files are watched with an epoll set: an item of it belongs to a file under
 * a number, holds no reference to the file, and goes when the file goes.  No
 * event is asked for and nobody ever waits on the set.
 */
class SystemKernel final : public Kernel {
public:
    SystemKernel(std::string device, OpenPath open_path)
        : device_(std::move(device)), open_path_(open_path)
    {}

    ~SystemKernel() override
    {
        if (epoll_ >= 0) {
            ::close(epoll_);
        }
    }

    int open_kvm() override
    {
        return open_path_ ? open_path_(device_.c_str())
                          : result(::open(device_.c_str(), O_RDWR | O_CLOEXEC));
    }

    const char *kvm_path() override { return device_.c_str(); }

    int placeholder() override { return result(::eventfd(0, EFD_CLOEXEC)); }

    int ioctl(int fd, uint32_t request, uintptr_t arg) override
    {
        return result(::ioctl(fd, request, arg));
    }

    int mmap(void *addr, size_t length, int prot, int flags, int fd,
             int64_t offset, void **mapping) override
    {
        *mapping = ::mmap(addr, length, prot, flags, fd, offset);
        return *mapping == MAP_FAILED ? -errno : 0;
    }

    int munmap(void *addr, size_t length) override
    {
        return result(::munmap(addr, length));
    }

    int read_memory(uint64_t address, std::span<uint8_t> bytes) override
    {
        return transfer(::process_vm_readv, address, bytes);
    }

    int write_memory(uint64_t address, std::span<const uint8_t> bytes) override
    {
        return transfer(::process_vm_writev, address,
                        {const_cast<uint8_t *>(bytes.data()), bytes.size()});
    }

    int dup(int fd) override { return result(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

    int dup_onto(int from, int onto) override
    {
        return result(::dup3(from, onto, O_CLOEXEC));
    }

    int close(int fd) override { return result(::close(fd)); }

    int punch_hole(int fd, uint64_t offset, uint64_t length) override
    {
        return result(::fallocate(fd,
                                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  off_t(offset), off_t(length)));
    }

    uint64_t inode(const char *path) override
    {
        struct stat info;
        return ::stat(path, &info) ? 0 : info.st_ino;
    }

    std::string describe(int fd) override
    {
        char target[256];
        ssize_t n = ::readlink(format("/proc/self/fd/%d", fd).c_str(), target,
                               sizeof(target));
        if (n >= 0) {
            return std::string(target, n);
        }
        bool closed = ::fcntl(fd, F_GETFD) < 0 && errno == EBADF;
        return closed ? "" : "?";
    }

    int watch(int fd) override
    {
        std::call_once(epoll_once_,
                       [this] { epoll_ = ::epoll_create1(EPOLL_CLOEXEC); });
        return control(EPOLL_CTL_ADD, fd);
    }

    bool watched(int fd) override
    {
        int ret = control(EPOLL_CTL_MOD, fd);
        /* EPERM: the number is now a file that nobody can poll. */
        return ret != -ENOENT && ret != -EBADF && ret != -EPERM;
    }

    int ring(int eventfd) override
    {
        uint64_t one = 1;
        return ::write(eventfd, &one, sizeof(one)) < 0 ? -errno : 0;
    }

    uint64_t now() override
    {
        timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return uint64_t(t.tv_sec) * 1000000000 + t.tv_nsec;
    }

    void wait(std::condition_variable &changed,
              std::unique_lock<std::mutex> &lock, uint64_t until) override
    {
        if (until == forever) {
            changed.wait(lock);
        } else {
            /* This clock is CLOCK_MONOTONIC. */
            changed.wait_until(lock, std::chrono::steady_clock::time_point(
                                         std::chrono::nanoseconds(until)));
        }
    }

private:
    static int transfer(decltype(::process_vm_readv) call, uint64_t address,
                        std::span<uint8_t> bytes)
    {
        while (!bytes.empty()) {
            iovec here{bytes.data(), bytes.size()};
            iovec there{reinterpret_cast<void *>(address), bytes.size()};
            ssize_t n = call(::getpid(), &here, 1, &there, 1, 0);
            if (n <= 0) {
                return n < 0 ? -errno : -EFAULT;
            }
            bytes = bytes.subspan(n);
            address += n;
        }
        return 0;
    }

    int control(int operation, int fd)
    {
        epoll_event nothing = {};
        return result(::epoll_ctl(epoll_, operation, fd, &nothing));
    }

    std::string device_;
    OpenPath open_path_;
    std::once_flag epoll_once_;
    int epoll_ = -1;
};

} /* namespace */

std::unique_ptr<Kernel> make_system_kernel(std::string device,
                                           OpenPath open_path)
{
    return std::make_unique<SystemKernel>(std::move(device), open_path);
}

} /* namespace kvm_reset */
