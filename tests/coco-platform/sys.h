/*
 * The kernel's own system calls, past the functions that are preloaded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each returns what libc's function returns and sets errno.
 */

#ifndef COCO_SYS_H
#define COCO_SYS_H

#include <cstddef>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

namespace coco::sys {

inline int ioctl(int fd, unsigned long request, uintptr_t arg)
{
    return static_cast<int>(syscall(SYS_ioctl, fd, request, arg));
}

inline int ioctl(int fd, unsigned long request, const void *arg)
{
    return ioctl(fd, request, reinterpret_cast<uintptr_t>(arg));
}

inline void *mmap(void *at, size_t length, int prot, int flags, int fd,
                  off_t offset)
{
    return reinterpret_cast<void *>(
        syscall(SYS_mmap, at, length, prot, flags, fd, offset));
}

inline int munmap(void *at, size_t length)
{
    return static_cast<int>(syscall(SYS_munmap, at, length));
}

inline int close(int fd)
{
    return static_cast<int>(syscall(SYS_close, fd));
}

inline int openat(int dir, const char *path, int flags, unsigned mode)
{
    return static_cast<int>(syscall(SYS_openat, dir, path, flags, mode));
}

inline int fcntl(int fd, int command, uintptr_t arg)
{
    return static_cast<int>(syscall(SYS_fcntl, fd, command, arg));
}

inline int dup(int fd)
{
    return static_cast<int>(syscall(SYS_dup, fd));
}

inline int dup2(int from, int onto)
{
    return static_cast<int>(syscall(SYS_dup2, from, onto));
}

inline int dup3(int from, int onto, int flags)
{
    return static_cast<int>(syscall(SYS_dup3, from, onto, flags));
}

inline int madvise(void *at, size_t length, int advice)
{
    return static_cast<int>(syscall(SYS_madvise, at, length, advice));
}

} // namespace coco::sys

#endif
