/*
 * kvm-reset in QEMU: a guest that asks for resets without end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To launch a confidential guest costs the whole host: caches are flushed on
 * all CPUs, and the firmware does one thing at a time.  So a guest has some
 * resets at once, and then one in each interval.  An operator has as many as
 * are asked for.
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "system/runstate.h"
#include "internal.h"

/* Resets that a guest has at once. */
#define BURST 5

uint32_t kvm_reset_guest_interval = KVM_RESET_DEFAULT_INTERVAL;

/* Turns that it has used, and since when it waits for one of them again. */
static unsigned used;
static int64_t since;
/* It has a turn for the reset that waits, and needs no other one. */
static bool has_turn;

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

static int64_t interval_ns(void)
{
    return (int64_t)kvm_reset_guest_interval * SCALE_MS;
}

/* The interval may have changed. */
static void regain_turns(void)
{
    int64_t turns;

    if (!kvm_reset_guest_interval) {
        used = 0;
        return;
    }
    turns = MIN(used, (now() - since) / interval_ns());
    used -= turns;
    since += turns * interval_ns();
}

bool kvm_reset_turn_comes(void)
{
    regain_turns();
    return used < BURST;
}

bool kvm_reset_too_fast(int cause)
{
    if (cause != SHUTDOWN_CAUSE_GUEST_RESET || has_turn) {
        return false;
    }
    if (!kvm_reset_turn_comes()) {
        return true;
    }
    if (!used++) {
        since = now();
    }
    has_turn = true;
    return false;
}

void kvm_reset_turn_ends(void)
{
    has_turn = false;
}

unsigned kvm_reset_turns_left(void)
{
    regain_turns();
    return BURST - used;
}
