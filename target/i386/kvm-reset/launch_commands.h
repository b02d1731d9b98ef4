/*
 * The sub-commands of KVM_MEMORY_ENCRYPT_OP on x86: SEV and TDX
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_LAUNCH_COMMANDS_H
#define TARGET_I386_KVM_RESET_LAUNCH_COMMANDS_H

#include <span>

#include "launch_command.h"

namespace kvm_reset {

/* For tests and for the documentation's tables. */
std::span<const LaunchCommand> sev_commands();
std::span<const LaunchCommand> tdx_commands();

/* See Arch::launch_command. */
const LaunchCommand *x86_launch_command(uint64_t vm_type, FdClass on,
                                        uint32_t id);

} /* namespace kvm_reset */

#endif
