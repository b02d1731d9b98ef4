/*
 * kvm-reset in QEMU: query-kvm-reset and info kvm-reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-kvm-reset.h"
#include "qapi/util.h"
#include "qemu/timer.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-failures.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"

void kvm_reset_qapi_durations(KvmResetDurations *to,
                              const KvmResetCoreDurations *from)
{
    *to = (KvmResetDurations){
        .total_ns = from->total,
        .quiesce_ns = from->quiesce,
        .prepare_ns = from->prepare,
        .state_ns = from->state,
        .commit_ns = from->commit,
        .launch_ns = from->launch,
        .hooks_ns = from->hooks,
        .retire_ns = from->retire,
    };
}

static KvmRebirth *last_of(const KvmResetStatus *status)
{
    KvmRebirth *last = g_new0(KvmRebirth, 1);

    kvm_reset_qapi_durations(qapi_KvmRebirth_base(last), &status->last);
    last->spare = status->used_spare;
    return last;
}

static char *as_glib(char *text)
{
    char *copy = g_strdup(text);

    free(text);
    return copy;
}

static KvmResetSpare *spare_of(const KvmResetStatus *status, char *error)
{
    KvmResetSpare *spare = g_new0(KvmResetSpare, 1);

    spare->state = qapi_enum_parse(&KvmResetSpareState_lookup, status->spare,
                                   KVM_RESET_SPARE_STATE_FAILED, NULL);
    spare->error = as_glib(error);
    spare->fds = status->spare_fds;
    spare->bytes = status->spare_bytes;
    spare->duration_ns = status->spare_ns;
    spare->launched = status->spare_launched;
    return spare;
}

KvmResetMeasurement *kvm_reset_qapi_measurement(void)
{
    KvmResetMeasurement *measurement;
    char *tee, *first, *last;

    kvm_reset_measurements(&tee, &first, &last);
    if (!first) {
        return NULL;
    }
    measurement = g_new0(KvmResetMeasurement, 1);
    measurement->tee = as_glib(tee);
    measurement->first = as_glib(first);
    measurement->last = as_glib(last);
    if (measurement->last) {
        measurement->has_equal = true;
        measurement->equal = g_str_equal(measurement->first, measurement->last);
    }
    return measurement;
}

char *kvm_reset_first_digest(void)
{
    char *tee, *first, *last;

    kvm_reset_measurements(&tee, &first, &last);
    free(tee);
    free(last);
    return as_glib(first);
}

int kvm_reset_qapi_source(KvmResetLaunchSource source)
{
    switch (source) {
    case KVM_RESET_LAUNCH_START:
        break;
    case KVM_RESET_LAUNCH_GUEST:
        return KVM_LAUNCH_SOURCE_GUEST;
    case KVM_RESET_LAUNCH_OPERATOR:
        return KVM_LAUNCH_SOURCE_OPERATOR;
    }
    return KVM_LAUNCH_SOURCE_START;
}

static void tell_of_launches(KvmResetLaunchInfo *launch)
{
    KvmResetLaunches launches;

    kvm_reset_launches(&launches);
    launch->source = kvm_reset_qapi_source(launches.source);
    launch->digest = g_strdup(launches.digest);
    launch->refused = g_strdup(launches.refused);
    launch->next = g_new0(KvmNextLaunch, 1);
    launch->next->source = kvm_reset_qapi_source(launches.next_source);
    launch->next->digest = g_strdup(launches.next_digest);
    launch->next->once = launches.next_once;
    kvm_reset_launches_free(&launches);
}

static bool somebody_brought(void)
{
    KvmResetLaunches launches;
    bool brought;

    kvm_reset_launches(&launches);
    brought = launches.source != KVM_RESET_LAUNCH_START ||
              launches.next_source != KVM_RESET_LAUNCH_START ||
              launches.refused;
    kvm_reset_launches_free(&launches);
    return brought;
}

static KvmResetLaunchInfo *launch_of(const KvmResetStatus *status)
{
    const bool ordinary = !status->launching && !status->launched;
    KvmResetLaunchInfo *launch;

    if (ordinary && !somebody_brought()) {
        return NULL;
    }
    launch = g_new0(KvmResetLaunchInfo, 1);
    launch->state = ordinary         ? KVM_RESET_LAUNCH_STATE_NONE
                  : status->launched ? KVM_RESET_LAUNCH_STATE_FINISHED
                                     : KVM_RESET_LAUNCH_STATE_BEGUN;
    launch->steps = status->launch_steps;
    launch->bytes = status->launch_bytes;
    launch->measurement = kvm_reset_qapi_measurement();
    tell_of_launches(launch);
    return launch;
}

static KvmResetLimit *limit_of(const KvmResetStatus *status)
{
    KvmResetLimit *limit;

    if (!status->launched || !kvm_reset_guest_interval) {
        return NULL;
    }
    limit = g_new0(KvmResetLimit, 1);
    limit->interval_ns = (uint64_t)kvm_reset_guest_interval * SCALE_MS;
    limit->left = kvm_reset_turns_left();
    return limit;
}

static strList *hook_names(void)
{
    strList *names = NULL, **tail = &names;
    const char *name;

    for (unsigned i = 0; (name = kvm_reset_hook_name(i)); i++) {
        QAPI_LIST_APPEND(tail, g_strdup(name));
    }
    return names;
}

static char *text_of(Error *err)
{
    char *text = err ? g_strdup(error_get_pretty(err)) : NULL;

    error_free(err);
    return text;
}

/* Who is detached does not even open KVM: somebody may be replacing it. */
static void tell_of_device(KvmResetInfo *info)
{
    Error *err = NULL;

    info->detachable = kvm_reset_qemu_may_detach(false, &err);
    info->detach_reason = text_of(err);
    if (!info->detached) {
        err = NULL;
        kvm_reset_device_opens(&err);
        info->device_error = text_of(err);
    }
}

