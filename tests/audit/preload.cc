/*
 * The recorder as a preloaded library: what it takes the place of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything ends in a system call right here, so whatever else is preloaded
 * goes before this library.  A process in which nothing touches KVM (a shell
 * that starts QEMU, a helper that QEMU starts) is left alone.
 */

/* Or fcntl() is another name of fcntl64(), and both are meant. */
#undef _FILE_OFFSET_BITS

#include <cerrno>
#include <cstdarg>
#include <fcntl.h>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"
#include "json.h"
#include "recorder.h"

#define AUDIT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr uint32_t kvm_type = 0xae;

/* In a child between fork() and exec() nobody may wait for a lock. */
bool off;
thread_local bool inside;

audit::Recorder *recorder;
std::once_flag started;

void start()
{
    std::call_once(started, [] {
        if (!audit::open_record()) {
            off = true;
            return;
        }
        recorder = new audit::Recorder;
        pthread_atfork(nullptr, nullptr, [] { off = true; });
        audit::start_control(*recorder);
    });
}

/* What is done inside is the recorder's own. */
struct Inside {
    Inside() { inside = true; }
    ~Inside() { inside = false; }
    int error = errno;
};

bool watching()
{
    return recorder && !off && !inside;
}

long kvm_ioctl(int fd, unsigned long request, uintptr_t arg)
{
    audit::ObjectPtr object;
    audit::Call call;
    {
        Inside guard;
        start();
        if (!off) {
            object = recorder->objects().find(fd);
        }
        if (object) {
            call = recorder->begin(object, uint32_t(request), arg);
        }
    }
    long result = syscall(SYS_ioctl, fd, request, arg);
    if (object) {
        int error = errno;
        Inside guard;
        recorder->end(call, int(result), error);
        errno = error;
    }
    return result;
}

} /* namespace */

AUDIT_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);

    if ((request >> 8 & 0xff) == kvm_type && !off && !inside) {
        return int(kvm_ioctl(fd, request, arg));
    }
    return int(syscall(SYS_ioctl, fd, request, arg));
}

AUDIT_EXPORT int close(int fd)
{
    if (watching()) {
        Inside guard;
        recorder->objects().closed(fd);
    }
    return int(syscall(SYS_close, fd));
}

static int duplicated(int from, int to)
{
    if (to >= 0 && watching()) {
        Inside guard;
        recorder->objects().duplicated(from, to);
        errno = guard.error;
    }
    return to;
}

AUDIT_EXPORT int dup(int fd)
{
    return duplicated(fd, int(syscall(SYS_dup, fd)));
}

AUDIT_EXPORT int dup2(int from, int to)
{
    return duplicated(from, int(syscall(SYS_dup2, from, to)));
}

AUDIT_EXPORT int dup3(int from, int to, int flags)
{
    return duplicated(from, int(syscall(SYS_dup3, from, to, flags)));
}

static int any_fcntl(int fd, int command, uintptr_t arg)
{
    int result = int(syscall(SYS_fcntl, fd, command, arg));

    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        return duplicated(fd, result);
    }
    return result;
}

AUDIT_EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return any_fcntl(fd, command, arg);
}

AUDIT_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return any_fcntl(fd, command, arg);
}

AUDIT_EXPORT void *mmap64(void *address, size_t length, int protection,
                          int flags, int fd, off64_t offset)
{
    long result = syscall(SYS_mmap, address, length, protection, flags, fd,
                          offset);
    if (fd >= 0 && result != -1 && watching()) {
        Inside guard;
        if (audit::ObjectPtr object = recorder->objects().find(fd)) {
            recorder->mapped(*object, length, offset);
        }
    }
    return reinterpret_cast<void *>(result);
}

AUDIT_EXPORT void *mmap(void *address, size_t length, int protection, int flags,
                        int fd, off_t offset)
{
    return mmap64(address, length, protection, flags, fd, offset);
}
