/*
 * kvm-reset in QEMU: what its C files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_QEMU_INTERNAL_H
#define KVM_RESET_QEMU_INTERNAL_H

#include "accel/kvm-reset/c_api.h"

/* x-change-vmfd-on-reset: an ordinary guest wants a new VM at each reset. */
extern bool kvm_reset_wanted;

/* While the guest gets a new VM and goes on, not reset. */
extern bool kvm_reset_preserving;

/* Whether the guest can be asked for its state now. */
bool kvm_reset_may_preserve(struct Error **errp);

/* Hands on @err with what has become of the guest. */
void kvm_reset_error_end(struct Error **errp, struct Error *err,
                         const char *guest);

/* The names of the pieces of state that were carried last; the caller's. */
struct strList;
struct strList *kvm_reset_qapi_pieces(void);

/* Into the base of what the monitor answers; the rest of it is 0. */
struct KvmResetDurations;
void kvm_reset_qapi_durations(struct KvmResetDurations *to,
                              const KvmResetTimes *from);

/* Whether kvm-detach would be refused: see kvm_reset_may_detach(). */
bool kvm_reset_qemu_may_detach(bool by_fd, struct Error **errp);

/* Without KVM for a while; in a QEMU that may have never had it. */
bool kvm_reset_is_detached(void);

/* Into QEMU's own bitmaps, before something goes that knows of them. */
void kvm_reset_collect_dirty_pages(void);

/* NULL if nothing was measured; the caller's. */
struct KvmResetMeasurement;
struct KvmResetMeasurement *kvm_reset_qapi_measurement(void);

#endif