KvmResetInfo *qmp_query_kvm_reset(Error **errp)
{
    KvmResetInfo *info = g_new0(KvmResetInfo, 1);
    KvmResetStatus status;
    char *why_not, *last_error, *spare_error;

    if (!kvm_enabled()) {
        info->reason = g_strdup("KVM is not in use");
        info->detach_reason = g_strdup(info->reason);
        info->spare = g_new0(KvmResetSpare, 1);
        return info;
    }
    kvm_reset_status(&status, &why_not, &last_error, &spare_error);
    info->restartable = status.restartable;
    info->detached = kvm_reset_detached();
    info->reason = as_glib(why_not);
    tell_of_device(info);
    info->generation = status.generation;
    info->aborted = status.aborted;
    info->journal_entries = status.entries;
    info->journal_bytes = status.bytes;
    info->retiring = status.retiring;
    info->held_vms = status.held;
    info->private_left = status.private_left;
    info->vm_present = !info->detached && !status.made_room;
    info->waiting = kvm_reset_qapi_wait();
    info->limit = limit_of(&status);
    info->waited_ns = status.waited_ns;
    info->last_error = as_glib(last_error);
    info->failure = g_strdup(kvm_reset_failure());
    info->spare = spare_of(&status, spare_error);
    info->launch = launch_of(&status);
    info->hooks = hook_names();
    if (status.generation) {
        info->last = last_of(&status);
    }
    return info;
}

/* What an operator does about it; NULL: nothing has to be done. */
static const char *remedy_of(const KvmResetInfo *info)
{
    if (!kvm_enabled()) {
        return NULL;
    }
    if (info->detached) {
        return "give it KVM again: kvm-attach, or scripts/kvm-module-swap "
               "--attach";
    }
    if (info->waiting) {
        return "wait: it goes on by itself";
    }
    if (!info->vm_present) {
        return "reset it (system_reset) when the host has a free ASID or key "
               "id, and memory for it";
    }
    if (!info->restartable) {
        return "end QEMU and start it again, without what the reason names if "
               "the guest shall be reset with a new VM";
    }
    if (info->failure) {
        return "reset it again (system_reset)";
    }
    return NULL;
}

