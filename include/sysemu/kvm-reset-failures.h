/*
 * A reset in which a KVM ioctl fails that QEMU cannot do without
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSEMU_KVM_RESET_FAILURES_H
#define SYSEMU_KVM_RESET_FAILURES_H

/**
 * kvm_reset_is_asked_for - whether the guest or its operator asked for it
 * @cause: a ShutdownCause
 *
 * QEMU also resets devices when it starts and when it loads a snapshot.
 */
bool kvm_reset_is_asked_for(int cause);

/**
 * kvm_reset_failures_begin - devices are going to be reset
 * @cause: a ShutdownCause
 *
 * If that was asked for, failures are noted from here to
 * kvm_reset_failures_end().  vCPUs are stopped; under the big lock.
 */
void kvm_reset_failures_begin(int cause);

/**
 * kvm_reset_failures_mend_slots - sets all memory slots again, if one could
 * not be set at the reset before
 *
 * Between these two, before devices are reset.  It deletes them first, so the
 * VM must be one that may lose what is in them.
 */
void kvm_reset_failures_mend_slots(void);

/**
 * kvm_reset_report_failure - a KVM ioctl failed that QEMU cannot do without
 * @what: which one; @ret: what it returned, a negative errno
 *
 * In a reset: says so, and has kvm_reset_failures_end() stop the guest; the
 * caller goes on as if nothing had happened.  Otherwise it is abort().  Any
 * thread.
 */
void kvm_reset_report_failure(const char *what, int ret);
#define kvm_reset_report_ioctl_failure(request, ret)                           \
    kvm_reset_report_failure(#request, ret)

/* The same, of a memory slot: the next reset sets all of them again. */
void kvm_reset_report_slot_failure(int ret);

/* The same, of a vCPU's state; otherwise the guest is stopped at once. */
void kvm_reset_report_vcpu_failure(void);

/**
 * kvm_reset_failures_end - stops the guest with `internal-error` if the reset
 * failed
 *
 * When qemu_system_reset() is over, before vCPUs run again, and once more when
 * the run state is that of a guest which was reset.  Main loop.
 */
void kvm_reset_failures_end(void);

/**
 * kvm_reset_failures_keep - whether failures are noted after this reset, too
 *
 * For one that waits: the guest may have no VM meanwhile, so nothing that is
 * asked of KVM works.  Main loop.
 */
void kvm_reset_failures_keep(bool keep);

/* Why the guest cannot run after this reset; any thread.  @ret: an errno or 0 */
void kvm_reset_set_failure(const char *what, int ret);

/* Why the guest was stopped by the last reset; NULL: it was not.  Borrowed. */
const char *kvm_reset_failure(void);

#endif
