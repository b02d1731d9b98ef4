/*
 * Issuing an entry's ioctl again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_ISSUE_H
#define KVM_RESET_ISSUE_H

#include <string>

#include "error.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

/*
 * Issues @entry's ioctl, or the one that takes it away, on @fd.  @objects
 * gives the numbers of the objects that the argument names; nullptr: those
 * that userspace knows.  Fails if the kernel takes less than all.
 */
Result<void> issue(Kernel &kernel, const Entry &entry, int fd,
                   const FdOf &objects);
Result<void> issue_removal(Kernel &kernel, const Entry &entry, int fd,
                           const FdOf &objects);

/* @arg, which is @entry's or made from it, with the fds of @objects. */
LiveArgument live_in(const Entry &entry, const Argument &arg,
                     const FdOf &objects);

/* As the system call, until no signal comes in between. */
int issue_uninterrupted(Kernel &kernel, int fd, uint32_t request,
                        LiveArgument &arg);

/* "KVM_CREATE_VCPU 3": the ioctl and what it is about. */
std::string describe(const Entry &entry);

} /* namespace kvm_reset */

#endif
