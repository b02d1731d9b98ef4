/*
 * Measuring one call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <benchmark/benchmark.h>

#include "kvm_abi.h"

/* Fd and request are unknown to the compiler, as they are in QEMU's funnel. */
template <class Call> void measure(benchmark::State &state, Call call)
{
    int fd = -1;
    unsigned long request = kvm_reset::abi::KVM_RUN;

    for (auto _ : state) {
        benchmark::DoNotOptimize(fd);
        benchmark::DoNotOptimize(request);
        benchmark::DoNotOptimize(call(fd, request, nullptr));
    }
}

#endif
