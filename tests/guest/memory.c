/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory keeps what was written to it, page by page, round after round. */
#include "worker.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096,
    PAGES = 4096
};

typedef struct Memory {
    char (*page)[PAGE];
    uint64_t round;
    int next;
} Memory;

/* No page has the contents of another, nor of another round. */
static uint64_t seed_of(uint64_t round, int page)
{
    return round * PAGES + page;
}

static void memory_start(Worker *worker)
{
    Memory *memory = calloc(1, sizeof(*memory));
    int i;

    if (!memory || !(memory->page = aligned_alloc(PAGE, PAGE * PAGES))) {
        work_fail("memory: %d MiB are not to be had",
                  PAGE / 1024 * PAGES / 1024);
    }
    for (i = 0; i < PAGES; i++) {
        pseudo_random(seed_of(0, i), memory->page[i], PAGE);
    }
    worker->state = memory;
}

static void memory_turn(Worker *worker)
{
    Memory *memory = worker->state;
    char *page = memory->page[memory->next];
    char expected[PAGE];

    pseudo_random(seed_of(memory->round, memory->next), expected, PAGE);
    if (memcmp(expected, page, PAGE)) {
        work_fail("memory: page %d of round %llu has changed", memory->next,
                  (unsigned long long)memory->round);
    }
    pseudo_random(seed_of(memory->round + 1, memory->next), page, PAGE);
    if (++memory->next == PAGES) {
        memory->next = 0;
        memory->round++;
    }
    worker->count++;
}

const WorkKind memory_work = {
    .name = "memory",
    .start = memory_start,
    .turn = memory_turn,
};
