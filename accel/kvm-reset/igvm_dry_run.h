/*
 * An IGVM file, executed against a model of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nothing of the guest is touched. What comes out is all that a launcher
 * needs, so that a file that was accepted cannot fail for its contents later:
 * every page lies in the guest's memory, none twice; every area is filled and
 * inserted once; every vCPU that has a context is there.
 */

#ifndef KVM_RESET_IGVM_DRY_RUN_H
#define KVM_RESET_IGVM_DRY_RUN_H

#include "igvm_plan.h"

namespace kvm_reset {

/*
 * Executes what @file has for @platform.  ENOENT: nothing; EINVAL: it cannot
 * be executed, on this guest or on any; EFBIG: it wants too much.
 */
Result<IgvmPlan> dry_run(const IgvmFile &file, igvm::Platform platform,
                         const IgvmGuest &guest);

} /* namespace kvm_reset */

#endif
