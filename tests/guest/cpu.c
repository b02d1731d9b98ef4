/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On each CPU: integer and floating-point work whose results are known. */
#define _GNU_SOURCE
#include "worker.h"

#include <sched.h>
#include <string.h>

#include "sha256.h"

enum {
    DATA_SIZE = 16384,
    LOGISTIC_STEPS = 10000
};

/* Made by another program: see check-answers.py beside this file. */
static const struct {
    uint64_t seed;
    const char *digest;
    double logistic;
} answers[] = {
    {1,
     "c83b5ca8b79d7721443c25603f7fc802"
     "807cb8104be37276577a6ca085be1387",
     0x1.d2b5e33ada6efp-1},
    {2,
     "9d94166deca8da98443bba8792f782c1"
     "052478bded1456652dda18c8914cdc17",
     0x1.eb636fe3c48ap-1},
    {3,
     "0959165624dfd904d30862af79ad64ee"
     "b307c683ab646ad854a9cb263056ea61",
     0x1.8420e427d3606p-1},
    {5,
     "dd3858301e46d25cc2d8bdce96629051"
     "1a40877f397090bd9f3d66b50a28b61f",
     0x1.8abea46a4b064p-2},
    {8,
     "892815d42adf496963c04f0d47f4e454"
     "69f77c74a6dbbb7277727e21033e5bba",
     0x1.b2f14fff8b901p-1},
    {13,
     "e7258094afbcc15ad63b6887ab796961"
     "7c24156cfc5d4628ca86e42a63d50528",
     0x1.d98db2de00fe7p-3},
    {21,
     "becf613793bc386ede873abd795ff7c2"
     "9846032edbeb22f8b1171a213b4f4529",
     0x1.602967508defep-1},
    {34,
     "589fe52cd0341e261f4e078e2517b554"
     "f2f3d14c867ac1c8800df5635c8c8ba2",
     0x1.9787d1760e435p-1},
};

static int cpu_workers(void)
{
    return cpus_online();
}

static void cpu_start(Worker *worker)
{
    pin_to_cpu(worker->index);
}

static void to_hex(const uint8_t *digest, char *text)
{
    static const char digits[] = "0123456789abcdef";
    int i;

    for (i = 0; i < SHA256_SIZE; i++) {
        *text++ = digits[digest[i] >> 4];
        *text++ = digits[digest[i] & 15];
    }
    *text = '\0';
}

/* Chaotic, so that one wrong bit anywhere changes the end. */
static double logistic(double x)
{
    int i;

    for (i = 0; i < LOGISTIC_STEPS; i++) {
        x = 3.9 * x * (1.0 - x);
    }
    return x;
}

static void cpu_turn(Worker *worker)
{
    unsigned which = worker->count % (sizeof(answers) / sizeof(answers[0]));
    uint8_t data[DATA_SIZE], digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    double x;

    pseudo_random(answers[which].seed, data, sizeof(data));
    sha256(data, sizeof(data), digest);
    to_hex(digest, text);
    if (strcmp(text, answers[which].digest)) {
        work_fail("cpu %d: digest %s of data %u is not %s", worker->index, text,
                  which, answers[which].digest);
    }
    x = logistic(1.0 / (answers[which].seed + 2));
    if (x != answers[which].logistic) {
        work_fail("cpu %d: %a is not %a", worker->index, x,
                  answers[which].logistic);
    }
    if (sched_getcpu() != worker->index) {
        work_fail("cpu %d: runs on CPU %d", worker->index, sched_getcpu());
    }
    worker->count++;
}

const WorkKind cpu_work = {
    .name = "cpu",
    .workers = cpu_workers,
    .start = cpu_start,
    .turn = cpu_turn,
};
