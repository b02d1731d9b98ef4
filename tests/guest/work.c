/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs every kind of work that this guest can do, and says each second how far
 * it has come, or the first thing that went wrong.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"

/* An emulated CPU of a busy machine can stand still for long. */
enum {
    MAX_WORKERS = 320,
    PATIENCE_S = 60
};

static Worker workers[MAX_WORKERS];
static int nr_workers;

static void print_line(const char *what, const char *fmt, va_list ap)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "kvm-reset-guest: %s", what);

    len += vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
    if (len > (int)sizeof(line) - 2) {
        len = sizeof(line) - 2;
    }
    line[len++] = '\n';
    /* In one go, as others write to the console too. */
    if (write(STDOUT_FILENO, line, len) < 0) {
        exit(2);
    }
}

void work_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line("", fmt, ap);
    va_end(ap);
}

void work_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line("work FAIL ", fmt, ap);
    va_end(ap);
    _exit(1);
}

int cpus_online(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN);
}

void pin_to_cpu(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        work_fail("cannot run on CPU %d", cpu);
    }
}

int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* xorshift64*, of Marsaglia and Vigna. */
void pseudo_random(uint64_t seed, void *data, size_t len)
{
    uint64_t x = seed * 2 + 1;
    size_t i;

    for (i = 0; i + 8 <= len; i += 8) {
        uint64_t y;

        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        y = x * UINT64_C(0x2545f4914f6cdd1d);
        memcpy((char *)data + i, &y, 8);
    }
}

static void *work_thread(void *opaque)
{
    Worker *worker = opaque;

    if (worker->kind->start) {
        worker->kind->start(worker);
    }
    for (;;) {
        worker->kind->turn(worker);
    }
    return NULL;
}

static void add_workers(const WorkKind *kind)
{
    int n = kind->workers ? kind->workers() : 1, i;

    for (i = 0; i < n && nr_workers < MAX_WORKERS; i++) {
        workers[nr_workers++] = (Worker){.kind = kind, .index = i};
    }
}

/* The sum of each kind's counts, as " cpu=12 disk=3". */
static void format_counts(char *text, size_t size)
{
    size_t len = 0;
    int i = 0;

    text[0] = '\0';
    while (i < nr_workers) {
        const WorkKind *kind = workers[i].kind;
        unsigned long sum = 0;

        for (; i < nr_workers && workers[i].kind == kind; i++) {
            sum += atomic_load(&workers[i].count);
        }
        len += snprintf(text + len, size - len, " %s=%lu", kind->name, sum);
    }
}

int command_work(int argc, char **argv)
{
    static const WorkKind *const kinds[] = {
        &cpu_work, &memory_work, &timer_work, &disk_work, &net_work,
    };
    unsigned long last[MAX_WORKERS] = {0};
    int64_t moved[MAX_WORKERS];
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 0, n;
    size_t kind;
    int i;

    for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        add_workers(kinds[kind]);
    }
    for (i = 0; i < nr_workers; i++) {
        pthread_t thread;

        moved[i] = monotonic_ns();
        if (pthread_create(&thread, NULL, work_thread, &workers[i])) {
            work_fail("cannot start a thread");
        }
    }
    for (n = 1; !seconds || n <= seconds; n++) {
        char counts[256];

        sleep(1);
        for (i = 0; i < nr_workers; i++) {
            unsigned long now = atomic_load(&workers[i].count);
            int64_t time = monotonic_ns();

            if (now != last[i]) {
                last[i] = now;
                moved[i] = time;
            } else if (time - moved[i] > PATIENCE_S * INT64_C(1000000000)) {
                work_fail("%s %d has done nothing for %d s",
                          workers[i].kind->name, workers[i].index, PATIENCE_S);
            }
        }
        format_counts(counts, sizeof(counts));
        work_say("work ok n=%ld%s", n, counts);
    }
    return 0;
}
