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
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset.h"
#include "internal.h"
#include CONFIG_DEVICES

/* The ring lies in the first vCPU's pages, which the new VM brings empty. */
static int drain_coalesced(void *opaque, KvmResetPhase phase, char **why)
{
    kvm_flush_coalesced_mmio_buffer();
    return 0;
}

void kvm_reset_collect_dirty_pages(void)
{
    if (global_dirty_tracking) {
        memory_global_dirty_log_sync(false);
    }
}

/*
 * A reset has the display redrawn; at a rebirth that preserves the guest, what
 * it has drawn counts too.
 */
static void collect_dirty_pages_of(void)
{
    if (kvm_reset_preserving) {
        memory_global_dirty_log_sync(false);
    } else {
        kvm_reset_collect_dirty_pages();
    }
}

/*
 * What the old VM knows to be dirty goes with it, so it is collected first.
 * The new rings begin at their first slot.
 */
static int carry_dirty_pages(void *opaque, KvmResetPhase phase, char **why)
{
    CPUState *cpu;

    if (phase == KVM_RESET_PHASE_QUIESCE) {
        collect_dirty_pages_of();
        return 0;
    }
    CPU_FOREACH(cpu)
    {
        cpu->kvm_fetch_index = 0;
    }
    return 0;
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
        .phases = 1u << KVM_RESET_PHASE_QUIESCE |
                  1u << KVM_RESET_PHASE_NEW_VM,
        .run = carry_dirty_pages,
        .preserves = true,
    },
};

void kvm_reset_add_hooks(const KvmResetHook *hooks, int count)
{
    for (int i = 0; i < count; i++) {
        char *why = NULL;

        if (kvm_reset_add_hook(&hooks[i], &why)) {
            warn_report("kvm-reset: %s", why);
            free(why);
        }
    }
}

/* Unless the target has some. */
__attribute__((weak)) void kvm_reset_add_target_hooks(void)
{}

void kvm_reset_add_qemu_hooks(void)
{
    kvm_reset_add_hooks(hooks, ARRAY_SIZE(hooks));
#ifdef CONFIG_VIRTIO
    kvm_reset_add_hooks(&kvm_reset_virtio_hook, 1);
#endif
    kvm_reset_add_target_hooks();
}
