/*
 * kvm-reset in QEMU: a PC's PAM registers, when its guest was launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * They say what there is between 768 KiB and 1 MiB: RAM, or what lies behind
 * it.  A chipset that is reset has RAM nowhere there; QEMU's keep what the
 * guest set.  So the memory slots would not be those that the guest was
 * launched on: the slots of RAM would be deleted and others added, and a TD
 * loses what was launched into a slot that goes.  And firmware that was brought
 * for an ordinary guest would not be what its reset vector jumps to, but the
 * copy in RAM of that before.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#if __has_include("system/memory.h")
#include "system/memory.h"
#else
#include "exec/memory.h"
#endif
#include "hw/i386/pc.h"
#include "hw/pci-host/i440fx.h"
#include "hw/pci-host/q35.h"
#include "hw/pci/pci_device.h"
#include "qemu/module.h"
#include "sysemu/kvm-reset-hook.h"
#include "accel/kvm-reset/qemu/launches.h"

enum {
    I440FX_PAM0 = 0x59,
    PAM_REGISTERS = 7,
};

/* -1: it has none. */
static int first_pam(PCIDevice *bridge)
{
    if (object_dynamic_cast(OBJECT(bridge), TYPE_I440FX_PCI_DEVICE)) {
        return I440FX_PAM0;
    }
    return object_dynamic_cast(OBJECT(bridge), TYPE_MCH_PCI_DEVICE)
             ? MCH_HOST_BRIDGE_PAM0
             : -1;
}

/* It runs from other firmware than before. */
static bool changes_firmware(void)
{
    static bool brought_before;
    const bool brought = kvm_reset_runs_brought();
    const bool changes = brought || brought_before;

    brought_before = brought;
    return changes;
}

static bool clear_pam(void *opaque, KvmResetPhase phase, Error **errp)
{
    Object *pc = object_dynamic_cast(qdev_get_machine(), TYPE_PC_MACHINE);
    PCIBus *bus = pc ? PC_MACHINE(pc)->pcibus : NULL;
    PCIDevice *bridge = bus ? pci_find_device(bus, pci_bus_num(bus), 0) : NULL;
    int first = bridge ? first_pam(bridge) : -1;
    KvmResetStatus status;

    kvm_reset_status(&status, NULL, NULL, NULL);
    if (first < 0 ||
        !(changes_firmware() || status.launching || status.launched)) {
        return true;
    }
    memory_region_transaction_begin();
    for (int i = 0; i < PAM_REGISTERS; i++) {
        bridge->config_write(bridge, first + i, 0, 1);
    }
    memory_region_transaction_commit();
    return true;
}

static const KvmResetHook hook = {
    .name = "pam-registers",
    .phases = 1u << KVM_RESET_PHASE_BEFORE_RUN,
    .run = clear_pam,
};

static void register_hook(void)
{
    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
