/*
 * The definition of a VM: the journal, and the launch that comes after it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_DEFINITION_H
#define KVM_RESET_DEFINITION_H

#include <vector>

#include "journal.h"
#include "launch_plan.h"

namespace kvm_reset {

/* At one moment. */
struct Definition : Snapshot {
    uint64_t vm_type = 0; /* the argument of KVM_CREATE_VM */
    LaunchPlan plan;      /* goes last */
    uint64_t other = 0;   /* which OtherLaunch that is; 0: the recorded one */
};

/* In the order in which they were created. */
inline std::vector<ObjectId> vcpus_of(const Snapshot &snapshot)
{
    std::vector<ObjectId> vcpus;

    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::Vcpu) {
            vcpus.push_back(object.id);
        }
    }
    return vcpus;
}

/*
 * What @entry defines of a confidential guest, or nullptr: there are no
 * sub-commands but a launch's.
 */
inline const LaunchStep *launch_step(const Entry &entry)
{
    return static_cast<const LaunchStep *>(entry.sub_command.get());
}

} /* namespace kvm_reset */

#endif
