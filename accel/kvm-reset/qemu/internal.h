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
                              const KvmResetCoreDurations *from);

/* Whether kvm-detach would be refused: see kvm_reset_may_detach(). */
bool kvm_reset_qemu_may_detach(bool by_fd, struct Error **errp);

/* Without KVM for a while; in a QEMU that may have never had it. */
bool kvm_reset_is_detached(void);

/* The guest has no VM: a reset took it down, and waits for the next one. */
bool kvm_reset_made_room(void);

/* KVM_REBIRTH, with a KvmRebirthOutcome; @why: NULL if completed. */
void kvm_reset_send_event(int outcome, const char *why);

/* --- A reset that waits (waiting.c); main loop ----------------------------- */

void kvm_reset_waiting_init(void);
/*
 * The guest waits, and the reset with this ShutdownCause is asked for again when
 * no old VM is left and, @for_turn, it has a turn.
 */
void kvm_reset_wait_for_reset(int cause, const char *why, bool for_turn);
/* After a reset: it waits until the old VM has no more than the margin. */
void kvm_reset_wait_for_memory(void);
/* A reset begins that does not wait. */
void kvm_reset_wait_no_more(void);
/* NULL if it does not wait; the caller's. */
struct KvmResetWait;
struct KvmResetWait *kvm_reset_qapi_wait(void);

/* kvm-reset-margin: bytes */
#define KVM_RESET_DEFAULT_MARGIN (64 * 1024 * 1024)
extern uint64_t kvm_reset_margin;

/* --- A guest that asks without end (limit.c); main loop -------------------- */

/* kvm-reset-guest-interval: ms; 0: there is no limit */
#define KVM_RESET_DEFAULT_INTERVAL 10000
extern uint32_t kvm_reset_guest_interval;

/* Whether a guest that asks for a reset has to wait; if not, it has a turn. */
bool kvm_reset_too_fast(int cause);
/* Whether a guest that waits for its turn has to no more. */
bool kvm_reset_turn_comes(void);
/* What the turn was for came, or comes to nothing. */
void kvm_reset_turn_ends(void);
unsigned kvm_reset_turns_left(void);

/*
 * Of @fd, or of the set /dev/fdset/N, as a command's argument names it: the
 * caller's from now on, and the monitor's no more.  A set's fits @flags.  -1 on
 * failure.  While the command is in the monitor's hands.
 */
int kvm_reset_take_descriptor(const char *name, int flags, struct Error **errp);

/* A KvmLaunchSource. */
int kvm_reset_qapi_source(KvmResetLaunchSource source);
/* Of what QEMU was started with; NULL if not launched; the caller's. */
char *kvm_reset_first_digest(void);
/* kvm-reset-measurement=same */
bool kvm_reset_wants_same_measurement(void);

/* NULL if nothing was measured; the caller's. */
struct KvmResetMeasurement;
struct KvmResetMeasurement *kvm_reset_qapi_measurement(void);

#endif
