/*
 * Measuring a launch while the platform is at work on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To hash megabytes takes milliseconds, which the guest need not wait for:
 * a thread does it beside the launch, which takes longer.
 */

#ifndef KVM_RESET_MEASURING_H
#define KVM_RESET_MEASURING_H

#include "definition.h"
#include "launch_measurement.h"
#include "masked_thread.h"

namespace kvm_reset {

class Measuring {
public:
    /* Begins, on a thread of its own if there can be one. */
    explicit Measuring(Definition definition);
    Measuring(const Measuring &) = delete;
    ~Measuring();

    const Result<LaunchMeasurement> &wait();

private:
    void run();

    const Definition definition_;
    Result<LaunchMeasurement> outcome_;
    MaskedThread thread_;
};

} /* namespace kvm_reset */

#endif
