/*
 * kvm-reset in QEMU: interrupts of a PC whose guest moves to a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/i386/apic_internal.h"
#include "hw/intc/ioapic.h"
#include "qemu/bitmap.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-hook.h"

/* The address that a guest gave for the TPR's shadow can only be set. */
static void tell_vapic(X86CPU *cpu)
{
    APICCommonState *apic = cpu->apic_state ? APIC_COMMON(cpu->apic_state)
                                            : NULL;

    if (apic && kvm_irqchip_in_kernel() && apic->vapic_paddr) {
        APIC_COMMON_GET_CLASS(apic)->vapic_base_update(apic);
    }
}

enum {
    VECTORS = 256,
    FIRST_VECTOR = 0x10,
    /* Of the LAPIC's registers, eight words each, 16 bytes apart. */
    LAPIC_ISR = 0x100,
    LAPIC_IRR = 0x200,
};

/* Adds the vectors that the vCPU is to handle, or is handling. */
static int add_wanted(CPUState *cpu, DECLARE_BITMAP(wanted, VECTORS))
{
    struct kvm_lapic_state lapic;
    int ret = kvm_vcpu_ioctl(cpu, KVM_GET_LAPIC, &lapic);

    for (int vector = 0; ret >= 0 && vector < VECTORS; vector++) {
        int at = vector / 32 * 16;
        uint32_t word = ldl_le_p(lapic.regs + LAPIC_ISR + at) |
                        ldl_le_p(lapic.regs + LAPIC_IRR + at);
        if (word & 1u << vector % 32) {
            set_bit(vector, wanted);
        }
    }
    return ret;
}

/*
 * With the IOAPIC in QEMU, KVM may have been about to tell it of an end of
 * interrupt when the vCPU was stopped, and has forgotten that now.  A vector
 * that nobody is to handle has come to its end.
 */
static bool end_interrupts(Error **errp)
{
    DECLARE_BITMAP(wanted, VECTORS) = {0};
    CPUState *cpu;

    if (!kvm_irqchip_is_split()) {
        return true;
    }
    CPU_FOREACH(cpu)
    {
        int ret = add_wanted(cpu, wanted);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "KVM_GET_LAPIC on vcpu %d",
                             cpu->cpu_index);
            return false;
        }
    }
    for (int vector = FIRST_VECTOR; vector < VECTORS; vector++) {
        if (!test_bit(vector, wanted)) {
            ioapic_eoi_broadcast(vector);
        }
    }
    return true;
}

static bool carry_interrupts(void *opaque, KvmResetPhase phase, Error **errp)
{
    CPUState *cpu;

    /* At a reset all of it begins anew. */
    if (!kvm_reset_preserves_guest()) {
        return true;
    }
    CPU_FOREACH(cpu)
    {
        tell_vapic(X86_CPU(cpu));
    }
    return end_interrupts(errp);
}

static const KvmResetHook hook = {
    .name = "pc-interrupts",
    .phases = 1u << KVM_RESET_PHASE_NEW_VM,
    .run = carry_interrupts,
    .preserves = true,
};

static void register_hook(void)
{
    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
