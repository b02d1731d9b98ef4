/*
 * The steps of a launch that an IGVM file asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the file leaves to the host is as at the first launch: the contents of
 * CPUID pages, the host's data in the report, a TD's HOB.
 */

#ifndef KVM_RESET_STEPS_OF_IGVM_H
#define KVM_RESET_STEPS_OF_IGVM_H

#include <vector>

#include "definition.h"
#include "igvm_launch.h"
#include "launch_memory.h"

namespace kvm_reset {

/* The error for a file of which @most_bytes cannot be kept. */
std::unexpected<Error> too_much(uint64_t most_bytes);

/*
 * Copies of all that @launch needs, no more than @most_bytes; @memory is that
 * of @recorded, which was launched.  EINVAL: there is no such memory in the
 * guest; EFBIG: it is too much.
 */
Result<std::vector<PlannedStep>> steps_of_igvm(Kernel &kernel,
                                               const Definition &recorded,
                                               const LaunchMemory &memory,
                                               const IgvmLaunch &launch,
                                               uint64_t most_bytes);

} /* namespace kvm_reset */

#endif
