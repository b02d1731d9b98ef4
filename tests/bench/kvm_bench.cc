/*
 * On the machine's KVM: recorded ioctls, and a rebirth by its phases
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Without /dev/kvm these are skipped and say so.
 */

#include <algorithm>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <benchmark/benchmark.h>

#include "kvm_abi.h"
#include "reset.h"
#include "recorder.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

/* A VM with an irqchip, 10 slots and some vCPUs. */
struct RealGuest {
    std::unique_ptr<Kernel> kernel = make_system_kernel("/dev/kvm");
    Observer observer;
    Recorder recorder{*kernel, observer};
    Registry registry;
    Generations generations{recorder, registry};
    int kvm = kernel->open_kvm();
    int vm = recorder.ioctl(kvm, KVM_CREATE_VM, 0);
    size_t run_size = std::max(0,
                               recorder.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    int eventfds[2] = {::eventfd(0, 0), ::eventfd(0, 0)};
    void *memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::vector<std::pair<int, void *>> vcpus;

    static constexpr size_t size = 1 << 20;

    explicit RealGuest(unsigned count)
    {
        recorder.ioctl(vm, KVM_CREATE_IRQCHIP, 0);
        for (uint32_t i = 0; i < 10; i++) {
            slot(i, size);
        }
        for (unsigned id = 0; id < count && vm >= 0; id++) {
            int fd = recorder.ioctl(vm, KVM_CREATE_VCPU, id);
            void *run = nullptr;
            recorder.mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                          fd, 0, &run);
            vcpus.push_back({fd, run});
        }
    }

    ~RealGuest()
    {
        for (auto [fd, run] : vcpus) {
            recorder.munmap(run, run_size);
            recorder.close(fd);
        }
        if (vm >= 0) {
            recorder.close(vm);
        }
        if (kvm >= 0) {
            recorder.close(kvm);
        }
        close(eventfds[0]);
        close(eventfds[1]);
        munmap(memory, size);
    }

    int slot(uint32_t id, uint64_t bytes)
    {
        kvm_userspace_memory_region region{.slot = id,
                                           .guest_phys_addr = uint64_t(id)
                                                           << 24,
                                           .memory_size = bytes,
                                           .userspace_addr = uint64_t(memory)};
        return recorder.ioctl(vm, KVM_SET_USER_MEMORY_REGION,
                              uintptr_t(&region));
    }

    bool usable(benchmark::State &state) const
    {
        if (vm < 0) {
            state.SkipWithError("no usable /dev/kvm");
        }
        return vm >= 0;
    }

    int call(bool ours, int fd, uint32_t request, void *arg)
    {
        return ours ? recorder.ioctl(fd, request, uintptr_t(arg))
                    : kernel->ioctl(fd, request, uintptr_t(arg));
    }
};

