/*
 * What the platform measures while a guest is launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_LAUNCH_MEASUREMENT_H
#define KVM_RESET_LAUNCH_MEASUREMENT_H

#include <string>

namespace kvm_reset {

struct LaunchMeasurement {
    std::string tee;    /* "sev", "sev-es", "snp", "tdx" */
    std::string digest; /* in hexadecimal */
    bool operator==(const LaunchMeasurement &) const = default;
};

} /* namespace kvm_reset */

#endif
