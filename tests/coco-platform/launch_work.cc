/*
 * How long the platform itself worked on a launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_work.h"

#include "log.h"

namespace coco {

/* What makes the guest, and can be done before there is anything in it. */
static bool is_definition(uint32_t type, uint32_t command)
{
    if (type == KVM_X86_TDX_VM) {
        return command == KVM_TDX_INIT_VM || command == KVM_TDX_INIT_VCPU;
    }
    return command == KVM_SEV_INIT || command == KVM_SEV_ES_INIT ||
           command == KVM_SEV_INIT2 || command == KVM_SEV_LAUNCH_START ||
           command == KVM_SEV_SNP_LAUNCH_START;
}

LaunchWork::~LaunchWork()
{
    uint64_t took = now() - began_;
    if (is_definition(vm_->type(), command_)) {
        vm_->definition_ns += took;
    } else {
        vm_->launch_ns += took;
    }
    if (vm_->launched && !was_launched_) {
        log_event("launch_work", vm_->number())
            .number("definition_us",
                    static_cast<int64_t>(vm_->definition_ns / 1000))
            .number("launch_us", static_cast<int64_t>(vm_->launch_ns / 1000));
    }
}

} // namespace coco
