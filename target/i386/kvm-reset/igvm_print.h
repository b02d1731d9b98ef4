/*
 * IGVM files and what becomes of them, in lines for people
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_PRINT_H
#define TARGET_I386_KVM_RESET_IGVM_PRINT_H

#include <string>

#include "igvm_launch.h"

namespace kvm_reset {

/* Its headers, in their order; pages that follow each other are one line. */
std::string describe(const IgvmFile &file);

/* What is launched, in its order.  @digest of size 0: nothing is measured. */
std::string describe(const IgvmLaunch &launch, const IgvmX86Guest &guest,
                     const Digest &digest);

} /* namespace kvm_reset */

#endif
