/*
 * kvm-reset in QEMU: start, traces, and the machine's property
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qom/object.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"
#include "accel/kvm-reset/trace.h"

static void on_seen(int fd, uint32_t request, const char *name,
                    const char *effect, int ret)
{
    trace_kvm_reset_seen(fd, request, name, effect, ret);
}

static void on_blocked(const char *why)
{
    trace_kvm_reset_blocked(why);
}

static void on_stale(const char *what)
{
    trace_kvm_reset_stale(what);
}

static void on_step(const char *name, const char *what, uint64_t ns)
{
    trace_kvm_reset_step(name, what, ns);
}

void kvm_reset_init(const char *device)
{
    static const KvmResetTrace trace = {
        .seen = on_seen,
        .blocked = on_blocked,
        .stale = on_stale,
        .step = on_step,
    };

    kvm_reset_set_device(device);
    kvm_reset_set_trace(&trace);
    kvm_reset_add_qemu_hooks();
}

static bool get_wanted(Object *machine, Error **errp)
{
    return kvm_reset_wanted();
}

static void set_wanted(Object *machine, bool value, Error **errp)
{
    kvm_reset_set_wanted(value);
}

void kvm_reset_add_machine_properties(struct ObjectClass *machine_class)
{
    object_class_property_add_bool(machine_class, "x-change-vmfd-on-reset",
                                   get_wanted, set_wanted);
    object_class_property_set_description(machine_class,
        "x-change-vmfd-on-reset",
        "Give the guest a new KVM VM at each reset, as a confidential guest "
        "always gets");
}
