/*
 * kvm-reset in QEMU: a target without KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-kvm-reset.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "sysemu/kvm-reset.h"
#include "sysemu/kvm-reset-hook.h"

void kvm_reset_add_machine_properties(struct ObjectClass *machine_class)
{}

bool kvm_reset_possible(void)
{
    return false;
}

KvmResetOutcome kvm_reset_begin(int cause)
{
    return KVM_RESET_KEPT;
}

bool kvm_reset_refused(void)
{
    return false;
}

bool kvm_reset_holds_vcpus(void)
{
    return false;
}

void kvm_reset_finish(void)
{
    g_assert_not_reached();
}

bool kvm_reset_register_hook(Object *owner, const KvmResetHook *hook,
                             Error **errp)
{
    return true;
}

bool kvm_reset_preserves_guest(void)
{
    return false;
}

void kvm_reset_skip_irqfd(int eventfd)
{}

void kvm_reset_block(const char *why)
{}

int kvm_reset_close(int fd)
{
    return close(fd);
}

KvmResetInfo *qmp_query_kvm_reset(Error **errp)
{
    KvmResetInfo *info = g_new0(KvmResetInfo, 1);

    info->reason = g_strdup("this target has no KVM");
    info->detach_reason = g_strdup(info->reason);
    info->spare = g_new0(KvmResetSpare, 1);
    return info;
}

bool kvm_reset_command_available(const char *name, bool allow_detached,
                                 bool allow_without_vm, Error **errp)
{
    return true;
}

bool kvm_reset_may_run(void)
{
    return true;
}

KvmDetachTimes *qmp_kvm_detach(bool has_check, bool check, bool has_by_fd,
                               bool by_fd, Error **errp)
{
    error_setg(errp, "this target has no KVM");
    return NULL;
}

KvmAttachTimes *qmp_kvm_attach(const char *fd, Error **errp)
{
    error_setg(errp, "this target has no KVM");
    return NULL;
}

KvmRebirthPause *qmp_kvm_rebirth(bool preserve, Error **errp)
{
    error_setg(errp, "this target has no KVM");
    return NULL;
}

KvmNextLaunch *coroutine_fn qmp_kvm_reset_load_launch(
    const char *filename, const char *fd, bool has_start, bool start,
    bool has_once, bool once, bool has_new_measurement, bool new_measurement,
    bool has_check, bool check, Error **errp)
{
    error_setg(errp, "this target has no KVM");
    return NULL;
}

void hmp_info_kvm_reset(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "restartable: no, this target has no KVM\n");
}
