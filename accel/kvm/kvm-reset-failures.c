/*
 * A reset in which a KVM ioctl fails that QEMU cannot do without
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices have nobody to tell when the kernel does not take their reset
 * state.  So that is noted, the reset goes on as far as it can, and at its end
 * the guest is stopped.  The next reset puts everything into the kernel anew.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "sysemu/kvm-reset-failures.h"
#include "system/runstate.h"

static bool resetting;
/* Between a reset that waits and the next one. */
static bool kept;
static char *failure;
/* What KVM has of guest memory is not what QEMU takes it to have. */
static bool slots_differ;

static bool note(const char *what, int ret)
{
    if (!qatomic_read(&resetting) && !qatomic_read(&kept)) {
        return false;
    }
    if (ret < 0) {
        error_report("kvm-reset: %s at a reset: %s", what, strerror(-ret));
    } else {
        error_report("kvm-reset: %s at a reset was not taken", what);
    }
    kvm_reset_set_failure(what, ret);
    return true;
}

void kvm_reset_report_failure(const char *what, int ret)
{
    if (!note(what, ret)) {
        abort();
    }
}

void kvm_reset_report_slot_failure(int ret)
{
    kvm_reset_report_failure("setting a memory slot", ret);
    qatomic_set(&slots_differ, true);
}

void kvm_reset_report_vcpu_failure(void)
{
    /* Why was said already. */
    if (!note("the state of a vCPU", 0)) {
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    }
}

/* Several vCPUs may have something to say; the first is the one to tell. */
void kvm_reset_set_failure(const char *what, int ret)
{
    char *text = ret < 0 ? g_strdup_printf("%s: %s", what, strerror(-ret))
                         : g_strdup(what);

    if (qatomic_cmpxchg(&failure, NULL, text)) {
        g_free(text);
    }
}

const char *kvm_reset_failure(void)
{
    return qatomic_read(&failure);
}

static int set_slot(const KVMMemoryListener *listener, const KVMSlot *slot,
                    bool wanted)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = slot->slot | listener->as_id << 16,
        .flags = wanted ? slot->flags : 0,
        .guest_phys_addr = slot->start_addr,
        .memory_size = wanted ? slot->memory_size : 0,
        .userspace_addr = (uintptr_t)slot->ram,
    };

    if (wanted && slot->guest_memfd >= 0 &&
        (slot->flags & KVM_MEM_GUEST_MEMFD)) {
        region.guest_memfd = slot->guest_memfd;
        region.guest_memfd_offset = slot->guest_memfd_offset;
        return kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION2, &region);
    }
    /* The longer struct begins as the shorter one. */
    return kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &region);
}

/* All that may be in the way goes first; what was not there is no error. */
static int set_slots_of(const KVMMemoryListener *listener)
{
    int outcome = 0;

    for (int i = 0; i < listener->nr_slots_allocated; i++) {
        set_slot(listener, &listener->slots[i], false);
    }
    for (int i = 0; i < listener->nr_slots_allocated; i++) {
        if (listener->slots[i].memory_size) {
            int ret = set_slot(listener, &listener->slots[i], true);
            outcome = outcome ?: ret;
        }
    }
    return outcome;
}

static void set_slots_again(void)
{
    int outcome = 0;

    /* Of pages that only the slots know to be dirty. */
    if (global_dirty_tracking) {
        memory_global_dirty_log_sync(false);
    }
    for (int i = 0; i < kvm_state->nr_as; i++) {
        if (kvm_state->as[i].ml) {
            int ret = set_slots_of(kvm_state->as[i].ml);
            outcome = outcome ?: ret;
        }
    }
    qatomic_set(&slots_differ, outcome != 0);
    if (outcome) {
        note("setting memory slots again", outcome);
    }
}

bool kvm_reset_is_asked_for(int cause)
{
    return cause != SHUTDOWN_CAUSE_NONE &&
           cause != SHUTDOWN_CAUSE_SUBSYSTEM_RESET &&
           cause != SHUTDOWN_CAUSE_SNAPSHOT_LOAD;
}

void kvm_reset_failures_begin(int cause)
{
    if (!kvm_enabled() || !kvm_reset_is_asked_for(cause)) {
        return;
    }
    g_free(qatomic_xchg(&failure, NULL));
    qatomic_set(&resetting, true);
}

void kvm_reset_failures_mend_slots(void)
{
    if (resetting && qatomic_read(&slots_differ)) {
        set_slots_again();
    }
}

void kvm_reset_failures_keep(bool keep)
{
    qatomic_set(&kept, keep);
}

/*
 * A guest that ran is stopped before its vCPUs run again; one that did not run
 * comes here a second time, when it is in prelaunch as after any reset.
 */
void kvm_reset_failures_end(void)
{
    bool failed = kvm_reset_failure();

    if (failed && runstate_is_live(runstate_get())) {
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    } else if (failed && runstate_check(RUN_STATE_PRELAUNCH)) {
        runstate_set(RUN_STATE_INTERNAL_ERROR);
    }
    qatomic_set(&resetting, false);
}
