/*
 * The one program of the smallest guest: says who it is, and reboots
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What it says and obeys is a part of what the small guest does
 * (docs/testbed.md), in its words, so that the same tests can talk to it. It
 * has no C library: to load and start one takes longer than all the rest.
 */

#include <fcntl.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}

static size_t length(const char *text)
{
    size_t n = 0;

    while (text[n]) {
        n++;
    }
    return n;
}

static void write_all(const char *data, size_t size)
{
    while (size) {
        long n = call(SYS_write, 1, (long)data, (long)size, 0);

        if (n <= 0) {
            return;
        }
        data += n;
        size -= (size_t)n;
    }
}

static char line[128];
static size_t filled;

static void add(const char *text)
{
    while (*text && filled < sizeof(line) - 1) {
        line[filled++] = *text++;
    }
}

/* In one write, so that the kernel's own words do not come between. */
static void say(const char *text)
{
    add("kvm-reset-guest: ");
    add(text);
    line[filled++] = '\n';
    write_all(line, filled);
    filled = 0;
}

static int cpus(void)
{
    uint64_t mask[16] = {0};
    int n = 0;

    call(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask, 0);
    for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++) {
        for (uint64_t left = mask[i]; left; left &= left - 1) {
            n++;
        }
    }
    return n;
}

static void say_boot(void)
{
    static const char digits[] = "0123456789abcdef";
    char text[80] = "boot id=", *end = text + length(text);
    uint8_t id[16];
    int n = cpus();

    /* It need not be a secret, and must not wait for entropy. */
    call(SYS_getrandom, (long)id, sizeof(id), GRND_INSECURE, 0);
    for (size_t i = 0; i < sizeof(id); i++) {
        *end++ = digits[id[i] >> 4];
        *end++ = digits[id[i] & 15];
    }
    for (const char *c = " cpus="; *c; c++) {
        *end++ = *c;
    }
    if (n > 9) {
        *end++ = digits[n / 10 % 10];
    }
    *end++ = digits[n % 10];
    *end = 0;
    say(text);
}

static int is(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void obey(const char *what)
{
    if (is(what, "ping")) {
        say("pong");
    } else if (is(what, "id")) {
        say_boot();
    } else if (is(what, "reboot") || is(what, "poweroff")) {
        say(what);
        call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
             what[0] == 'r' ? (long)LINUX_REBOOT_CMD_RESTART
                            : (long)LINUX_REBOOT_CMD_POWER_OFF,
             0);
    } else if (*what) {
        say("error: unknown command");
    }
}

__attribute__((noreturn, used)) static void run(void)
{
    static char word[64];
    size_t n = 0;

    say_boot();
    say("ready");
    for (;;) {
        char c;

        if (call(SYS_read, 0, (long)&c, 1, 0) != 1) {
            continue;
        }
        if (c == '\n' || c == '\r') {
            word[n] = 0;
            n = 0;
            obey(word);
        } else if (n < sizeof(word) - 1) {
            word[n++] = c;
        }
    }
}

/* The kernel leaves the stack aligned to 16; a function expects a call. */
__asm__(".globl _start\n_start:\n    xorl %ebp, %ebp\n    call run\n");
