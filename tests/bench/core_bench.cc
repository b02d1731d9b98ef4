/*
 * What an ioctl that is recorded pays beyond its system call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On a kernel that does nothing, so that all the time is the core's.
 */

#include <sys/eventfd.h>
#include <unistd.h>

#include <benchmark/benchmark.h>

#include "bare_ioctl.h"
#include "kvm_abi.h"
#include "recorder.h"

using namespace uapi;

namespace {

/* A VM with a vCPU and a few things in its journal already. */
struct BareGuest {
    BareKernel kernel;
    kvm_reset::Observer observer;
    kvm_reset::Recorder recorder{kernel, observer};
    int kvm = kernel.open_kvm();
    int vm = recorder.ioctl(kvm, create_vm, 0);
    int vcpu = recorder.ioctl(vm, create_vcpu, 0);
    int eventfd = ::eventfd(0, 0);

    BareGuest()
    {
        for (uint32_t i = 0; i < 500; i++) {
            Region region{.slot = 1000 + i, .size = 0x1000};
            recorder.ioctl(vm, set_user_memory_region, uintptr_t(&region));
        }
    }
    ~BareGuest() { close(eventfd); }

    int call(bool ours, int fd, uint32_t request, uintptr_t arg)
    {
        return ours ? recorder.ioctl(fd, request, arg)
                    : kernel.ioctl(fd, request, arg);
    }
};

void recorded(const char *name, uint32_t request,
              void (*change)(BareGuest &, void *arg, unsigned i),
              int BareGuest::*target, size_t size, void (*init)(void *arg))
{
    for (bool ours : {false, true}) {
        benchmark::RegisterBenchmark(
            (std::string("recorded/") + name + (ours ? "/ours" : "/bare"))
                .c_str(),
            [=](benchmark::State &state) {
                BareGuest guest;
                std::vector<uint8_t> arg(size);
                init(arg.data());
                unsigned i = 0;
                for (auto _ : state) {
                    change(guest, arg.data(), i++);
                    benchmark::DoNotOptimize(guest.call(
                        ours, guest.*target, request, uintptr_t(arg.data())));
                }
                if (guest.recorder.blocker()) {
                    state.SkipWithError(guest.recorder.blocker()->c_str());
                }
            });
    }
}

template <class T> T &as(void *arg)
{
    return *static_cast<T *>(arg);
}

[[maybe_unused]] const bool registered = [] {
    recorded(
        "slot toggle", set_user_memory_region,
        [](BareGuest &, void *arg, unsigned i) {
            as<Region>(arg).size = i % 2 ? 0 : 0x1000;
        },
        &BareGuest::vm, sizeof(Region), [](void *) {});
    recorded(
        "irqfd toggle", irqfd,
        [](BareGuest &guest, void *arg, unsigned i) {
            as<Irqfd>(arg).fd = guest.eventfd;
            as<Irqfd>(arg).flags = i % 2 ? irqfd_deassign : 0;
        },
        &BareGuest::vm, sizeof(Irqfd), [](void *) {});
    recorded(
        "ioeventfd toggle", ioeventfd,
        [](BareGuest &guest, void *arg, unsigned i) {
            as<Ioeventfd>(arg).fd = guest.eventfd;
            as<Ioeventfd>(arg).flags = i % 2 ? ioeventfd_deassign : 0;
        },
        &BareGuest::vm, sizeof(Ioeventfd), [](void *) {});
    recorded(
        "32 routes", set_gsi_routing,
        [](BareGuest &, void *arg, unsigned i) {
            as<Routing<32>>(arg).routes[31].pin = i;
        },
        &BareGuest::vm, sizeof(Routing<32>),
        [](void *arg) { as<Routing<32>>(arg) = {}; });
    recorded(
        "CPUID of 50 entries", set_cpuid2,
        [](BareGuest &, void *arg, unsigned i) {
            as<Cpuid2<50>>(arg).entries[49].eax = i;
        },
        &BareGuest::vcpu, sizeof(Cpuid2<50>),
        [](void *arg) { as<Cpuid2<50>>(arg) = {}; });
    recorded(
        "capability", enable_cap,
        [](BareGuest &, void *arg, unsigned i) {
            as<EnableCap>(arg).args[0] = i;
        },
        &BareGuest::vm, sizeof(EnableCap),
        [](void *arg) { as<EnableCap>(arg).cap = 116; });
    recorded(
        "feature MSR", set_msrs,
        [](BareGuest &, void *arg, unsigned i) {
            as<Msrs<1>>(arg).msrs[0].data = i;
        },
        &BareGuest::vcpu, sizeof(Msrs<1>),
        [](void *arg) { as<Msrs<1>>(arg) = {.msrs = {{.index = 0x10a}}}; });
    return true;
}();

} /* namespace */
