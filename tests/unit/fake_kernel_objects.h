/*
 * What the fake kernel has behind its fds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the parts of the fake kernel alone.
 */

#ifndef TESTS_UNIT_FAKE_KERNEL_OBJECTS_H
#define TESTS_UNIT_FAKE_KERNEL_OBJECTS_H

#include "fake_coco.h"
#include "fake_kernel.h"
#include "fake_slots.h"

struct FakeKernel::Vm {
    std::vector<IssuedIoctl> ioctls;
    std::map<std::string, uint64_t> made; /* roles, by first use */
    std::set<uint64_t> vcpus;
    FakeSlots slots;
    std::set<std::pair<uint64_t, uint32_t>> irqfds;
    std::set<std::vector<uint64_t>> ioeventfds;
    std::set<uint64_t> vfio_files;
    FakeCoco coco;
    FakeState state;
    bool irqchip = false, vfio = false;
    unsigned memfds = 0;
};

struct FakeKernel::File {
    std::string name; /* as /proc/self/fd shows it */
    std::string role; /* within its VM */
    uint64_t serial;
    std::shared_ptr<Vm> vm;
    std::vector<uint8_t> memory{};
};

inline bool in_vcpu(const std::string &role)
{
    return role.starts_with("vcpu");
}

#endif
