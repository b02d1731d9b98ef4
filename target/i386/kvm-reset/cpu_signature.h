/*
 * The signature (CPUID 1, EAX) of the CPU models that QEMU has for SEV hosts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_CPU_SIGNATURE_H
#define KVM_RESET_CPU_SIGNATURE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"

namespace kvm_reset {

/*
 * EAX of CPUID 1 for an AMD CPU (AMD64 APM volume 3, appendix E.3.2); a
 * family above 15 goes into the extended field.  EINVAL: does not fit:
 * family 0 to 270, model 0 to 255, stepping 0 to 15.
 */
Result<uint32_t> cpu_signature(unsigned family, unsigned model,
                               unsigned stepping);

/* Of QEMU's -cpu @name, such as EPYC-Milan or EPYC-v4. */
Result<uint32_t> cpu_signature_of(std::string_view name);

/* All the names that cpu_signature_of() knows. */
std::vector<std::string> cpu_names();

} /* namespace kvm_reset */

#endif
