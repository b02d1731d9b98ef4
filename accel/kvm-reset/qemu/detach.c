/*
 * kvm-reset in QEMU: a guest without KVM, for a while
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest is paused, as by `stop`, and everything of KVM's is closed.  Until
 * it is attached again the monitors have only the commands that are marked where
 * they are defined: with the QAPI feature allow-detached, or the flag "d".  A
 * guest whose VM had to make room has those of allow-without-vm, "n", as well.
 */

#include "qemu/osdep.h"
#include "migration/blocker.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-kvm-reset.h"
#include "qapi/qapi-commands-misc.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"

static Error *blocker;
/* Of the guest that is detached. */
static RunState state_before;
static int64_t stopped_at;

/* --- Commands ------------------------------------------------------------- */

bool kvm_reset_command_available(const char *name, bool allow_detached,
                                 bool allow_without_vm, Error **errp)
{
    if (!allow_detached && kvm_reset_is_detached()) {
        error_setg(errp,
                   "The guest is detached from KVM, so there is no '%s' "
                   "before kvm-attach",
                   name);
        return false;
    }
    if (!allow_detached && !allow_without_vm && kvm_reset_made_room()) {
        error_setg(errp,
                   "The guest has no VM until it is reset, so there is no '%s' "
                   "before that",
                   name);
        return false;
    }
    return true;
}

bool kvm_reset_is_detached(void)
{
    return kvm_enabled() && kvm_reset_detached();
}

bool kvm_reset_made_room(void)
{
    return kvm_enabled() && kvm_reset_has_made_room();
}

bool kvm_reset_may_run(void)
{
    if (kvm_reset_made_room()) {
        error_report("kvm-reset: the guest has no VM until it is reset, so it "
                     "cannot run before that");
        return false;
    }
    if (kvm_reset_is_detached()) {
        error_report("kvm-reset: the guest is detached from KVM, so it cannot "
                     "run before kvm-attach");
        return false;
    }
    return true;
}

/* --- Detaching ------------------------------------------------------------ */

static bool block_migration(Error **errp)
{
    error_setg(&blocker, "The guest is detached from KVM");
    return migrate_add_blocker_internal(&blocker, errp) == 0;
}

/* A descriptor set that has KVM's device in it would keep KVM in use. */
static bool no_fdset_has_kvm(Error **errp)
{
    g_autoptr(FdsetInfoList) sets = qmp_query_fdsets(NULL);

    for (FdsetInfoList *set = sets; set; set = set->next) {
        int64_t id = set->value->fdset_id;

        for (FdsetFdInfoList *item = set->value->fds; item; item = item->next) {
            if (kvm_reset_is_device(item->value->fd)) {
                error_setg(errp,
                           "the descriptor set %" PRId64
                           " keeps the KVM device "
                           "open: take it away with remove-fd, say "
                           "attach-by-fd, and give kvm-attach another one",
                           id);
                return false;
            }
        }
    }
    return true;
}

bool kvm_reset_qemu_may_detach(bool by_fd, Error **errp)
{
    if (kvm_reset_is_detached()) {
        error_setg(errp, "the guest is detached from KVM already");
        return false;
    }
    return kvm_reset_may_preserve(errp) && no_fdset_has_kvm(errp) &&
           kvm_reset_may_detach(by_fd, errp);
}

/* The vCPUs' registers are also QEMU's, so that they can be looked at. */
static bool take_away(KvmResetPause *pause, Error **errp)
{
    cpu_synchronize_all_states();
    return kvm_reset_detach(pause, errp);
}

KvmDetachTimes *qmp_kvm_detach(bool has_check, bool check, bool has_by_fd,
                               bool by_fd, Error **errp)
{
    Error *err = NULL;
    KvmDetachTimes *answer;
    KvmResetPause pause;
    int64_t began = get_clock(), stopped, end;

    if (kvm_reset_is_detached()) {
        error_setg(errp, "the guest is detached from KVM already");
        return NULL;
    }
    if (!kvm_reset_may_preserve(errp) || !block_migration(errp)) {
        return NULL;
    }
    if (!no_fdset_has_kvm(&err) || !kvm_reset_detach_prepare(by_fd, &err)) {
        migrate_del_blocker(&blocker);
        kvm_reset_error_end(errp, err, "the guest keeps its VM");
        return NULL;
    }
    if (check) {
        kvm_reset_preserve_cancel();
        migrate_del_blocker(&blocker);
        answer = g_new0(KvmDetachTimes, 1);
        answer->prepare_ns = get_clock() - began;
        return answer;
    }
    state_before = runstate_get();
    began = get_clock();
    if (runstate_is_live(state_before)) {
        vm_stop(RUN_STATE_PAUSED);
    }
    stopped = get_clock();
    if (!take_away(&pause, &err)) {
        migrate_del_blocker(&blocker);
        kvm_reset_preserve_end();
        if (runstate_is_live(state_before)) {
            vm_start();
        }
        kvm_reset_error_end(errp, err, "the guest keeps its VM");
        return NULL;
    }
    stopped_at = began;
    end = get_clock();

    answer = g_new0(KvmDetachTimes, 1);
    kvm_reset_qapi_durations(qapi_KvmDetachTimes_base(answer),
                             &pause.durations);
    answer->total_ns = end - began;
    answer->stop_ns = stopped - began;
    answer->bytes = pause.bytes;
    answer->pieces = kvm_reset_qapi_pieces();
    return answer;
}

/* --- Attaching ------------------------------------------------------------ */

static void attach(const char *name, KvmResetPause *pause, Error **errp)
{
    int fd = name ? kvm_reset_take_descriptor(name, O_RDWR, errp) : -1;

    if (name && fd < 0) {
        return;
    }
    kvm_reset_attach(fd, pause, errp);
    if (fd >= 0) {
        close(fd);
    }
}

KvmAttachTimes *qmp_kvm_attach(const char *fd, Error **errp)
{
    Error *err = NULL;
    KvmAttachTimes *answer;
    KvmResetPause pause;
    int64_t began = get_clock(), end;

    if (!kvm_reset_is_detached()) {
        error_setg(errp, "the guest is not detached from KVM");
        return NULL;
    }
    attach(fd, &pause, &err);
    if (err) {
        kvm_reset_error_end(errp, err, "the guest stays detached");
        return NULL;
    }
    migrate_del_blocker(&blocker);
    if (runstate_is_live(state_before) && runstate_check(RUN_STATE_PAUSED)) {
        vm_start();
    }
    end = get_clock();

    answer = g_new0(KvmAttachTimes, 1);
    kvm_reset_qapi_durations(qapi_KvmAttachTimes_base(answer),
                             &pause.durations);
    answer->running = runstate_is_running();
    answer->pause_ns = end - stopped_at;
    answer->total_ns = end - began;
    return answer;
}
