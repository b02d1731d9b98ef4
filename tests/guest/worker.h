/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_WORKER_H
#define GUEST_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Worker Worker;

/*
 * One kind of checkable work. Each worker has a thread of its own; whatever is
 * not as it must be ends the whole program in work_fail().
 */
typedef struct WorkKind {
    const char *name;
    /* How many workers of it this guest can have; NULL means one. */
    int (*workers)(void);
    /* In the worker's own thread, once and then over and over. */
    void (*start)(Worker *worker);
    void (*turn)(Worker *worker);
} WorkKind;

struct Worker {
    const WorkKind *kind;
    int index;
    /* What the line of each second says: turns, or whatever turn() sets. */
    atomic_ulong count;
    void *state;
};

extern const WorkKind cpu_work, memory_work, timer_work, disk_work, net_work;

void work_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
void work_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int cpus_online(void);
void pin_to_cpu(int cpu);
int64_t monotonic_ns(void);

/* Fills DATA with numbers that SEED alone decides. */
void pseudo_random(uint64_t seed, void *data, size_t len);

#endif
