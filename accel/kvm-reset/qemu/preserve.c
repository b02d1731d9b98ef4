/*
 * kvm-reset in QEMU: a new VM for a guest that goes on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The vCPUs stop for it, and nobody is told: the run state stays, devices are
 * not stopped, clocks go on.  What devices do meanwhile waits: for the big
 * lock, for ioctls to be allowed again, or in the eventfd of an interrupt.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-kvm-reset.h"
#include "qapi/qapi-types-run-state.h"
#include "qapi/util.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"

bool kvm_reset_may_preserve(Error **errp)
{
    RunState now = runstate_get();

    if (!kvm_enabled()) {
        error_setg(errp, "KVM is not in use");
        return false;
    }
    if (now == RUN_STATE_INMIGRATE || now == RUN_STATE_RESTORE_VM) {
        error_setg(errp, "the guest's state is being loaded");
        return false;
    }
    if (now == RUN_STATE_FINISH_MIGRATE || now == RUN_STATE_SAVE_VM ||
        now == RUN_STATE_COLO) {
        error_setg(errp, "the guest's state is being saved");
        return false;
    }
    return true;
}

void kvm_reset_error_end(Error **errp, Error *err, const char *guest)
{
    error_setg(errp, "%s; %s", error_get_pretty(err), guest);
    error_free(err);
}

strList *kvm_reset_qapi_pieces(void)
{
    strList *list = NULL, **tail = &list;
    const char *name;

    for (unsigned i = 0; (name = kvm_reset_preserved(i)); i++) {
        QAPI_LIST_APPEND(tail, g_strdup(name));
    }
    return list;
}

KvmRebirthPause *qmp_kvm_rebirth(bool preserve, Error **errp)
{
    Error *err = NULL;
    KvmRebirthPause *answer;
    KvmResetPause pause;
    int64_t began, stopped, moved, resumed;

    if (!preserve) {
        error_setg(errp, "a guest that runs can only have a new VM with all "
                         "its state: preserve must be true");
        return NULL;
    }
    if (!kvm_reset_may_preserve(errp)) {
        return NULL;
    }
    if (!kvm_reset_preserve_prepare(&err)) {
        kvm_reset_error_end(errp, err, "the guest keeps its VM");
        return NULL;
    }
    began = get_clock();
    pause_all_vcpus();
    stopped = get_clock();
    kvm_reset_preserve(&pause, &err);
    moved = get_clock();
    resume_all_vcpus();
    resumed = get_clock();
    kvm_reset_preserve_end();
    if (err) {
        kvm_reset_error_end(errp, err, "the guest keeps its VM");
        return NULL;
    }

    answer = g_new0(KvmRebirthPause, 1);
    kvm_reset_qapi_durations(qapi_KvmRebirthPause_base(answer),
                             &pause.durations);
    answer->total_ns = resumed - began;
    answer->stop_ns = stopped - began;
    answer->resume_ns = resumed - moved;
    answer->spare = pause.used_spare;
    answer->bytes = pause.bytes;
    answer->pieces = kvm_reset_qapi_pieces();
    return answer;
}
