/*
 * From what an IGVM file asks for to KVM's commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_LAUNCH_OF_IGVM_H
#define KVM_RESET_LAUNCH_OF_IGVM_H

#include "other_launch.h"

namespace kvm_reset {

/*
 * See Arch::launch_of_igvm.  ENOTSUP: this kind of guest cannot be launched
 * from a file yet; EINVAL: the file is not for this guest; EFBIG: it wants too
 * much.
 */
Result<OtherLaunch> x86_launch_of_igvm(Kernel &kernel,
                                       const Definition &recorded,
                                       std::span<const uint8_t> bytes,
                                       const LaunchHost &host);

} /* namespace kvm_reset */

#endif
