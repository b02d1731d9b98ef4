/*
 * The functions of libc that the platform stands in front of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each asks whether the file is the platform's; all others go straight to
 * the kernel.
 */

/* With it, open is another name of open64, and both are needed here. */
#undef _FILE_OFFSET_BITS

#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "host_memory.h"
#include "platform.h"
#include "sev.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace coco;

static int to_errno(int ret)
{
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}

/* --- ioctl ------------------------------------------------------------- */

static int platform_ioctl(int fd, unsigned long request, uintptr_t arg)
{
    auto file = files::get(fd);
    if (!file) {
        return _IOC_TYPE(request) == KVMIO ? system_ioctl(fd, request, arg)
                                           : real_ioctl(fd, request, arg);
    }
    switch (file->kind) {
    case FileKind::Vm:
        return vm_ioctl(file, fd, request, arg);
    case FileKind::Vcpu:
        return vcpu_ioctl(file, fd, request, arg);
    case FileKind::SevDevice:
        return sev_device_ioctl(request, arg);
    case FileKind::Gmem:
        return -ENOTTY;
    default:
        return real_ioctl(fd, request, arg);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...) noexcept
{
    va_list list;
    va_start(list, request);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    /* QEMU passes requests as int, which extends their sign. */
    return to_errno(platform_ioctl(fd, static_cast<uint32_t>(request), arg));
}

/* --- open -------------------------------------------------------------- */

static int platform_open(int dir, const char *path, int flags, unsigned mode)
{
    if (path && strcmp(path, "/dev/sev") == 0) {
        return to_errno(open_sev_device(flags));
    }
    return sys::openat(dir, path, flags, mode);
}

static unsigned mode_of(int flags, va_list list)
{
    bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return creates ? va_arg(list, unsigned) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = mode_of(flags, list);
    va_end(list);
    return platform_open(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = mode_of(flags, list);
    va_end(list);
    return platform_open(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = mode_of(flags, list);
    va_end(list);
    return platform_open(dir, path, flags, mode);
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = mode_of(flags, list);
    va_end(list);
    return platform_open(dir, path, flags, mode);
}

/* What _FORTIFY_SOURCE makes of open() without a mode. */
EXPORT int __open_2(const char *path, int flags)
{
    return platform_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
    return platform_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
    return platform_open(dir, path, flags, 0);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
    return platform_open(dir, path, flags, 0);
}

/* --- close and dup ------------------------------------------------------ */

/* The number may be somebody else's as soon as the kernel has closed it. */
EXPORT int close(int fd)
{
    auto gone = files::put(fd, nullptr);
    return sys::close(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept
{
    int ret = static_cast<int>(syscall(SYS_close_range, first, last, flags));
    constexpr unsigned kCloexec = 4;
    if (ret == 0 && !(static_cast<unsigned>(flags) & kCloexec)) {
        for (unsigned fd = first; fd <= last && fd < 65536; fd++) {
            files::put(static_cast<int>(fd), nullptr);
        }
    }
    return ret;
}

static int duplicate(int from, int to)
{
    if (to >= 0) {
        files::put(to, files::get(from));
    }
    return to;
}

EXPORT int dup(int fd) noexcept
{
    return duplicate(fd, sys::dup(fd));
}

static int duplicate_onto(int from, int onto, int flags, bool with_flags)
{
    if (from == onto) {
        return with_flags ? sys::dup3(from, onto, flags)
                          : sys::dup2(from, onto);
    }
    /* What was there must go after the kernel let go of it. */
    auto file = files::get(from);
    auto gone = files::get(onto);
    int ret = sys::dup3(from, onto, flags);
    if (ret >= 0) {
        files::put(onto, std::move(file));
    }
    return ret;
}

EXPORT int dup2(int from, int onto) noexcept
{
    return duplicate_onto(from, onto, 0, false);
}

EXPORT int dup3(int from, int onto, int flags) noexcept
{
    return duplicate_onto(from, onto, flags, true);
}

static int platform_fcntl(int fd, int command, uintptr_t arg)
{
    int ret = sys::fcntl(fd, command, arg);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicate(fd, ret)
                                                            : ret;
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return platform_fcntl(fd, command, arg);
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return platform_fcntl(fd, command, arg);
}

/* --- memory ------------------------------------------------------------- */

static void *platform_mmap(void *at, size_t length, int prot, int flags, int fd,
                           off_t offset)
{
    auto file = flags & MAP_ANONYMOUS ? nullptr : files::get(fd);
    if (file && file->kind == FileKind::Gmem) {
        errno = ENODEV; /* a guest_memfd cannot be mapped */
        return MAP_FAILED;
    }
    void *there = sys::mmap(at, length, prot, flags, fd, offset);
    if (there == MAP_FAILED) {
        return there;
    }
    auto address = reinterpret_cast<uint64_t>(there);
    if (flags & MAP_FIXED) {
        host_memory::forget(address, page_up(length));
        files::unmapped(address, page_up(length));
    }
    if (file && file->kind == FileKind::Vcpu) {
        if (offset == 0) {
            file->vcpu->run = static_cast<kvm_run *>(there);
        }
        files::mapped(address, page_up(length), std::move(file));
    }
    return there;
}

EXPORT void *mmap(void *at, size_t length, int prot, int flags, int fd,
                  off_t offset) noexcept
{
    return platform_mmap(at, length, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *at, size_t length, int prot, int flags, int fd,
                    off64_t offset) noexcept
{
    return platform_mmap(at, length, prot, flags, fd, offset);
}

EXPORT int munmap(void *at, size_t length) noexcept
{
    int ret = sys::munmap(at, length);
    if (ret == 0) {
        auto address = reinterpret_cast<uint64_t>(at);
        host_memory::forget(address, page_up(length));
        files::unmapped(address, page_up(length));
    }
    return ret;
}

/* Adopted memory is a file's, of which MADV_DONTNEED frees nothing. */
EXPORT int madvise(void *at, size_t length, int advice) noexcept
{
    int ret = sys::madvise(at, length, advice);
    if (ret == 0 && (advice == MADV_DONTNEED || advice == MADV_REMOVE)) {
        host_memory::discard(reinterpret_cast<uint64_t>(at), page_up(length),
                             false);
    }
    return ret;
}

static int platform_fallocate(int fd, int mode, off_t offset, off_t length)
{
    auto file = files::get(fd);
    if (file && file->kind == FileKind::Gmem) {
        return to_errno(gmem_fallocate(file->gmem.get(), mode, offset, length));
    }
    return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, length));
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return platform_fallocate(fd, mode, offset, length);
}

EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    return platform_fallocate(fd, mode, offset, length);
}
