/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into QEMU in front of the simulated platform: what QEMU asks of
 * "the kernel" on one thread is listed, and one call of it fails, before the
 * platform sees it. strace would see the platform's own calls instead, and
 * would not see a launch command at all. What to do lies in a file that the
 * test maps too; see platform_injection.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_CALLS 4000
/* Not ioctls. */
enum {
    OPEN = 1,
    DUP3,
    MMAP,
    MUNMAP,
    FCNTL,
    READLINK,
    EPOLL_CTL,
    READV,
    WRITEV
};
#define MEMORY_ENCRYPT_OP 0xc008aeba

struct one {
    uint32_t call;    /* an ioctl's request, or one of the above */
    uint32_t command; /* of a KVM_MEMORY_ENCRYPT_OP */
};

struct control {
    uint32_t thread; /* whose calls these are; 0: none is looked at */
    uint32_t error;  /* that the call fails with, unless 0 */
    uint32_t fails;  /* which of them, from 0 on */
    uint32_t hit;    /* it has failed */
    uint32_t made;   /* so many calls */
    struct one calls[MOST_CALLS];
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("KVM_RESET_BEFORE_PLATFORM");
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC)
                  : -1;
    void *at;

    if (fd < 0) {
        return;
    }
    at = (void *)syscall(SYS_mmap, NULL, sizeof(*control),
                         PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (at != MAP_FAILED) {
        control = at;
    }
}

static int fails(uint32_t call, uint32_t command)
{
    struct control *c = control;
    uint32_t n;

    if (!c || __atomic_load_n(&c->thread, __ATOMIC_ACQUIRE) !=
                  (uint32_t)syscall(SYS_gettid)) {
        return 0;
    }
    n = c->made;
    /* A rebirth begins with a look at which files the numbers are. */
    if (n == 0 && call != READLINK) {
        return 0;
    }
    if (n < MOST_CALLS) {
        c->calls[n] = (struct one){call, command};
        c->made = n + 1;
    }
    if (c->error && c->fails == n && !c->hit) {
        c->hit = 1;
        errno = c->error;
        return 1;
    }
    return 0;
}

#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    uint32_t command = 0;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if ((uint32_t)request == MEMORY_ENCRYPT_OP && arg) {
        command = *(const uint32_t *)arg;
    }
    return fails(request, command) ? -1 : NEXT(ioctl)(fd, request, arg);
}

int dup3(int from, int onto, int flags)
{
    return fails(DUP3, 0) ? -1 : NEXT(dup3)(from, onto, flags);
}

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
    return fails(MMAP, 0) ? MAP_FAILED
                          : NEXT(mmap)(addr, size, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t size, int prot, int flags, int fd,
             off64_t offset)
{
    return fails(MMAP, 0) ? MAP_FAILED
                          : NEXT(mmap64)(addr, size, prot, flags, fd, offset);
}

int munmap(void *addr, size_t size)
{
    return fails(MUNMAP, 0) ? -1 : NEXT(munmap)(addr, size);
}

static int open_at(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = next(name);

    return fails(OPEN, 0) ? -1 : real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    return open_at("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    return open_at("open64", path, flags, mode);
}

static int fcntl_at(const char *name, int fd, int command, void *arg)
{
    int (*real)(int, int, ...) = next(name);

    return command == F_DUPFD_CLOEXEC && fails(FCNTL, 0)
             ? -1
             : real(fd, command, arg);
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return fcntl_at("fcntl", fd, command, arg);
}

int fcntl64(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return fcntl_at("fcntl64", fd, command, arg);
}

ssize_t readlink(const char *path, char *to, size_t size)
{
    return fails(READLINK, 0) ? -1 : NEXT(readlink)(path, to, size);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    return fails(EPOLL_CTL, 0) ? -1
                               : NEXT(epoll_ctl)(set, operation, fd, event);
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *here, unsigned long n,
                         const struct iovec *there, unsigned long m,
                         unsigned long flags)
{
    return fails(READV, 0)
             ? -1
             : NEXT(process_vm_readv)(pid, here, n, there, m, flags);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *here, unsigned long n,
                          const struct iovec *there, unsigned long m,
                          unsigned long flags)
{
    return fails(WRITEV, 0)
             ? -1
             : NEXT(process_vm_writev)(pid, here, n, there, m, flags);
}
