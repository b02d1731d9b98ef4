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

using namespace kvm_reset::abi;

namespace {

/* A VM with a vCPU and a few things in its journal already. */
struct BareGuest {
    BareKernel kernel;
    kvm_reset::Observer observer;
    kvm_reset::Recorder recorder{kernel, observer};
    int kvm = kernel.open_kvm();
    int vm = recorder.ioctl(kvm, KVM_CREATE_VM, 0);
    int vcpu = recorder.ioctl(vm, KVM_CREATE_VCPU, 0);
    int eventfd = ::eventfd(0, 0);

    BareGuest()
    {
        for (uint32_t i = 0; i < 500; i++) {
            kvm_userspace_memory_region region{.slot = 1000 + i,
                                               .memory_size = 0x1000};
            recorder.ioctl(vm, KVM_SET_USER_MEMORY_REGION, uintptr_t(&region));
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
        "slot toggle", KVM_SET_USER_MEMORY_REGION,
        [](BareGuest &, void *arg, unsigned i) {
            as<kvm_userspace_memory_region>(arg).memory_size = i % 2 ? 0
                                                                     : 0x1000;
        },
        &BareGuest::vm, sizeof(kvm_userspace_memory_region), [](void *) {});
    recorded(
        "irqfd toggle", KVM_IRQFD,
        [](BareGuest &guest, void *arg, unsigned i) {
            as<kvm_irqfd>(arg).fd = guest.eventfd;
            as<kvm_irqfd>(arg).flags = i % 2 ? KVM_IRQFD_FLAG_DEASSIGN : 0;
        },
        &BareGuest::vm, sizeof(kvm_irqfd), [](void *) {});
    recorded(
        "ioeventfd toggle", KVM_IOEVENTFD,
        [](BareGuest &guest, void *arg, unsigned i) {
            as<kvm_ioeventfd>(arg).fd = guest.eventfd;
            as<kvm_ioeventfd>(arg).flags = i % 2 ? KVM_IOEVENTFD_FLAG_DEASSIGN
                                                 : 0;
        },
        &BareGuest::vm, sizeof(kvm_ioeventfd), [](void *) {});
    recorded(
        "32 routes", KVM_SET_GSI_ROUTING,
        [](BareGuest &, void *arg, unsigned i) {
            as<kvm_irq_routing_of<32>>(arg).entries[31].u.irqchip.pin = i;
        },
        &BareGuest::vm, sizeof(kvm_irq_routing_of<32>),
        [](void *arg) { as<kvm_irq_routing_of<32>>(arg) = {}; });
    recorded(
        "CPUID of 50 entries", KVM_SET_CPUID2,
        [](BareGuest &, void *arg, unsigned i) {
            as<kvm_cpuid2_of<50>>(arg).entries[49].eax = i;
        },
        &BareGuest::vcpu, sizeof(kvm_cpuid2_of<50>),
        [](void *arg) { as<kvm_cpuid2_of<50>>(arg) = {}; });
    recorded(
        "capability", KVM_ENABLE_CAP,
        [](BareGuest &, void *arg, unsigned i) {
            as<kvm_enable_cap>(arg).args[0] = i;
        },
        &BareGuest::vm, sizeof(kvm_enable_cap),
        [](void *arg) { as<kvm_enable_cap>(arg).cap = KVM_CAP_HALT_POLL; });
    recorded(
        "feature MSR", KVM_SET_MSRS,
        [](BareGuest &, void *arg, unsigned i) {
            as<kvm_msrs_of<1>>(arg).entries[0].data = i;
        },
        &BareGuest::vcpu, sizeof(kvm_msrs_of<1>),
        [](void *arg) {
            as<kvm_msrs_of<1>>(arg) = {.entries = {{.index = 0x10a}}};
        });
    return true;
}();

} /* namespace */
