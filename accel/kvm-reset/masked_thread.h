/*
 * A thread that the process's signals do not reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Not std::thread: that one ends the process when there is none to be had.
 */

#ifndef KVM_RESET_MASKED_THREAD_H
#define KVM_RESET_MASKED_THREAD_H

#include <functional>
#include <pthread.h>

#include "error.h"

namespace kvm_reset {

class MaskedThread {
public:
    MaskedThread() = default;
    MaskedThread(const MaskedThread &) = delete;
    /* Whoever started it has joined it. */
    ~MaskedThread() = default;

    /* @name: at most 15 characters, with static storage. */
    Result<void> start(const char *name, std::function<void()> run);
    /* Whether it was started and not joined since. */
    bool joinable() const { return started_; }
    void join();

private:
    static void *enter(void *self);

    const char *name_ = "";
    std::function<void()> run_;
    pthread_t thread_ = {};
    bool started_ = false;
};

} /* namespace kvm_reset */

#endif
