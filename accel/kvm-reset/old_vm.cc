/*
 * The VM before
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "old_vm.h"

#include <unistd.h>

#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset {

static size_t index_of(const Snapshot &snapshot, ObjectId id)
{
    return size_t(snapshot.object(id) - snapshot.objects.data());
}

Result<size_t> take_regions_away(Kernel &kernel, const Snapshot &snapshot,
                                 const OldVm &old)
{
    size_t regions = 0;

    for (const EntryPtr &entry : snapshot.entries) {
        if (entry->row->request != abi::KVM_MEMORY_ENCRYPT_REG_REGION) {
            continue;
        }
        int fd = old.vm.fds[index_of(snapshot, entry->target)].get();
        if (auto gone = issue_removal(kernel, *entry, fd, nullptr); !gone) {
            return std::unexpected(gone.error());
        }
        regions++;
    }
    return regions;
}

/* The first one was made by the process's first thread, and has its number. */
static std::string debugfs_of(const Snapshot &snapshot, VmName name)
{
    if (!name.thread) {
        name.thread = getpid();
        for (const Object &object : snapshot.objects) {
            name.number = object.kind == FdClass::Vm ? object.fd : name.number;
        }
    }
    return format("/sys/kernel/debug/kvm/%d-%d", name.thread, name.number);
}

DeadVm dead_vm(const Snapshot &snapshot, std::vector<Fd> fds, VmName name)
{
    constexpr Field size = field_of(&abi::kvm_create_guest_memfd::size);
    DeadVm dead{.fds = std::move(fds), .debugfs = debugfs_of(snapshot, name)};

    for (const EntryPtr &entry : snapshot.entries) {
        if (entry->row->creates == FdClass::GuestMemfd) {
            int fd = dead.fds[index_of(snapshot, entry->order)].get();
            dead.memory.push_back({fd, entry->arg.read(size)});
        }
    }
    return dead;
}

} /* namespace kvm_reset */
