/*
 * A thread that the process's signals do not reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_QUIET_THREAD_H
#define KVM_RESET_QUIET_THREAD_H

#include <functional>
#include <thread>

namespace kvm_reset {

/* @name: at most 15 characters.  The caller joins it. */
std::thread start_quiet_thread(const char *name, std::function<void()> run);

} /* namespace kvm_reset */

#endif
