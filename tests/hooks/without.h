/*
 * Forced into the compilation of accel/kvm-reset/qemu/hooks.c: a QEMU that
 * registers every hook but KVM_RESET_WITHOUT
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_WITHOUT_H
#define KVM_RESET_WITHOUT_H

#include "sysemu/kvm-reset.h"

static inline int kvm_reset_add_hook_but(const KvmResetHook *hook, char **why)
{
    return __builtin_strcmp(hook->name, KVM_RESET_WITHOUT)
             ? kvm_reset_add_hook(hook, why)
             : 0;
}

#define kvm_reset_add_hook kvm_reset_add_hook_but

#endif