void hmp_info_kvm_reset(Monitor *mon, const QDict *qdict)
{
    g_autoptr(KvmResetInfo) info = qmp_query_kvm_reset(NULL);
    const char *remedy = remedy_of(info);

    if (info->detached) {
        monitor_printf(mon, "detached from KVM\n");
    }
    monitor_printf(mon, "restartable: %s%s%s\n",
                   info->restartable ? "yes" : "no", info->reason ? ", " : "",
                   info->reason ?: "");
    monitor_printf(mon, "detachable: %s%s%s\n", info->detachable ? "yes" : "no",
                   info->detach_reason ? ", " : "", info->detach_reason ?: "");
    if (info->device_error) {
        monitor_printf(mon, "new VMs are made on the KVM fd in use: %s\n",
                       info->device_error);
    }
    monitor_printf(mon, "generation: %" PRIu64 " (%" PRIu64 " failed)\n",
                   info->generation, info->aborted);
    monitor_printf(mon, "journal: %" PRIu64 " entries, %" PRIu64 " bytes\n",
                   info->journal_entries, info->journal_bytes);
    monitor_printf(mon,
                   "spare: %s%s%s, %" PRIu64 " fds, %" PRIu64
                   " bytes besides the kernel's\n",
                   KvmResetSpareState_str(info->spare->state),
                   info->spare->error ? ", " : "", info->spare->error ?: "",
                   info->spare->fds, info->spare->bytes);
    monitor_printf(mon,
                   "old VMs: %" PRIu64 " not down yet; resets have waited "
                   "%.3f ms for them\n",
                   info->retiring, info->waited_ns / 1e6);
    if (info->private_left || info->held_vms) {
        monitor_printf(mon,
                       "old VMs: %" PRIu64 " bytes of private memory left; "
                       "others hold %" PRIu64 "\n",
                       info->private_left, info->held_vms);
    }
    if (!info->vm_present && !info->detached) {
        monitor_printf(mon, "no VM until it is reset\n");
    }
    if (info->waiting) {
        monitor_printf(mon, "waits since %.1f s, %s: %s\n",
                       info->waiting->duration_ns / 1e9,
                       info->waiting->reset_done ? "to run" : "to be reset",
                       info->waiting->reason);
    }
    if (info->limit) {
        monitor_printf(mon,
                       "resets that the guest may have now: %" PRIu32
                       ", and one more every %" PRIu64 " ms\n",
                       info->limit->left, info->limit->interval_ns / SCALE_MS);
    }
    monitor_printf(mon, "hooks:");
    for (strList *hook = info->hooks; hook; hook = hook->next) {
        monitor_printf(mon, " %s", hook->value);
    }
    monitor_printf(mon, "\n");
    if (info->failure) {
        monitor_printf(mon, "the last reset failed: %s\n", info->failure);
    }
    if (info->launch) {
        monitor_printf(mon,
                       "launch: %s, %" PRIu64 " steps, %" PRIu64 " bytes\n",
                       KvmResetLaunchState_str(info->launch->state),
                       info->launch->steps, info->launch->bytes);
        monitor_printf(mon, "launched by: %s, %s; next by: %s%s%s%s\n",
                       KvmLaunchSource_str(info->launch->source),
                       info->launch->digest ?: "not measured",
                       KvmLaunchSource_str(info->launch->next->source),
                       info->launch->next->once ? ", once" : "",
                       info->launch->next->digest ? ", " : "",
                       info->launch->next->digest ?: "");
        if (info->launch->refused) {
            monitor_printf(mon, "a launch was refused: %s\n",
                           info->launch->refused);
        }
        if (info->launch->measurement) {
            KvmResetMeasurement *measurement = info->launch->measurement;

            monitor_printf(mon, "measurement (%s): %s%s\n", measurement->tee,
                           measurement->first,
                           !measurement->has_equal ? ""
                           : measurement->equal    ? ", the same again"
                                                   : ", ANOTHER ONE now");
        }
    }
    if (info->last_error) {
        monitor_printf(mon, "last failure: %s\n", info->last_error);
    }
    if (remedy) {
        monitor_printf(mon, "what to do: %s\n", remedy);
    }
    if (info->last) {
        KvmRebirth *last = info->last;
        const struct {
            const char *name;
            uint64_t ns;
        } phases[] = {
            {"quiesce", last->quiesce_ns}, {"prepare", last->prepare_ns},
            {"commit", last->commit_ns},   {"launch", last->launch_ns},
            {"hooks", last->hooks_ns},     {"total", last->total_ns},
            {"retire", last->retire_ns},
        };

        monitor_printf(mon, "last rebirth:");
        for (int i = 0; i < ARRAY_SIZE(phases); i++) {
            monitor_printf(mon, "%s %s %.3f ms", i ? "," : "", phases[i].name,
                           phases[i].ns / 1e6);
        }
        monitor_printf(mon, "\n");
    }
}
