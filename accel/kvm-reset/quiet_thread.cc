/*
 * A thread that the process's signals do not reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "quiet_thread.h"

#include <csignal>
#include <pthread.h>

namespace kvm_reset {

std::thread start_quiet_thread(const char *name, std::function<void()> run)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(std::move(run));
    pthread_setname_np(thread.native_handle(), name);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

} /* namespace kvm_reset */
