/*
 * What the recorder's two halves share: a call, and telling of a change
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_RECORDER_CALL_H
#define KVM_RESET_RECORDER_CALL_H

#include "recorder.h"

namespace kvm_reset {

/* Tells the listener, when it goes, if the definition changed meanwhile. */
class Recorder::Announcer {
public:
    explicit Announcer(const Recorder &recorder)
        : recorder_(recorder), before_(recorder.journal_.version())
    {}
    ~Announcer()
    {
        if (recorder_.listener_ && recorder_.journal_.version() != before_) {
            recorder_.listener_();
        }
    }

private:
    const Recorder &recorder_;
    const uint64_t before_;
};

/* One ioctl on its way to the kernel. */
struct Recorder::Call {
    const Row *row;
    ObjectId target;
    int fd;
    uint32_t request;
    uintptr_t arg;
    const void *code_address;
};

} /* namespace kvm_reset */

#endif
