/*
 * The fake kernel: what its VMs were told, to compare
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An fd in an argument is shown as the file that it meant, a pointer as what
 * it pointed to.
 */

#include "fake_kernel.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ostream>

#include "fake_kernel_objects.h"
#include "kvm_abi.h"
#include "user_memory.h"

using namespace kvm_reset::abi;

void PrintTo(const IssuedIoctl &issued, std::ostream *out)
{
    char text[32];

    snprintf(text, sizeof(text), " %#x(%#llx)", issued.request,
             (unsigned long long)issued.value);
    *out << issued.on << text;
    auto dump = [&](const std::vector<uint8_t> &bytes) {
        *out << " [";
        for (uint8_t byte : bytes) {
            snprintf(text, sizeof(text), "%02x", byte);
            *out << text;
        }
        *out << "]";
    };
    dump(issued.bytes);
    std::ranges::for_each(issued.pointed, dump);
}

/* A number for the file behind @fd that is the same in every VM. */
uint64_t FakeKernel::named(uint32_t fd) const
{
    FilePtr file = find(int(fd));

    if (!file) {
        return 0xbadf;
    }
    if (!file->vm) {
        return file->serial;
    }
    uint64_t name = 0xe000;
    for (unsigned char c : file->role) {
        name = name * 31 + c;
    }
    return name & 0x7fffffff;
}

/* Requests whose argument is a number, by the class of fd. */
static bool is_value(const std::string &role, uint32_t request)
{
    return request == KVM_CREATE_VM || request == KVM_CREATE_VCPU ||
           request == KVM_CHECK_EXTENSION || request == KVM_SET_TSS_ADDR ||
           request == KVM_SET_TSC_KHZ || request == KVM_SET_NR_MMU_PAGES ||
           (request == KVM_SET_BOOT_CPU_ID && role == "vm");
}

IssuedIoctl FakeKernel::describe_call(const File &file, uint32_t request,
                                      uintptr_t arg)
{
    IssuedIoctl issued{.on = file.role, .request = request};
    size_t size = (request >> 16) & 0x3fff;

    if (is_value(file.role, request)) {
        issued.value = arg;
        return issued;
    }
    if (request == KVM_REINJECT_CONTROL) {
        size = sizeof(kvm_reinject_control);
    } else if (request == KVM_MEMORY_ENCRYPT_OP) {
        size = sizeof(kvm_sev_cmd);
    }
    if (!size || !arg) {
        return issued;
    }

    struct {
        uint32_t request;
        size_t count_at, element;
    } tails[] = {
        {KVM_SET_GSI_ROUTING, offsetof(kvm_irq_routing, nr),
         sizeof(kvm_irq_routing_entry)},
        {KVM_SET_MSRS, offsetof(kvm_msrs, nmsrs), sizeof(kvm_msr_entry)},
        {KVM_SET_CPUID, offsetof(kvm_cpuid, nent), sizeof(kvm_cpuid_entry)},
        {KVM_SET_CPUID2, offsetof(kvm_cpuid2, nent), sizeof(kvm_cpuid_entry2)},
        {KVM_SET_SIGNAL_MASK, offsetof(kvm_signal_mask, len), 1},
        {KVM_SET_PMU_EVENT_FILTER, offsetof(kvm_pmu_event_filter, nevents),
         sizeof(uint64_t)},
    };
    for (auto &tail : tails) {
        if (tail.request == request) {
            size += user<uint32_t>(arg + tail.count_at) * tail.element;
        }
    }
    auto from = reinterpret_cast<const uint8_t *>(arg);
    issued.bytes.assign(from, from + size);

    auto follow = [&](auto &pointer, size_t length) {
        auto address = (const uint8_t *)pointer;
        pointer = {};
        if (address && length) {
            issued.pointed.emplace_back(address, address + length);
        }
    };
    auto name_fd = [&](auto &fd) { fd = named(uint32_t(fd)); };

    if (request == KVM_X86_SET_MSR_FILTER) {
        for (auto &range : user<kvm_msr_filter>(issued.bytes).ranges) {
            follow(range.bitmap, (range.nmsrs + 63) / 64 * 8);
        }
    } else if (request == KVM_SET_DEVICE_ATTR) {
        follow(user<kvm_device_attr>(issued.bytes).addr, sizeof(int32_t));
        if (!issued.pointed.empty()) {
            name_fd(user<int32_t>(issued.pointed[0]));
        }
    } else if (request == KVM_SET_ONE_REG) {
        follow(user<kvm_one_reg>(issued.bytes).addr, sizeof(uint64_t));
    } else if (request == KVM_ENABLE_CAP) {
        auto &cap = user<kvm_enable_cap>(issued.bytes);
        if (in_vcpu(file.role) && cap.cap == KVM_CAP_HYPERV_ENLIGHTENED_VMCS) {
            follow(cap.args[0], sizeof(uint16_t));
        } else if (cap.cap == KVM_CAP_SGX_ATTRIBUTE) {
            name_fd(cap.args[0]);
        }
    } else if (request == KVM_IRQFD) {
        auto &irqfd = user<kvm_irqfd>(issued.bytes);
        name_fd(irqfd.fd);
        if (irqfd.flags & KVM_IRQFD_FLAG_RESAMPLE) {
            name_fd(irqfd.resamplefd);
        }
    } else if (request == KVM_IOEVENTFD) {
        name_fd(user<kvm_ioeventfd>(issued.bytes).fd);
    } else if (request == KVM_SET_USER_MEMORY_REGION2) {
        auto &region = user<kvm_userspace_memory_region2>(issued.bytes);
        if (region.flags & KVM_MEM_GUEST_MEMFD) {
            name_fd(region.guest_memfd);
        }
    } else if (request == KVM_HYPERV_EVENTFD) {
        auto &eventfd = user<kvm_hyperv_eventfd>(issued.bytes);
        if (!(eventfd.flags & KVM_HYPERV_EVENTFD_DEASSIGN)) {
            name_fd(eventfd.fd);
        }
    } else if (request == KVM_CREATE_DEVICE) {
        user<kvm_create_device>(issued.bytes).fd = 0;
    }
    return issued;
}

std::vector<IssuedIoctl> FakeKernel::ioctls(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->ioctls : std::vector<IssuedIoctl>();
}

std::vector<IssuedIoctl> FakeKernel::ioctls(int fd, uint32_t request) const
{
    std::vector<IssuedIoctl> some = ioctls(fd);

    std::erase_if(some, [request](const IssuedIoctl &issued) {
        return issued.request != request;
    });
    return some;
}

size_t FakeKernel::times(uint32_t request) const
{
    std::unique_lock lock(mutex_);
    auto found = times_.find(request);

    return found == times_.end() ? 0 : found->second;
}
