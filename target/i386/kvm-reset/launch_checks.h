/*
 * Would QEMU launch this guest on KVM?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A digest can be computed of any file. One that no guest can have misleads
 * the owner who waits for it, so these checks come first.
 */

#ifndef KVM_RESET_LAUNCH_CHECKS_H
#define KVM_RESET_LAUNCH_CHECKS_H

#include "error.h"
#include "measure.h"

namespace kvm_reset {

/* Bytes of a kernel that check_kernel() wants to see, from its beginning. */
constexpr size_t kernel_header_size = 0x206;

/*
 * @firmware and the vCPUs of @guest.  EINVAL: QEMU or KVM takes no such
 * guest; the sentence says what to use instead.
 */
Result<void> check_guest(const Guest &guest);

/*
 * The beginning of the file that QEMU gets by -kernel.  EINVAL: QEMU hashes
 * no such kernel.  An empty one passes: published digests are of such.
 */
Result<void> check_kernel(Bytes beginning);

} /* namespace kvm_reset */

#endif
