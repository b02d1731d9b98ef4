/*
 * kvm-reset in QEMU: the reset path
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-kvm-reset.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-failures.h"
#include "system/runstate.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"
#include "launches.h"

bool kvm_reset_wanted;

static bool refused;

bool kvm_reset_possible(void)
{
    KvmResetStatus status;

    if (!kvm_enabled()) {
        return false;
    }
    kvm_reset_status(&status, NULL, NULL, NULL);
    return status.restartable;
}

void kvm_reset_send_event(int outcome, const char *why)
{
    g_autoptr(KvmResetMeasurement) measurement = NULL;
    bool completed = outcome == KVM_REBIRTH_OUTCOME_COMPLETED;
    KvmResetLaunches launches;
    KvmResetStatus status;
    bool has_launch;

    kvm_reset_status(&status, NULL, NULL, NULL);
    if (completed) {
        measurement = kvm_reset_qapi_measurement();
    }
    kvm_reset_launches(&launches);
    has_launch = (launches.digest ||
                  launches.source != KVM_RESET_LAUNCH_START) &&
                 outcome != KVM_REBIRTH_OUTCOME_LOST;
    qapi_event_send_kvm_rebirth(
        status.generation, outcome, completed ? status.last.total : 0, why,
        measurement, has_launch, kvm_reset_qapi_source(launches.source),
        has_launch ? launches.digest : NULL);
    kvm_reset_launches_free(&launches);
}

bool kvm_reset_refused(void)
{
    return refused;
}

static KvmResetOutcome wait_for_reset(int cause, const char *why, bool for_turn)
{
    refused = true;
    kvm_reset_wait_for_reset(cause, why, for_turn);
    return KVM_RESET_REFUSED;
}

KvmResetOutcome kvm_reset_begin(int cause)
{
    g_autoptr(Error) err = NULL;
    KvmResetStatus status;
    bool needed, possible, waits;
    const char *why;

    refused = false;
    if (kvm_reset_is_detached()) {
        refused = true;
        error_report("kvm-reset: the guest is detached from KVM, so it is not "
                     "reset");
        return KVM_RESET_REFUSED;
    }
    if (!kvm_enabled() || !kvm_reset_is_asked_for(cause)) {
        return KVM_RESET_KEPT;
    }
    kvm_reset_status(&status, NULL, NULL, NULL);
    needed = !cpus_are_resettable();
    /*
     * A guest that is not launched yet has not run either.  One that is but
     * whose vCPUs are not locked (SEV) could be reset where it is, though
     * what was measured may not be there any more.
     */
    if (status.launching && needed && !runstate_check(RUN_STATE_PRELAUNCH)) {
        refused = true;
        error_report("kvm-reset: the guest's launch is not finished");
        return KVM_RESET_REFUSED;
    }
    if (!status.made_room) {
        kvm_reset_wait_no_more();
    }
    if (status.launching || !(needed || status.launched || kvm_reset_wanted)) {
        return KVM_RESET_KEPT;
    }

    if (status.launched && kvm_reset_too_fast(cause)) {
        return wait_for_reset(cause, "the guest asks for resets too fast",
                              true);
    }
    possible = status.restartable;
    if (kvm_reset_rebirth(&waits, &err)) {
        kvm_reset_turn_ends();
        kvm_reset_wait_no_more();
        kvm_reset_send_event(KVM_REBIRTH_OUTCOME_COMPLETED, NULL);
        return KVM_RESET_REBORN;
    }

    why = error_get_pretty(err);
    if (waits) {
        return wait_for_reset(cause, why, false);
    }
    kvm_reset_turn_ends();
    kvm_reset_wait_no_more();
    kvm_reset_status(&status, NULL, NULL, NULL);
    kvm_reset_send_event(status.lost ? KVM_REBIRTH_OUTCOME_LOST
                         : !possible ? KVM_REBIRTH_OUTCOME_REFUSED
                                     : KVM_REBIRTH_OUTCOME_FAILED,
                         why);
    if (status.lost) {
        kvm_reset_set_failure(why, 0);
        error_report("kvm-reset: %s; the guest cannot go on, but may be "
                     "reset again",
                     why);
        return KVM_RESET_REFUSED;
    }
    /* What was brought goes into its memory when it has a new VM. */
    if (needed || (!status.launched && kvm_reset_runs_brought())) {
        refused = true;
        error_report("kvm-reset: %s; the guest is stopped on its old VM, "
                     "and may be reset again",
                     why);
        vm_stop(RUN_STATE_PAUSED);
        return KVM_RESET_REFUSED;
    }
    warn_report("kvm-reset: %s; the guest is reset on its old VM", why);
    return KVM_RESET_KEPT;
}

/* As after QEMU's own start: the new vCPUs know nothing yet. */
static void put_full_state(CPUState *cpu, run_on_cpu_data unused)
{
    Error *err = NULL;
    int ret = kvm_arch_put_registers(cpu, KVM_PUT_FULL_STATE, &err);

    if (ret) {
        if (!err) {
            error_setg_errno(&err, -ret, "KVM refused it");
        }
        error_reportf_err(
            err, "kvm-reset: the state of a vCPU, number %d: ", cpu->cpu_index);
        kvm_reset_set_failure("the state of a vCPU", ret);
    }
    cpu->vcpu_dirty = false;
}

void kvm_reset_finish(void)
{
    Error *err = NULL;
    KvmResetStatus status;
    CPUState *cpu;

    if (cpus_are_resettable()) {
        CPU_FOREACH(cpu)
        {
            run_on_cpu(cpu, put_full_state, RUN_ON_CPU_NULL);
        }
    }
    if (!kvm_reset_before_run(&err)) {
        kvm_reset_set_failure(error_get_pretty(err), 0);
        error_reportf_err(err, "kvm-reset: ");
        return;
    }
    /* Into the memory that it has by then. */
    if (!kvm_reset_write_launch(&err)) {
        qapi_event_send_kvm_launch_update(false, NULL, error_get_pretty(err));
        warn_reportf_err(err, "kvm-reset: the guest runs from the host's "
                              "firmware: ");
        kvm_reset_allow_migration_if_possible();
    }
    kvm_reset_status(&status, NULL, NULL, NULL);
    if (status.waited_ns) {
        warn_report_once("kvm-reset: resets come faster than the kernel takes "
                         "down old VMs, so they wait");
    }
    if (status.launching) {
        info_report("kvm-reset: the guest waits for its owner, as "
                    "it did when it was started");
        vm_stop(RUN_STATE_PAUSED);
    }
    kvm_reset_wait_for_memory();
}
