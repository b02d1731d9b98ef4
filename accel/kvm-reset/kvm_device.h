/*
 * The KVM device, for a VM to be created on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It may no longer be there for this process: QEMU has given up root since, or
 * changed its root directory, or was given a descriptor that is gone.  The one
 * that is open still makes VMs then.
 */

#ifndef KVM_RESET_KVM_DEVICE_H
#define KVM_RESET_KVM_DEVICE_H

#include "error.h"
#include "kernel.h"

namespace kvm_reset {

/* Opens it anew.  What is no KVM (any more) is an error, too. */
Result<Fd> open_kvm_device(Kernel &kernel);

/* Opens it anew or, where that fails, duplicates @in_use. */
Result<Fd> another_kvm_device(Kernel &kernel, int in_use);
Result<Fd> duplicate_kvm_device(Kernel &kernel, int fd);

/* Fails unless @fd, which is called @name, is KVM's device. */
Result<void> must_be_kvm(Kernel &kernel, int fd, const char *name);

} /* namespace kvm_reset */

#endif
