/*
 * The save area of a vCPU, as KVM fills it in for the launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_VMSA_H
#define COCO_VMSA_H

#include <array>
#include <cstdint>

#include "abi.h"

namespace coco {

using Vmsa = std::array<uint8_t, kPage>;

/**
 * Reads the vCPU's registers from the real KVM.  with_fpu: x87 and SSE state
 * too, which Linux leaves out for VMs of the default type.  0 or -errno.
 */
int read_vmsa(int vcpu_fd, uint64_t sev_features, bool with_fpu, Vmsa *vmsa);

} // namespace coco

#endif
