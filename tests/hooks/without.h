/*
 * Forced into the compilation of accel/kvm-reset/qemu/register.c: a QEMU that
 * registers every hook but KVM_RESET_WITHOUT
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_WITHOUT_H
#define KVM_RESET_WITHOUT_H

#include "accel/kvm-reset/c_api.h"

static inline bool kvm_reset_add_hook_but(const void *owner, const char *name,
                                          const KvmResetHook *hook,
                                          struct Error **errp)
{
    return !__builtin_strcmp(hook->name, KVM_RESET_WITHOUT) ||
           kvm_reset_add_hook(owner, name, hook, errp);
}

#define kvm_reset_add_hook kvm_reset_add_hook_but

#endif
