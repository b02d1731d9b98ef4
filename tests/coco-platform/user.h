/*
 * The caller's memory, which may not be there
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_USER_H
#define COCO_USER_H

#include <cstdint>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace coco {

/** 0, or -EFAULT as the kernel's own copy functions. */
inline int copy_in(void *to, uint64_t from, size_t size)
{
    iovec here = {to, size};
    iovec there = {reinterpret_cast<void *>(from), size};
    ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    return n == static_cast<ssize_t>(size) ? 0 : -EFAULT;
}

inline int copy_out(uint64_t to, const void *from, size_t size)
{
    iovec here = {const_cast<void *>(from), size};
    iovec there = {reinterpret_cast<void *>(to), size};
    ssize_t n = process_vm_writev(getpid(), &here, 1, &there, 1, 0);
    return n == static_cast<ssize_t>(size) ? 0 : -EFAULT;
}

template <class T> int copy_in(T *to, uint64_t from)
{
    return copy_in(to, from, sizeof(T));
}

template <class T> int copy_out(uint64_t to, const T &from)
{
    return copy_out(to, &from, sizeof(T));
}

} // namespace coco

#endif
