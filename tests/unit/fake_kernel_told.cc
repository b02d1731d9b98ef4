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
#include <cstdio>
#include <cstring>
#include <ostream>

#include "fake_kernel_objects.h"
#include "kvm_abi.h"

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
        size = 32;
    } else if (request == KVM_MEMORY_ENCRYPT_OP) {
        size = 24;
    }
    if (!size || !arg) {
        return issued;
    }

    struct {
        uint32_t request;
        size_t count_at, element;
    } tails[] = {
        {KVM_SET_GSI_ROUTING, 0, 48}, {KVM_SET_MSRS, 0, 16},
        {KVM_SET_CPUID, 0, 24},       {KVM_SET_CPUID2, 0, 40},
        {KVM_SET_SIGNAL_MASK, 0, 1},  {KVM_SET_PMU_EVENT_FILTER, 4, 8},
    };
    for (auto &tail : tails) {
        if (tail.request == request) {
            size += field(arg, tail.count_at, 4) * tail.element;
        }
    }
    auto from = reinterpret_cast<const uint8_t *>(arg);
    issued.bytes.assign(from, from + size);

    auto follow = [&](size_t offset, size_t length) {
        auto address = reinterpret_cast<const uint8_t *>(field(arg, offset, 8));
        memset(issued.bytes.data() + offset, 0, 8);
        if (address && length) {
            issued.pointed.emplace_back(address, address + length);
        }
    };
    auto name_fd = [&](std::vector<uint8_t> &bytes, size_t offset) {
        uint32_t fd;
        memcpy(&fd, bytes.data() + offset, 4);
        fd = uint32_t(named(fd));
        memcpy(bytes.data() + offset, &fd, 4);
    };

    if (request == KVM_X86_SET_MSR_FILTER) {
        for (size_t at = 8; at < 392; at += 24) {
            follow(at + 16, (field(arg, at + 4, 4) + 63) / 64 * 8);
        }
    } else if (request == KVM_SET_DEVICE_ATTR) {
        follow(16, 4);
        if (!issued.pointed.empty()) {
            name_fd(issued.pointed[0], 0);
        }
    } else if (request == KVM_SET_ONE_REG) {
        follow(8, 8);
    } else if (request == KVM_ENABLE_CAP) {
        if (in_vcpu(file.role) &&
            field(arg, 0, 4) == KVM_CAP_HYPERV_ENLIGHTENED_VMCS) {
            follow(8, 2);
        } else if (field(arg, 0, 4) == KVM_CAP_SGX_ATTRIBUTE) {
            name_fd(issued.bytes, 8);
        }
    } else if (request == KVM_IRQFD) {
        name_fd(issued.bytes, 0);
        if (field(arg, 8, 4) & KVM_IRQFD_FLAG_RESAMPLE) {
            name_fd(issued.bytes, 12);
        }
    } else if (request == KVM_IOEVENTFD) {
        name_fd(issued.bytes, 20);
    } else if (request == KVM_SET_USER_MEMORY_REGION2) {
        if (field(arg, 4, 4) & KVM_MEM_GUEST_MEMFD) {
            name_fd(issued.bytes, 40);
        }
    } else if (request == KVM_HYPERV_EVENTFD && !(field(arg, 8, 4) & 1)) {
        name_fd(issued.bytes, 4);
    } else if (request == KVM_CREATE_DEVICE) {
        memset(issued.bytes.data() + 4, 0, 4);
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
