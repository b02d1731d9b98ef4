/*
 * kvm-reset-measure: what its command line asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_MEASURE_OPTIONS_H
#define KVM_RESET_MEASURE_OPTIONS_H

#include <cstdint>
#include <span>
#include <string>

#include "error.h"
#include "igvm_model.h"
#include "input_files.h"
#include "measure.h"

namespace kvm_reset {

struct MeasureOptions {
    Tee tee = Tee::Sev;
    std::string ovmf;
    unsigned vcpus = 1;
    uint32_t cpu_signature = 0;
    uint64_t sev_features = 0;
    bool legacy_vm_type = false;
    bool launch_checks = true;
    TdxPages tdx_pages = TdxPages::OnePass;
    KernelFiles files;
    /* Instead of firmware, vCPUs and kernel: */
    std::string igvm;
    IgvmModel model;
    ZeroPages zero_pages = ZeroPages::Zero;
    /* In any case: */
    bool json = false;
    /* Instead of all that: */
    bool help = false;
    bool list_vcpu_types = false;
};

/* @arguments as main() has them, without the program's name. */
Result<MeasureOptions> parse_measure_options(std::span<char *const> arguments);

/* Of --tee: "sev-es". */
const char *to_string(Tee tee);

/* A text of several lines. */
extern const char measure_help[];

} /* namespace kvm_reset */

#endif
