/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each CPU in turn wakes up when it asked to, and no clock goes backwards. */
#include "worker.h"

#include <errno.h>
#include <time.h>

enum {
    SLEEP_MS = 10
};

static void timer_turn(Worker *worker)
{
    const struct timespec sleep = {.tv_nsec = SLEEP_MS * 1000000};
    int cpu = worker->count % cpus_online();
    int64_t before, after;

    pin_to_cpu(cpu);
    before = monotonic_ns();
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL) == EINTR) {
        before = monotonic_ns();
    }
    after = monotonic_ns();
    if (after < before) {
        work_fail("timer: CPU %d's clock went back by %lld ns", cpu,
                  (long long)(before - after));
    }
    if (after - before < SLEEP_MS * 1000000) {
        work_fail("timer: CPU %d slept %lld ns and not %d ms", cpu,
                  (long long)(after - before), SLEEP_MS);
    }
    worker->count++;
}

const WorkKind timer_work = {
    .name = "timer",
    .turn = timer_turn,
};
