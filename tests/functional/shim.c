/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into QEMU: a kernel whose calls fail or take long on demand, while
 * QEMU runs. The rules lie in a file that the test maps too; see shim.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RULES 8
/* Not ioctls. */
#define CALL_CLOSE 1
#define CALL_DUP3 2
#define CALL_MMAP 3

struct rule {
    uint32_t call;     /* an ioctl's request, or one of the above; 0: none */
    int32_t error;     /* that it fails with, unless 0 */
    uint32_t delay_ms; /* before it */
    int32_t left;      /* how many more times; -1: always */
    uint32_t hits;     /* how often it was met */
    uint32_t word;     /* what an ioctl's argument begins with, unless 0 */
    char thread[16];   /* only there, unless empty */
};

static struct rule *rules;

__attribute__((constructor)) static void map_rules(void)
{
    const char *path = getenv("KVM_RESET_SHIM");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at;

    if (fd < 0) {
        return;
    }
    at = mmap(NULL, RULES * sizeof(*rules), PROT_READ | PROT_WRITE, MAP_SHARED,
              fd, 0);
    syscall(SYS_close, fd);
    if (at != MAP_FAILED) {
        rules = at;
    }
}

static int meant(const struct rule *rule, uint32_t call, const void *arg)
{
    char name[16];

    if (__atomic_load_n(&rule->call, __ATOMIC_ACQUIRE) != call ||
        (rule->word && memcmp(arg, &rule->word, sizeof(rule->word)) != 0)) {
        return 0;
    }
    if (!rule->thread[0]) {
        return 1;
    }
    prctl(PR_GET_NAME, name);
    return strcmp(name, rule->thread) == 0;
}

static int take_one(struct rule *rule)
{
    int32_t left = __atomic_load_n(&rule->left, __ATOMIC_RELAXED);

    while (left > 0 &&
           !__atomic_compare_exchange_n(&rule->left, &left, left - 1, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return left != 0;
}

/* 0, or the error that the call fails with instead of being made. */
static int error_for(uint32_t call, const void *arg)
{
    for (struct rule *rule = rules; rules && rule < rules + RULES; rule++) {
        if (meant(rule, call, arg) && take_one(rule)) {
            uint32_t ms = rule->delay_ms;
            struct timespec delay = {ms / 1000, ms % 1000 * 1000000};

            __atomic_add_fetch(&rule->hits, 1, __ATOMIC_RELAXED);
            nanosleep(&delay, NULL);
            if (rule->error) {
                return rule->error;
            }
        }
    }
    return 0;
}

static int fails(uint32_t call, const void *arg)
{
    int before = errno;
    int error = error_for(call, arg);

    errno = error ? error : before;
    return error != 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    return fails(request, arg) ? -1 : syscall(SYS_ioctl, fd, request, arg);
}

int close(int fd)
{
    return fails(CALL_CLOSE, NULL) ? -1 : syscall(SYS_close, fd);
}

int dup3(int from, int onto, int flags)
{
    return fails(CALL_DUP3, NULL) ? -1 : syscall(SYS_dup3, from, onto, flags);
}

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (fails(CALL_MMAP, NULL)) {
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}

/* What it is called where file offsets have 64 bits. */
void *mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));
