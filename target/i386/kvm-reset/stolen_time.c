/*
 * kvm-reset in QEMU: the time stolen from the vCPUs of a guest that moves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#endif
#include "qapi/error.h"
#include "cpu.h"
#include "qemu/module.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-hook.h"

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

/* The time stolen from a vCPU, where its guest has it, as it was. */
typedef struct {
    hwaddr at;
    uint64_t stolen;
} Stolen;

static GArray *before;

static void write_stolen(const Stolen *stolen)
{
    address_space_write(&address_space_memory, stolen->at,
                        MEMTXATTRS_UNSPECIFIED, &stolen->stolen,
                        sizeof(stolen->stolen));
}

/*
 * KVM adds to the time stolen from a vCPU what its thread has waited since it
 * looked last; a new vCPU has never looked, and would add all of it again.
 */
static void adjust_stolen(CPUState *cpu)
{
    uint64_t where = read_msr(cpu, MSR_KVM_STEAL_TIME), waited;
    Stolen stolen = {.at = where & ~(uint64_t)63};

    if (!(where & KVM_MSR_ENABLED) || !waited_for_cpu(cpu, &waited) ||
        address_space_read(&address_space_memory, stolen.at,
                           MEMTXATTRS_UNSPECIFIED, &stolen.stolen,
                           sizeof(stolen.stolen)) != MEMTX_OK) {
        return;
    }
    g_array_append_val(before, stolen);
    stolen.stolen = cpu_to_le64(le64_to_cpu(stolen.stolen) - waited);
    write_stolen(&stolen);
}

static bool adjust(void *opaque, KvmResetPhase phase, Error **errp)
{
    CPUState *cpu;

    if (!before) {
        before = g_array_new(false, false, sizeof(Stolen));
    }
    g_array_set_size(before, 0);
    /* At a reset it begins anew. */
    if (kvm_reset_preserves_guest()) {
        CPU_FOREACH(cpu)
        {
            adjust_stolen(cpu);
        }
    }
    return true;
}

static void adjust_back(void *opaque, KvmResetPhase phase)
{
    for (guint i = 0; i < before->len; i++) {
        write_stolen(&g_array_index(before, Stolen, i));
    }
}

static const KvmResetHook hook = {
    .name = "stolen-time",
    .phases = 1u << KVM_RESET_PHASE_NEW_VM,
    .run = adjust,
    .undo = adjust_back,
    .preserves = true,
};

static void register_hook(void)
{
    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
