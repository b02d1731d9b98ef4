/*
 * kvm-reset in QEMU: launches that somebody brings for a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device vm-launch-update and the command kvm-reset-load-launch bring them.
 */

#include "qemu/osdep.h"
#include "hw/boards.h"
#include "migration/blocker.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-hook.h"
#include "internal.h"
#include "launches.h"

bool (*kvm_reset_describe_machine)(KvmResetMachine *machine);

bool kvm_reset_may_bring(Error **errp)
{
    if (!kvm_enabled()) {
        error_setg(errp, "KVM is not in use");
        return false;
    }
    if (!current_machine->cgs && !kvm_reset_wanted) {
        error_setg(errp, "the guest keeps its VM at a reset: start QEMU with "
                         "-machine x-change-vmfd-on-reset=on");
        return false;
    }
    return true;
}

bool kvm_reset_runs_brought(void)
{
    KvmResetLaunches launches;
    bool brought;

    kvm_reset_launches(&launches);
    brought = launches.source != KVM_RESET_LAUNCH_START;
    kvm_reset_launches_free(&launches);
    return brought;
}

KvmResetLaunch *kvm_reset_try_launch(const void *bytes, size_t size,
                                     Error **errp)
{
    KvmResetMachine machine = {.ranges = 0};
    KvmResetLaunchHost host = {
        .ram = machine.ram,
        .command_line = current_machine->kernel_cmdline,
        .most_bytes = kvm_reset_launch_memory,
    };
    KvmResetLaunch *launch;
    bool known;

    bql_lock();
    known = kvm_reset_describe_machine && kvm_reset_describe_machine(&machine);
    bql_unlock();
    if (!known) {
        error_setg(errp, "this machine's guests cannot be launched from what "
                         "somebody brings");
        return NULL;
    }

    host.ranges = machine.ranges;
    host.rom = machine.rom;
    if (machine.madt) {
        host.madt = machine.madt->data;
        host.madt_size = machine.madt->len;
    }
    launch = kvm_reset_launch_of_igvm(bytes, size, &host, errp);
    if (machine.madt) {
        g_array_free(machine.madt, true);
    }
    return launch;
}

/* --- Migration ------------------------------------------------------------ */

static Error *blocker;
/* A launch is chosen without the big lock, and counts already. */
static unsigned choosing;

void kvm_reset_allow_migration_if_possible(void)
{
    KvmResetLaunches launches;

    kvm_reset_launches(&launches);
    if (launches.source == KVM_RESET_LAUNCH_START &&
        launches.next_source == KVM_RESET_LAUNCH_START && !choosing &&
        blocker) {
        migrate_del_blocker(&blocker);
    }
    kvm_reset_launches_free(&launches);
}

bool kvm_reset_begin_choice(Error **errp)
{
    if (!blocker) {
        error_setg(&blocker, "the guest runs from firmware that was brought "
                             "for it, or will at its next reset, and that "
                             "does not come along");
        if (migrate_add_blocker(&blocker, errp)) {
            return false;
        }
    }
    choosing++;
    return true;
}

void kvm_reset_end_choice(void)
{
    choosing--;
    kvm_reset_allow_migration_if_possible();
}

static bool on_reset(void *opaque, KvmResetPhase phase, Error **errp)
{
    kvm_reset_allow_migration_if_possible();
    return true;
}

static void register_hook(void)
{
    static const KvmResetHook hook = {
        .name = "launches",
        .phases = 1u << KVM_RESET_PHASE_BEFORE_RUN,
        .run = on_reset,
    };

    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
