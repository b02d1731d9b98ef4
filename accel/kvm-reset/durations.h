/*
 * How long the steps of a transaction took
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_DURATIONS_H
#define KVM_RESET_DURATIONS_H

#include <cstdint>

#include "recorder.h"

namespace kvm_reset {

/* Durations in nanoseconds. */
struct Durations {
    uint64_t quiesce = 0; /* hooks before anything is touched */
    uint64_t prepare = 0; /* building the replica */
    uint64_t state = 0;   /* carrying the guest's state, if it is preserved */
    uint64_t commit = 0;  /* moving exclusive resources and the swap */
    uint64_t launch = 0;  /* taking the confidential launch again */
    uint64_t hooks = 0;   /* hooks on the new VM */
    uint64_t retire = 0;  /* closing the old VM, where that is waited for */
    uint64_t total = 0;
    bool spare = false; /* the replica had been prepared before */
};

/* Adds the time until it goes to a duration, and reports the step. */
class Timer {
public:
    Timer(Recorder &recorder, const char *step, uint64_t &duration)
        : recorder_(recorder), step_(step), duration_(duration),
          began_(recorder.kernel().now())
    {}
    ~Timer()
    {
        uint64_t took = recorder_.kernel().now() - began_;
        duration_ += took;
        recorder_.observer().step(step_, {}, took);
    }
    Timer(const Timer &) = delete;
    Timer &operator=(const Timer &) = delete;

private:
    Recorder &recorder_;
    const char *step_;
    uint64_t &duration_;
    uint64_t began_;
};

} /* namespace kvm_reset */

#endif
