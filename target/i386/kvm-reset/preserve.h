/*
 * kvm-reset in QEMU: what of an x86 vCPU's state KVM does not tell
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_PRESERVE_H
#define TARGET_I386_KVM_RESET_PRESERVE_H

#include "sysemu/kvm-reset.h"

extern const KvmResetHook kvm_reset_vcpu_hook;

#endif
