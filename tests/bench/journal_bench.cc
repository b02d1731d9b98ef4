/*
 * What the journal of a large guest takes, and that it stays so
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <sys/eventfd.h>
#include <unistd.h>

#include <benchmark/benchmark.h>

#include "bare_ioctl.h"
#include "guest.h"

using namespace kvm_reset::abi;

namespace {

/* 64 vCPUs and as many devices as such a machine has. */
void define_large_guest(Guest &guest)
{
    guest.kernel.feature_msrs.clear();
    for (uint32_t i = 0; i < 24; i++) {
        guest.kernel.feature_msrs.push_back(0x480 + i);
    }
    guest.recorder.close(guest.vm);
    guest.vm = guest.ioctl(guest.kvm, KVM_CREATE_VM, 0);
    guest.define_a_bit_of_everything();

    for (unsigned id = 2; id < 64; id++) {
        int vcpu = guest.vcpu(id);
        guest.map(vcpu);
        guest.ioctl(vcpu, KVM_SET_CPUID2, kvm_cpuid2_of<50>{});
        kvm_msrs_of<24> msrs;
        for (uint32_t i = 0; i < 24; i++) {
            msrs.entries[i].index = 0x480 + i;
        }
        guest.ioctl(vcpu, KVM_SET_MSRS, msrs);
        guest.ioctl(vcpu, KVM_SET_SIGNAL_MASK, kvm_signal_mask_of<8>{});
        guest.ioctl(vcpu, KVM_GET_STATS_FD);
    }
    for (uint32_t i = 0; i < 64; i++) {
        guest.slot(16 + i, 0x100000, i << 24);
    }
    for (uint32_t i = 0; i < 256; i++) {
        guest.irqfd(guest.kernel.eventfd(), 24 + i);
        guest.ioeventfd(guest.kernel.eventfd(), 0xfe000000 + i * 4);
    }
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, kvm_irq_routing_of<512>{});
}

void journal_size(benchmark::State &state)
{
    Guest guest;
    define_large_guest(guest);
    for (auto _ : state) {
        benchmark::DoNotOptimize(guest.recorder.snapshot());
    }
    state.counters["bytes"] = guest.recorder.footprint();
    state.counters["entries"] = guest.recorder.entries();
}
BENCHMARK(journal_size)->Name("journal/64 vCPUs");

/* 10 million of each; the time is that of all. */
void toggles(benchmark::State &state)
{
    constexpr unsigned count = 10'000'000;
    BareKernel kernel;
    kvm_reset::Observer observer;
    kvm_reset::Recorder recorder(kernel, observer);
    int vm = recorder.ioctl(kernel.open_kvm(), KVM_CREATE_VM, 0);
    int eventfd = ::eventfd(0, 0);
    kvm_irq_routing_of<2> routing;
    auto toggle = [&](unsigned i) {
        kvm_userspace_memory_region region{.slot = 1,
                                           .memory_size = i % 2 ? 0u : 0x1000u};
        recorder.ioctl(vm, KVM_SET_USER_MEMORY_REGION, uintptr_t(&region));
        kvm_irqfd irq{.fd = uint32_t(eventfd),
                      .gsi = 5,
                      .flags = i % 2 ? KVM_IRQFD_FLAG_DEASSIGN : 0};
        recorder.ioctl(vm, KVM_IRQFD, uintptr_t(&irq));
        routing.entries[1].u.irqchip.pin = i;
        recorder.ioctl(vm, KVM_SET_GSI_ROUTING, uintptr_t(&routing));
    };

    for (auto _ : state) {
        toggle(0);
        size_t bytes = recorder.footprint(), entries = recorder.entries();
        for (unsigned i = 1; i <= count; i++) {
            toggle(i);
        }
        state.counters["grown bytes"] = double(recorder.footprint()) -
                                        double(bytes);
        state.counters["grown entries"] = double(recorder.entries()) -
                                          double(entries);
    }
    close(eventfd);
    if (recorder.blocker()) {
        state.SkipWithError(recorder.blocker()->c_str());
    }
}
BENCHMARK(toggles)
    ->Name("journal/10 million toggles")
    ->Iterations(1)
    ->Repetitions(1)
    ->Unit(benchmark::kSecond);

} /* namespace */
