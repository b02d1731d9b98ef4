/*
 * Measuring a launch while the platform is at work on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "measuring.h"

#include <cerrno>

namespace kvm_reset {

Measuring::Measuring(uint64_t vm_type, Snapshot snapshot)
    : vm_type_(vm_type), snapshot_(std::move(snapshot)),
      outcome_(fail(ENODATA, "nothing was launched"))
{
    if (snapshot_.plan.state() != LaunchState::Finished || !arch()) {
        return;
    }
    /* A thread that cannot be had is no reason for a reset to fail. */
    if (!thread_.start("kvm-measure", [this] { run(); })) {
        run();
    }
}

Measuring::~Measuring()
{
    wait();
}

void Measuring::run()
{
    outcome_ = arch()->measure(vm_type_, snapshot_);
}

const Result<LaunchMeasurement> &Measuring::wait()
{
    if (thread_.joinable()) {
        thread_.join();
    }
    return outcome_;
}

} /* namespace kvm_reset */
