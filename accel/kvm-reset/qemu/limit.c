/*
 * kvm-reset in QEMU: a guest that asks for resets without end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To launch a confidential guest costs the whole host: caches are flushed on
 * all CPUs, and the firmware does one thing at a time.  So a guest has some
 * resets at once, and then one in each interval.  An operator has as many as
 * he likes.
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "system/runstate.h"
#include "internal.h"

/* Resets that a guest has at once. */
#define BURST 5

uint32_t kvm_reset_guest_interval = KVM_RESET_DEFAULT_INTERVAL;

/* When the last of the resets so far would be due, one in each interval. */
static int64_t due;

static int64_t interval_ns(void)
{
    return (int64_t)kvm_reset_guest_interval * SCALE_MS;
}

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

bool kvm_reset_is_the_guests(int cause)
{
    return cause == SHUTDOWN_CAUSE_GUEST_RESET;
}

int64_t kvm_reset_turn(void)
{
    return MAX(due - (BURST - 1) * interval_ns(), 0);
}

void kvm_reset_take_turn(void)
{
    due = MAX(due, now()) + interval_ns();
}

unsigned kvm_reset_turns_left(void)
{
    int64_t used = due - now();

    if (!kvm_reset_guest_interval || used <= 0) {
        return BURST;
    }
    used = DIV_ROUND_UP(used, interval_ns());
    return used < BURST ? BURST - used : 0;
}
