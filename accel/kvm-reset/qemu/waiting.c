/*
 * kvm-reset in QEMU: a guest that waits for what its old VM has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A confidential guest's old VM keeps its memory and its key until the kernel
 * has taken each page from it, which takes seconds to minutes.  The guest waits
 * for that twice: before a reset, if there is an old VM yet, or the host has
 * not enough for two; and after it, for the memory.  And one that asks for
 * resets too fast waits for its turn.
 *
 * Its vCPUs do not run meanwhile, its run state stays, and the main loop is
 * free.  What has gone is told by the reaper's thread; a timer looks as well.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-kvm-reset.h"
#include "qapi/qapi-types-kvm-reset.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "sysemu/kvm-reset-failures.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"

/* How often the timer looks, in ms. */
#define LOOK_EVERY 100
/* An old VM of which nothing goes for so long never goes, in ns. */
#define MOST_PATIENCE (120 * NANOSECONDS_PER_SECOND)

uint64_t kvm_reset_margin = KVM_RESET_DEFAULT_MARGIN;

typedef enum {
    WAITS_FOR_NOTHING,
    WAITS_TO_BE_RESET,
    WAITS_TO_RUN,
} Wait;

static Wait waits;
static bool asked; /* for the reset, which is about to come */
static bool for_turn;
static int cause;
static char *reason;
static int64_t since;
/* The reaper's count, and since when it is the same. */
static uint64_t progress;
static int64_t same_since;
static QEMUBH *bottom_half;
static QEMUTimer *timer;

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

/* On the reaper's thread. */
static void on_progress(void)
{
    qemu_bh_schedule(bottom_half);
}

static void stop_waiting(void)
{
    waits = WAITS_FOR_NOTHING;
    timer_del(timer);
    kvm_reset_failures_keep(false);
}

/* For a guest that did not run either: this is what a reset leads to then. */
static void stop_lost(void)
{
    if (!runstate_is_live(runstate_get())) {
        runstate_set(RUN_STATE_PRELAUNCH);
    }
    kvm_reset_failures_end();
}

/* The old VM does not go. */
static void give_up(const KvmResetStatus *status)
{
    bool lost = status->made_room || status->lost;
    const char *guest = status->made_room
                          ? "the guest has no VM, and may be reset again"
                      : lost ? "the guest cannot go on, and may be reset again"
                             : "the guest is stopped on its old VM, and may "
                               "be reset again";
    g_autofree char *why = g_strdup_printf(
        "%s, but nothing of that goes any more", reason);

    error_report("kvm-reset: %s; %s", why, guest);
    kvm_reset_give_up(why);
    if (lost) {
        kvm_reset_set_failure(why, 0);
    }
    kvm_reset_send_event(
        lost ? KVM_REBIRTH_OUTCOME_LOST : KVM_REBIRTH_OUTCOME_FAILED, why);
    if (lost) {
        stop_lost();
    } else {
        vm_stop(RUN_STATE_PAUSED);
    }
    stop_waiting();
    kvm_reset_turn_ends();
}

static void look_for_reset(const KvmResetStatus *status, bool stuck)
{
    if (asked || (for_turn && !kvm_reset_turn_comes())) {
        return;
    }
    if (!status->retiring) {
        asked = true;
        qemu_system_reset_request(cause);
    } else if (stuck) {
        give_up(status);
    }
}

static void look_for_memory(const KvmResetStatus *status, bool stuck)
{
    bool enough = status->private_left <= kvm_reset_margin;

    if (!enough && !stuck) {
        return;
    }
    if (!enough) {
        warn_report("kvm-reset: the old VM keeps its memory, and nothing of "
                    "that goes any more; the guest runs without waiting");
    }
    stop_waiting();
    resume_all_vcpus();
}

static void look(void *opaque)
{
    KvmResetStatus status;
    bool stuck;

    if (waits == WAITS_FOR_NOTHING) {
        return;
    }
    kvm_reset_status(&status, NULL, NULL, NULL);
    if (status.progress != progress) {
        progress = status.progress;
        same_since = now();
    }
    stuck = now() - same_since > MOST_PATIENCE;
    timer_mod(timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LOOK_EVERY);
    if (waits == WAITS_TO_BE_RESET) {
        look_for_reset(&status, stuck);
    } else {
        look_for_memory(&status, stuck);
    }
}

static void begin_waiting(Wait what, const char *why)
{
    bool other = waits != what || g_strcmp0(reason, why);
    char *copy = g_strdup(why);

    g_free(reason);
    reason = copy;
    if (waits == WAITS_FOR_NOTHING) {
        since = same_since = now();
    }
    waits = what;
    if (other) {
        qapi_event_send_kvm_rebirth_waiting(what == WAITS_TO_RUN, reason);
    }
    timer_mod(timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LOOK_EVERY);
}

void kvm_reset_wait_for_reset(int why_reset, const char *why, bool its_turn)
{
    KvmResetStatus status;

    kvm_reset_status(&status, NULL, NULL, NULL);
    /* What fails meanwhile is what has no VM to ask. */
    kvm_reset_failures_keep(status.made_room);
    cause = why_reset;
    for_turn = its_turn;
    asked = false;
    begin_waiting(WAITS_TO_BE_RESET, why);
}

void kvm_reset_wait_for_memory(void)
{
    KvmResetStatus status;

    kvm_reset_status(&status, NULL, NULL, NULL);
    if (status.private_left > kvm_reset_margin) {
        begin_waiting(WAITS_TO_RUN,
                      "the old VM's private memory is not given back yet");
    }
}

void kvm_reset_wait_no_more(void)
{
    if (waits != WAITS_FOR_NOTHING) {
        stop_waiting();
    }
}

bool kvm_reset_holds_vcpus(void)
{
    return waits != WAITS_FOR_NOTHING;
}

KvmResetWait *kvm_reset_qapi_wait(void)
{
    KvmResetWait *info;

    if (waits == WAITS_FOR_NOTHING) {
        return NULL;
    }
    info = g_new0(KvmResetWait, 1);
    info->reset_done = waits == WAITS_TO_RUN;
    info->reason = g_strdup(reason);
    info->duration_ns = now() - since;
    return info;
}

void kvm_reset_waiting_init(void)
{
    bottom_half = qemu_bh_new(look, NULL);
    timer = timer_new_ms(QEMU_CLOCK_REALTIME, look, NULL);
    kvm_reset_on_progress(on_progress);
}
