/*
 * An example for docs/adding-a-hook.md: a device whose state is in no ioctl
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A word that a guest leaves for its next life.  After a reset it finds its
 * memory as it left it, and so the device forgets the word.  A guest that gets
 * a new VM may find other memory; so the device carries the word there.
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_device.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "sysemu/kvm-reset-hook.h"

#define TYPE_MAILBOX "example-mailbox"
OBJECT_DECLARE_SIMPLE_TYPE(Mailbox, MAILBOX)

struct Mailbox {
    PCIDevice parent_obj;

    MemoryRegion port;
    uint32_t word;
    uint32_t carried;
};

static uint64_t mailbox_read(void *opaque, hwaddr addr, unsigned size)
{
    Mailbox *mailbox = opaque;

    return mailbox->word;
}

static void mailbox_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    Mailbox *mailbox = opaque;

    mailbox->word = value;
}

static const MemoryRegionOps mailbox_ops = {
    .read = mailbox_read,
    .write = mailbox_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = {.min_access_size = 4, .max_access_size = 4},
};

static void mailbox_reset(DeviceState *dev)
{
    MAILBOX(dev)->word = 0;
}

static bool mailbox_carry(void *opaque, KvmResetPhase phase, Error **errp)
{
    Mailbox *mailbox = opaque;

    if (phase == KVM_RESET_PHASE_QUIESCE) {
        mailbox->carried = mailbox->word;
    } else {
        mailbox->word = mailbox->carried;
    }
    return true;
}

static void mailbox_realize(PCIDevice *dev, Error **errp)
{
    Mailbox *mailbox = MAILBOX(dev);
    KvmResetHook hook = {
        .name = TYPE_MAILBOX,
        .phases = 1u << KVM_RESET_PHASE_QUIESCE |
                  1u << KVM_RESET_PHASE_BEFORE_RUN,
        .run = mailbox_carry,
        .opaque = mailbox,
    };

    if (!kvm_reset_register_hook(OBJECT(dev), &hook, errp)) {
        return;
    }
    memory_region_init_io(&mailbox->port, OBJECT(dev), &mailbox_ops, mailbox,
                          TYPE_MAILBOX, 4);
    pci_register_bar(dev, 0, PCI_BASE_ADDRESS_SPACE_IO, &mailbox->port);
}

static void mailbox_class_init(ObjectClass *klass, void *data)
{
    PCIDeviceClass *pci = PCI_DEVICE_CLASS(klass);

    pci->realize = mailbox_realize;
    pci->vendor_id = PCI_VENDOR_ID_QEMU;
    pci->device_id = 0x6d61;
    pci->class_id = PCI_CLASS_OTHERS;
    device_class_set_legacy_reset(DEVICE_CLASS(klass), mailbox_reset);
}

static void mailbox_register_types(void)
{
    static InterfaceInfo interfaces[] = {
        {INTERFACE_CONVENTIONAL_PCI_DEVICE},
        {},
    };
    static const TypeInfo type = {
        .name = TYPE_MAILBOX,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(Mailbox),
        /* Newer QEMU have a const in its type. */
        .class_init = (void *)mailbox_class_init,
        .interfaces = interfaces,
    };

    type_register_static(&type);
}

type_init(mailbox_register_types)
