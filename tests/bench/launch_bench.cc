/*
 * A launch that somebody brings: how long it takes to try a file, for how long
 * others wait meanwhile, and what a reset into it costs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On the fake kernel of the unit tests, whose launch is next to nothing, so
 * that what remains is ours.
 */

#include <algorithm>
#include <ctime>
#include <vector>

#include <benchmark/benchmark.h>

#include "arch.h"
#include "igvm_launch.h"
#include "igvm_parts.h"
#include "reset_vcpu.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t file_size = 16 << 20;
constexpr uint64_t where = 32 << 20;

/* What is launched has 16 MiB. */
struct LargeGuest : SnpGuest {
    std::vector<uint8_t> pages = std::vector<uint8_t>(file_size);

    LargeGuest()
    {
        for (size_t i = 0; i < pages.size(); i++) {
            pages[i] = uint8_t(i * 7 + i / 4096);
        }
        reset_vcpus(*this);
        update(where, pages.data(), pages.size(), 1);
        finish();
    }

    /* What would launch the same. */
    std::vector<uint8_t> file() const
    {
        IgvmWriter writer = igvm_writer_for({{Platform::SevSnp, snp_mask}});
        for (uint64_t at = 0; at < file_size; at += page_size) {
            writer.add(
                page_at(where + at,
                        writer.data(std::span(pages).subspan(at, page_size)),
                        snp_mask));
        }
        const VmsaPage area = vmsa_page(
            initial_vmsa(reset_vector, signature, 1));
        for (uint16_t vcpu = 0; vcpu < vcpus.size(); vcpu++) {
            writer.add(context_at(vcpu, writer.data(area), snp_mask));
        }
        return writer.build();
    }

    OtherLaunchPtr bring(const std::vector<uint8_t> &bytes)
    {
        auto launch = arch()->launch_of_igvm(kernel, recorder.recorded(), bytes,
                                             {});
        return launch ? std::make_shared<OtherLaunch>(std::move(*launch))
                      : nullptr;
    }
};

/*
 * All that a guest or an operator waits for; none of it under a lock.  CPU time
 * of the thread that waits: others hash at its side.
 */
void whole(benchmark::State &state)
{
    LargeGuest guest;
    const std::vector<uint8_t> bytes = guest.file();

    for (auto _ : state) {
        std::vector<uint8_t> copy(bytes);
        auto launch = arch()->launch_of_igvm(
            guest.kernel, guest.recorder.recorded(), copy, {});
        if (!launch) {
            state.SkipWithError(launch.error().what.c_str());
            break;
        }
    }
}
BENCHMARK(whole)->Name("launch/16 MiB/tried")->Unit(benchmark::kMillisecond);

/*
 * Who has QEMU's big lock may wait for the recorder's.  Of what is given up
 * here somebody else has a share, so it is not wiped, which comes after the
 * lock.
 */
void locked(benchmark::State &state)
{
    LargeGuest guest;
    OtherLaunchPtr launch = guest.bring(guest.file());

    if (!launch) {
        state.SkipWithError("the file was refused");
        return;
    }
    for (auto _ : state) {
        benchmark::DoNotOptimize(guest.recorder.recorded());
        guest.recorder.choose_launch(LaunchSource::Guest, launch, false);
    }
}
BENCHMARK(locked)
    ->Name("launch/16 MiB/under the lock")
    ->Unit(benchmark::kMillisecond);

/* ms; what others do meanwhile is not in it, and is the same in both. */
double now()
{
    timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

/* A reset in turn into what was recorded and into the same as a file. */
void resets(benchmark::State &state)
{
    LargeGuest guest;
    OtherLaunchPtr launch = guest.bring(guest.file());
    std::vector<double> more;

    for (auto _ : state) {
        double took[2];
        for (bool brought : {false, true}) {
            guest.recorder.choose_launch(LaunchSource::Guest,
                                         brought ? launch : nullptr, false);
            double begin = now();
            if (!launch || !guest.reset()) {
                state.SkipWithError("a reset failed");
                return;
            }
            took[brought] = now() - begin;
            if (!guest.generations.before_run()) {
                state.SkipWithError("the guest cannot run");
                return;
            }
            guest.generations.drain();
        }
        more.push_back(took[1] - took[0]);
    }
    std::ranges::sort(more);
    state.counters["added"] = more[more.size() / 2];
}
BENCHMARK(resets)
    ->Name("launch/16 MiB/reset")
    ->Unit(benchmark::kMillisecond)
    ->Iterations(20);

} /* namespace */
