/*
 * kvm-reset in QEMU: what of an x86 vCPU's state KVM does not tell
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#else
#include "exec/address-spaces.h"
#endif
#include "cpu.h"
#include "hw/i386/apic_internal.h"
#include "hw/intc/ioapic.h"
#include "qemu/bitmap.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "system/kvm.h"
#include "accel/kvm-reset/qemu/internal.h"
#include "preserve.h"

/* The address that a guest gave for the TPR's shadow can only be set. */
static void tell_vapic(X86CPU *cpu)
{
    APICCommonState *apic = cpu->apic_state ? APIC_COMMON(cpu->apic_state)
                                            : NULL;

    if (apic && kvm_irqchip_in_kernel() && apic->vapic_paddr) {
        APIC_COMMON_GET_CLASS(apic)->vapic_base_update(apic);
    }
}

static uint64_t read_msr(CPUState *cpu, uint32_t index)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } one = {
        .head.nmsrs = 1,
        .entry.index = index,
    };

    return kvm_vcpu_ioctl(cpu, KVM_GET_MSRS, &one) == 1 ? one.entry.data : 0;
}

/* Nanoseconds for which the vCPU's thread has waited for a CPU so far. */
static bool waited_for_cpu(CPUState *cpu, uint64_t *ns)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/schedstat",
                                            cpu->thread_id);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) &&
           sscanf(text, "%*u %" SCNu64, ns) == 1;
}

/*
 * KVM adds to the time stolen from a vCPU what its thread has waited since it
 * looked last; a new vCPU has never looked, and would add all of it again.
 */
static void adjust_stolen(CPUState *cpu, bool back)
{
    uint64_t where = read_msr(cpu, MSR_KVM_STEAL_TIME), stolen, waited;
    hwaddr at = where & ~(uint64_t)63;

    if (!(where & KVM_MSR_ENABLED) || !waited_for_cpu(cpu, &waited) ||
        address_space_read(&address_space_memory, at, MEMTXATTRS_UNSPECIFIED,
                           &stolen, sizeof(stolen)) != MEMTX_OK) {
        return;
    }
    stolen = cpu_to_le64(le64_to_cpu(stolen) + (back ? waited : -waited));
    address_space_write(&address_space_memory, at, MEMTXATTRS_UNSPECIFIED,
                        &stolen, sizeof(stolen));
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
static void end_interrupts(void)
{
    DECLARE_BITMAP(wanted, VECTORS) = {0};
    CPUState *cpu;

    if (!kvm_irqchip_is_split()) {
        return;
    }
    CPU_FOREACH(cpu)
    {
        if (add_wanted(cpu, wanted) < 0) {
            return;
        }
    }
    for (int vector = FIRST_VECTOR; vector < VECTORS; vector++) {
        if (!test_bit(vector, wanted)) {
            ioapic_eoi_broadcast(vector);
        }
    }
}

static int tell_vcpus(void *opaque, KvmResetPhase phase, char **why)
{
    CPUState *cpu;

    CPU_FOREACH(cpu)
    {
        /* At a reset all of it begins anew. */
        if (kvm_reset_preserving) {
            tell_vapic(X86_CPU(cpu));
            adjust_stolen(cpu, false);
        }
    }
    if (kvm_reset_preserving) {
        end_interrupts();
    }
    return 0;
}

static void tell_vcpus_back(void *opaque, KvmResetPhase phase)
{
    CPUState *cpu;

    CPU_FOREACH(cpu)
    {
        if (kvm_reset_preserving) {
            adjust_stolen(cpu, true);
        }
    }
}

const KvmResetHook kvm_reset_vcpu_hook = {
    .name = "vcpu-state",
    .phases = 1u << KVM_RESET_PHASE_NEW_VM,
    .run = tell_vcpus,
    .undo = tell_vcpus_back,
    .preserves = true,
};
