/*
 * kvm-reset in QEMU: what its parts in other directories share of launches that
 * somebody brings
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

/* What of a machine a launch may ask for. */
typedef struct KvmResetMachine {
    KvmResetRange ram[2];
    size_t ranges;
    KvmResetRange rom; /* firmware that can be written over */
    GArray *madt;      /* of bytes; NULL: there is none */
} KvmResetMachine;

/*
 * Under the big lock; *@machine is the caller's.  False, or NULL: nobody can
 * bring any.
 */
extern bool (*kvm_reset_describe_machine)(KvmResetMachine *machine);

/* Whether what somebody brings can be launched: the guest gets new VMs. */
bool kvm_reset_may_bring(struct Error **errp);

/* Whether the guest runs from what somebody brought.  Any thread. */
bool kvm_reset_runs_brought(void);

/* Of an IGVM file, see kvm_reset_launch_of_igvm().  Without the big lock. */
KvmResetLaunch *kvm_reset_try_launch(const void *bytes, size_t size,
                                     struct Error **errp);

/*
 * Around kvm_reset_choose_launch() of one, which needs no big lock, and these
 * do: while a launch that was brought is in use or is next, the guest does not
 * migrate.  False if it is migrating.
 */
bool kvm_reset_begin_choice(struct Error **errp);
void kvm_reset_end_choice(void);
/* After one was taken back; under the big lock. */
void kvm_reset_allow_migration_if_possible(void);

#endif
