/*
 * What a settled swap leaves of the VM before
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_OLD_VM_H
#define KVM_RESET_OLD_VM_H

#include <vector>

#include "error.h"
#include "journal.h"
#include "kernel.h"
#include "replica.h"
#include "vm_reaper.h"

namespace kvm_reset {

/* An exclusive thing that the old VM keeps; what it is named is borrowed. */
struct SkippedEntry {
    EntryPtr entry;
    int old_fd; /* the old VM's, or its device's */
};

struct OldVm {
    DeadVm vm; /* its fds by index in the objects of its snapshot */
    std::vector<SkippedEntry> skipped{}; /* … with them */
};

/* @fds keep it alive. */
DeadVm dead_vm(const Snapshot &snapshot, std::vector<Fd> fds, VmName name);

/*
 * Takes away each region that the old VM has encrypted: the kernel unpins it,
 * and writes back what its caches have of it, whoever else keeps the VM.  Says
 * how many there were.
 */
Result<size_t> take_regions_away(Kernel &kernel, const Snapshot &snapshot,
                                 const OldVm &old);

} /* namespace kvm_reset */

#endif
