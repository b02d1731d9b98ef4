/*
 * kvm-reset in QEMU: a hook is there for as long as its owner is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "qom/object.h"
#include "sysemu/kvm-reset-hook.h"
#include "accel/kvm-reset/c_api.h"

/* Of an owner; QEMU releases it when the owner is finalized. */
#define HOOK_PROPERTY "kvm-reset-hook"

static void on_finalize(Object *owner, const char *name, void *opaque)
{
    kvm_reset_remove_hooks(owner);
}

static void on_unrealize(DeviceListener *listener, DeviceState *dev)
{
    kvm_reset_remove_hooks(OBJECT(dev));
}

static void listen_to_devices(void)
{
    static DeviceListener listener = {.unrealize = on_unrealize};
    static bool listening;

    if (!listening) {
        listening = true;
        device_listener_register(&listener);
    }
}

bool kvm_reset_register_hook(Object *owner, const KvmResetHook *hook,
                             Error **errp)
{
    g_autofree char *path = owner ? object_get_canonical_path(owner) : NULL;
    const char *name = owner && !path ? object_get_typename(owner) : path;

    if (!kvm_reset_add_hook(owner, name, hook, errp)) {
        return false;
    }
    if (owner && !object_property_find(owner, HOOK_PROPERTY)) {
        listen_to_devices();
        object_property_add(owner, HOOK_PROPERTY, "hook", NULL, NULL,
                            on_finalize, NULL);
    }
    return true;
}
