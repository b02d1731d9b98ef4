/*
 * What an ioctl that is not recorded pays
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A system call takes a hundred times longer than what is looked for, and
 * varies by more than it; so the inline function is measured around a call
 * that does nothing.  system_call_bench.cc has the same around real ones.
 */

#include <sys/ioctl.h>

#include <benchmark/benchmark.h>

#include "bare_ioctl.h"
#include "measure.h"

/* The header's inline function, around bare_ioctl(). */
#define ioctl bare_ioctl
#define kvm_reset_ioctl kvm_reset_bare_ioctl
#include "sysemu/kvm-reset.h"
#undef ioctl
#undef kvm_reset_ioctl

namespace {

void passthrough_bare(benchmark::State &state)
{
    measure(state, [](int fd, unsigned long request, void *arg) {
        return bare_ioctl(fd, request, arg);
    });
}
BENCHMARK(passthrough_bare)->Name("passthrough/bare");

void passthrough_ours(benchmark::State &state)
{
    measure(state, [](int fd, unsigned long request, void *arg) {
        return kvm_reset_bare_ioctl(fd, request, arg);
    });
}
BENCHMARK(passthrough_ours)->Name("passthrough/ours");

} /* namespace */

BENCHMARK_MAIN();
