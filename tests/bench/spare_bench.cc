/*
 * What a spare costs those who have it: who changes the definition, and a VM
 * of which nothing changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On a kernel that does nothing, so that the spare's thread follows as fast as
 * it can, which is when it is most in the way.
 */

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include <benchmark/benchmark.h>

#include "bare_ioctl.h"
#include "kvm_abi.h"
#include "generations.h"
#include "recorder.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

constexpr unsigned changes = 10000;
constexpr auto while_idle = std::chrono::milliseconds(200);

struct SpareGuest {
    BareKernel kernel;
    Observer observer;
    Recorder recorder{kernel, observer};
    Registry registry;
    Generations generations{recorder, registry};
    int kvm = kernel.open_kvm();
    int vm = recorder.ioctl(kvm, KVM_CREATE_VM, 0);

    explicit SpareGuest(bool spare)
    {
        for (uint32_t i = 0; i < 100; i++) {
            slot(1000 + i, 0x1000);
        }
        generations.keep_spare(spare);
        generations.drain();
    }

    void slot(uint32_t id, uint64_t size)
    {
        kvm_userspace_memory_region region{.slot = id, .memory_size = size};
        recorder.ioctl(vm, KVM_SET_USER_MEMORY_REGION, uintptr_t(&region));
    }
};

/* CPU time of the thread that makes the changes. */
void burst(benchmark::State &state, bool spare)
{
    SpareGuest guest(spare);

    for (auto _ : state) {
        for (unsigned i = 0; i < changes; i++) {
            guest.slot(i % 8, i % 16 < 8 ? 0x1000 : 0);
        }
    }
}
BENCHMARK_CAPTURE(burst, bare, false)->Name("spare/10,000 changes/bare");
BENCHMARK_CAPTURE(burst, ours, true)->Name("spare/10,000 changes/ours");

int64_t cpu_time(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return int64_t(t.tv_sec) * 1000000000 + t.tv_nsec;
}

/* This thread sleeps and wakes up, which is not the spare's doing. */
int64_t cpu_time_of_the_other_threads()
{
    return cpu_time(CLOCK_PROCESS_CPUTIME_ID) -
           cpu_time(CLOCK_THREAD_CPUTIME_ID);
}

void idle(benchmark::State &state)
{
    SpareGuest guest(true);
    int64_t used = 0, times = 0;

    for (auto _ : state) {
        int64_t before = cpu_time_of_the_other_threads();
        std::this_thread::sleep_for(while_idle);
        used += cpu_time_of_the_other_threads() - before;
        times++;
    }
    /* The two clocks are read one after the other: below 0 is 0. */
    state.counters["us of CPU in a second"] = std::max<int64_t>(used, 0) / 1e3 /
                                              times *
                                              (1000.0 / while_idle.count());
}
BENCHMARK(idle)->Name("spare/idle")->Iterations(2);

} /* namespace */
