/*
 * kvm-reset in QEMU: what the reset of virtio devices takes away by itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "hw/sysbus.h"
#include "hw/virtio/virtio.h"
#include "qapi/error.h"
#include "qemu/event_notifier.h"
#include "qemu/module.h"
#include "sysemu/kvm-reset-hook.h"

static void skip_irqfd(EventNotifier *notifier)
{
    int fd = event_notifier_get_fd(notifier);

    /* 0: of a device whose driver never came up. */
    if (fd > 0) {
        kvm_reset_skip_irqfd(fd);
    }
}

static int skip_guest_notifiers(DeviceState *dev, void *opaque)
{
    VirtIODevice *vdev = (VirtIODevice *)object_dynamic_cast(
        OBJECT(dev), TYPE_VIRTIO_DEVICE);

    if (vdev) {
        int queues = virtio_get_num_queues(vdev);

        for (int i = 0; i < queues; i++) {
            skip_irqfd(
                virtio_queue_get_guest_notifier(virtio_get_queue(vdev, i)));
        }
        skip_irqfd(virtio_config_get_guest_notifier(vdev));
    }
    return 0;
}

/*
 * The kernel needs long to take an irqfd away, and a device may have one for
 * each queue and vCPU.  The reset of a virtio device takes them away and
 * closes their eventfds, so they need not move to the new VM first.
 */
static bool skip_irqfds(void *opaque, KvmResetPhase phase, Error **errp)
{
    qbus_walk_children(sysbus_get_default(), skip_guest_notifiers, NULL, NULL,
                       NULL, NULL);
    return true;
}

static const KvmResetHook hook = {
    .name = "virtio",
    .phases = 1u << KVM_RESET_PHASE_QUIESCE,
    .run = skip_irqfds,
};

static void register_hook(void)
{
    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
