/*
 * kvm-reset in QEMU: what its parts in other directories share of launches that
 * a guest brings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_QEMU_LAUNCHES_H
#define KVM_RESET_QEMU_LAUNCHES_H

#include "accel/kvm-reset/c_api.h"

/* kvm-reset-launch-memory: bytes */
#define KVM_RESET_DEFAULT_LAUNCH_MEMORY (64 * 1024 * 1024)
extern uint64_t kvm_reset_launch_memory;

/* What the guest shared outlives its reset; not so at first. */
extern bool kvm_reset_keeps_shared;

#endif