double median(std::vector<uint64_t> &values)
{
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/*
 * The same call with and without the recorder, in turn on one VM, since such
 * calls wait for each other inside KVM.  @change makes the argument of call
 * @i; what it is about differs by @ours.  Adding and taking away cost
 * different times in KVM: a median of each, then their mean.
 */
template <class Change>
void recorded(const char *name, uint32_t request, Change change)
{
    auto run = [=](benchmark::State &state) {
        RealGuest guest(2);
        if (!guest.usable(state)) {
            return;
        }
        std::vector<uint64_t> times[2][2];
        for (auto _ : state) {
            for (unsigned i = 0; i < 400; i++) {
                for (bool second : {false, true}) {
                    /* Who comes second may wait for the first one's RCU. */
                    bool ours = second != (i / 2 % 2 == 1);
                    int fd = request == KVM_SET_CPUID2 ? guest.vcpus[ours].first
                                                       : guest.vm;
                    void *arg = change(guest, i, ours);
                    uint64_t began = guest.kernel->now();
                    if (guest.call(ours, fd, request, arg) < 0) {
                        state.SkipWithError("this KVM refuses the ioctl");
                        return;
                    }
                    times[ours][i % 2].push_back(guest.kernel->now() - began);
                }
            }
        }
        for (bool ours : {false, true}) {
            state.counters[ours ? "ours" : "bare"] = (median(times[ours][0]) +
                                                      median(times[ours][1])) /
                                                     2;
        }
    };
    benchmark::RegisterBenchmark((std::string("KVM/") + name).c_str(), run)
        ->Iterations(1)
        ->Repetitions(1);
}

[[maybe_unused]] const bool registered = [] {
    recorded("slot toggle", KVM_SET_USER_MEMORY_REGION,
             [](RealGuest &guest, unsigned i, bool ours) -> void * {
                 static kvm_userspace_memory_region region;
                 region = {.slot = 20u + ours,
                           .guest_phys_addr = (20ull + ours) << 24,
                           .memory_size = i % 2 ? 0 : RealGuest::size,
                           .userspace_addr = uint64_t(guest.memory)};
                 return &region;
             });
    recorded("irqfd toggle", KVM_IRQFD,
             [](RealGuest &guest, unsigned i, bool ours) -> void * {
                 static kvm_irqfd what;
                 what = {.fd = uint32_t(guest.eventfds[ours]),
                         .gsi = 5,
                         .flags = i % 2 ? KVM_IRQFD_FLAG_DEASSIGN : 0};
                 return &what;
             });
    recorded("ioeventfd toggle", KVM_IOEVENTFD,
             [](RealGuest &guest, unsigned i, bool ours) -> void * {
                 static kvm_ioeventfd what;
                 what = {.addr = 0xfe000000ull + ours * 0x1000,
                         .len = 4,
                         .fd = guest.eventfds[ours],
                         .flags = i % 2 ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0};
                 return &what;
             });
    recorded("32 routes", KVM_SET_GSI_ROUTING,
             [](RealGuest &, unsigned i, bool) -> void * {
                 static kvm_irq_routing_of<32> routing;
                 for (uint32_t gsi = 0; gsi < 32; gsi++) {
                     routing.entries[gsi].gsi = gsi;
                     routing.entries[gsi].type = KVM_IRQ_ROUTING_MSI;
                     routing.entries[gsi].u.msi.address_lo = 0xfee00000;
                     routing.entries[gsi].u.msi.data = 0x20 + i % 100;
                 }
                 return &routing;
             });
    recorded("CPUID of 50 entries", KVM_SET_CPUID2,
             [](RealGuest &, unsigned i, bool) -> void * {
                 static kvm_cpuid2_of<50> cpuid;
                 for (uint32_t leaf = 0; leaf < 50; leaf++) {
                     cpuid.entries[leaf].function = 0x40000000 + leaf;
                     cpuid.entries[leaf].eax = i;
                 }
                 return &cpuid;
             });
    return true;
}();

/* A rebirth; the counters are medians in milliseconds. */
void rebirths(benchmark::State &state)
{
    RealGuest guest(state.range(0));
    if (!guest.usable(state)) {
        return;
    }
    std::vector<uint64_t> prepare, commit, total, retire;

    for (auto _ : state) {
        Result<Durations> done = reset(guest.generations);
        if (!done) {
            state.SkipWithError(done.error().what.c_str());
            return;
        }
        state.PauseTiming();
        prepare.push_back(done->prepare);
        commit.push_back(done->commit);
        total.push_back(done->total);
        guest.generations.drain();
        retire.push_back(guest.generations.status().retire);
        state.ResumeTiming();
    }
    state.counters["prepare"] = median(prepare) / 1e6;
    state.counters["commit"] = median(commit) / 1e6;
    state.counters["total"] = median(total) / 1e6;
    state.counters["retire"] = median(retire) / 1e6;
}
BENCHMARK(rebirths)
    ->Name("rebirth")
    ->ArgName("vCPUs")
    ->Arg(2)
    ->Arg(8)
    ->Iterations(40)
    ->Repetitions(1)
    ->Unit(benchmark::kMillisecond);

} /* namespace */
