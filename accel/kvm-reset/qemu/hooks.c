/*
 * kvm-reset in QEMU: hooks for what QEMU caches of the kernel's state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#if __has_include("system/memory.h")
#include "system/memory.h"
#else
#include "exec/memory.h"
#endif
#include "hw/core/cpu.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-hook.h"
#include "internal.h"

/* The ring lies in the first vCPU's pages, which the new VM brings empty. */
static bool drain_coalesced(void *opaque, KvmResetPhase phase, Error **errp)
{
    kvm_flush_coalesced_mmio_buffer();
    return true;
}

/*
 * A reset has the display redrawn; at a rebirth that preserves the guest, what
 * it has drawn counts too.
 */
static void collect_dirty_pages(void)
{
    if (global_dirty_tracking || kvm_reset_preserves_guest()) {
        memory_global_dirty_log_sync(false);
    }
}

/* Where QEMU stands in the old VM's dirty rings, in the order of the vCPUs. */
static GArray *old_rings;

/*
 * What the old VM knows to be dirty goes with it, so it is collected first.
 * The new rings begin at their first slot.
 */
static bool carry_dirty_pages(void *opaque, KvmResetPhase phase, Error **errp)
{
    CPUState *cpu;

    if (phase == KVM_RESET_PHASE_QUIESCE) {
        collect_dirty_pages();
        return true;
    }
    if (!old_rings) {
        old_rings = g_array_new(false, false, sizeof(cpu->kvm_fetch_index));
    }
    g_array_set_size(old_rings, 0);
    CPU_FOREACH(cpu)
    {
        g_array_append_val(old_rings, cpu->kvm_fetch_index);
        cpu->kvm_fetch_index = 0;
    }
    return true;
}

/* The old VM is back, and its rings are where they were. */
static void put_rings_back(void *opaque, KvmResetPhase phase)
{
    CPUState *cpu;
    guint i = 0;

    if (phase == KVM_RESET_PHASE_NEW_VM) {
        CPU_FOREACH(cpu)
        {
            cpu->kvm_fetch_index = g_array_index(old_rings, uint32_t, i++);
        }
    }
}

static const KvmResetHook hooks[] = {
    {
        .name = "coalesced-mmio",
        .phases = 1u << KVM_RESET_PHASE_QUIESCE,
        .run = drain_coalesced,
        .preserves = true,
    },
    {
        .name = "dirty-pages",
        /* A coalesced write may have its device dirty memory. */
        .after = (const char *const[]){"coalesced-mmio", NULL},
        .phases = 1u << KVM_RESET_PHASE_QUIESCE | 1u << KVM_RESET_PHASE_NEW_VM,
        .run = carry_dirty_pages,
        .undo = put_rings_back,
        .preserves = true,
    },
};

static void register_hooks(void)
{
    for (int i = 0; i < ARRAY_SIZE(hooks); i++) {
        kvm_reset_register_hook(NULL, &hooks[i], &error_abort);
    }
}

type_init(register_hooks)
