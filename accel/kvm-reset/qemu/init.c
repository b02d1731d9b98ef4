/*
 * kvm-reset in QEMU: start, traces, and the machine's property
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-builtin-types.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-types-kvm-reset.h"
#include "qapi/visitor.h"
#include "qom/object.h"
#include "hw/boards.h"
#include "monitor/monitor.h"
#include "system/accel-blocker.h"
#include "system/kvm.h"
#include "system/system.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"
#include "launches.h"
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

/*
 * Also of a descriptor set, which does not count what is opened here: it is
 * not closed by qemu_close(), or takes the place of another fd.
 */
static int open_path(const char *path)
{
    int fd = qemu_open(path, O_RDWR, NULL);

    if (fd < 0) {
        return -errno;
    }
    monitor_fdset_dup_fd_remove(fd);
    return fd;
}

void kvm_reset_init(const char *device)
{
    static const KvmResetTrace trace = {
        .seen = on_seen,
        .blocked = on_blocked,
        .stale = on_stale,
        .step = on_step,
    };

    kvm_reset_set_device(device, open_path);
    kvm_reset_set_trace(&trace);
    kvm_reset_exclude_with(accel_ioctl_inhibit_begin, accel_ioctl_inhibit_end);
    kvm_reset_waiting_init();
}

static int spare_wanted = KVM_RESET_SPARE_POLICY_AUTO;
static bool machine_ready;

/*
 * Who does not want new VMs shall not pay for a spare one.  A confidential
 * guest's takes a key of the few that there are, so that must be asked for.
 */
static void keep_spare_if_wanted(void)
{
    if (machine_ready && kvm_enabled()) {
        bool launched = spare_wanted == KVM_RESET_SPARE_POLICY_LAUNCHED;

        kvm_reset_keep_spare(launched ||
                                 spare_wanted == KVM_RESET_SPARE_POLICY_ON ||
                                 (spare_wanted == KVM_RESET_SPARE_POLICY_AUTO &&
                                  kvm_reset_wanted && !current_machine->cgs),
                             launched);
    }
}

static bool get_wanted(Object *machine, Error **errp)
{
    return kvm_reset_wanted;
}

static void set_wanted(Object *machine, bool value, Error **errp)
{
    kvm_reset_wanted = value;
    keep_spare_if_wanted();
}

static int get_spare(Object *machine, Error **errp)
{
    return spare_wanted;
}

static void set_spare(Object *machine, int value, Error **errp)
{
    spare_wanted = value;
    keep_spare_if_wanted();
}

static int measurement_wanted = KVM_RESET_MEASUREMENT_POLICY_SAME;

static int get_measurement(Object *machine, Error **errp)
{
    return measurement_wanted;
}

static void set_measurement(Object *machine, int value, Error **errp)
{
    measurement_wanted = value;
    if (machine_ready && kvm_enabled()) {
        kvm_reset_require_same_measurement(value ==
                                           KVM_RESET_MEASUREMENT_POLICY_SAME);
    }
}

bool kvm_reset_wants_same_measurement(void)
{
    return measurement_wanted == KVM_RESET_MEASUREMENT_POLICY_SAME;
}

static int full_wanted = KVM_RESET_FULL_POLICY_BREAK;

static int get_when_full(Object *machine, Error **errp)
{
    return full_wanted;
}

static void set_when_full(Object *machine, int value, Error **errp)
{
    full_wanted = value;
    if (machine_ready && kvm_enabled()) {
        kvm_reset_make_room_when_full(value == KVM_RESET_FULL_POLICY_BREAK);
    }
}

/* Both ways: the visitor knows whether it reads or writes @opaque. */
static void access_size(Object *machine, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    visit_type_size(v, name, opaque, errp);
}

static void access_uint32(Object *machine, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    visit_type_uint32(v, name, opaque, errp);
}

uint64_t kvm_reset_launch_memory = KVM_RESET_DEFAULT_LAUNCH_MEMORY;
bool kvm_reset_keeps_shared;

static void on_machine_ready(Notifier *notifier, void *data)
{
    machine_ready = true;
    keep_spare_if_wanted();
    set_measurement(NULL, measurement_wanted, NULL);
    set_when_full(NULL, full_wanted, NULL);
}

void kvm_reset_add_machine_properties(struct ObjectClass *machine_class)
{
    static Notifier machine_ready_notifier = {.notify = on_machine_ready};

    object_class_property_add_bool(machine_class, "x-change-vmfd-on-reset",
                                   get_wanted, set_wanted);
    object_class_property_set_description(
        machine_class, "x-change-vmfd-on-reset",
        "Give the guest a new KVM VM at each reset, as a confidential guest "
        "always gets");
    object_class_property_add_enum(
        machine_class, "kvm-reset-spare", "KvmResetSparePolicy",
        &KvmResetSparePolicy_lookup, get_spare, set_spare);
    object_class_property_set_description(
        machine_class, "kvm-reset-spare",
        "Prepare the next KVM VM ahead of a reset; auto: if an ordinary "
        "guest gets one at each reset; launched: a confidential guest is "
        "launched on it as well");
    object_class_property_add_enum(
        machine_class, "kvm-reset-measurement", "KvmResetMeasurementPolicy",
        &KvmResetMeasurementPolicy_lookup, get_measurement, set_measurement);
    object_class_property_set_description(
        machine_class, "kvm-reset-measurement",
        "same: refuse to launch a confidential guest again if it would be "
        "measured otherwise than when it was launched first; any: do it");
    object_class_property_add_enum(
        machine_class, "kvm-reset-when-full", "KvmResetFullPolicy",
        &KvmResetFullPolicy_lookup, get_when_full, set_when_full);
    object_class_property_set_description(
        machine_class, "kvm-reset-when-full",
        "break: if the host has not enough for two VMs of a confidential guest "
        "that is reset, the old one goes first; keep: the reset fails");
    object_class_property_add(machine_class, "kvm-reset-margin", "size",
                              access_size, access_size, NULL,
                              &kvm_reset_margin);
    object_class_property_set_description(
        machine_class, "kvm-reset-margin",
        "A confidential guest that was reset runs when its old VM has no more "
        "private memory than this");
    object_class_property_add(machine_class, "kvm-reset-guest-interval",
                              "uint32", access_uint32, access_uint32, NULL,
                              &kvm_reset_guest_interval);
    object_class_property_set_description(
        machine_class, "kvm-reset-guest-interval",
        "A confidential guest that asks for resets all the time gets one in so "
        "many milliseconds; 0: no limit");
    object_class_property_add(machine_class, "kvm-reset-launch-memory", "size",
                              access_size, access_size, NULL,
                              &kvm_reset_launch_memory);
    object_class_property_set_description(
        machine_class, "kvm-reset-launch-memory",
        "What the firmware that a guest brings may take of the host's memory");
    qemu_add_machine_init_done_notifier(&machine_ready_notifier);
}
