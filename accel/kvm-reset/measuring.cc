/*
 * Measuring a launch while the platform is at work on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "measuring.h"

#include <cerrno>

#include "arch.h"

namespace kvm_reset {

Measuring::Measuring(Definition definition)
    : definition_(std::move(definition)),
      outcome_(fail(ENODATA, "nothing was launched"))
{
    if (definition_.plan.state() != LaunchState::Finished || !arch()) {
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
    outcome_ = arch()->measure(definition_);
}

const Result<LaunchMeasurement> &Measuring::wait()
{
    if (thread_.joinable()) {
        thread_.join();
    }
    return outcome_;
}

} /* namespace kvm_reset */
