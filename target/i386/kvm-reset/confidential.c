/*
 * kvm-reset in QEMU: what QEMU knows of a confidential x86 guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launch itself is ioctls, and repeated without QEMU's help.  Here is
 * what QEMU remembers of it and of the memory that the guest has shared.
 */

#include "qemu/osdep.h"
#if __has_include("system/ramblock.h")
#include "system/ramblock.h"
#define HAVE_RAM_BLOCK_ATTRIBUTES
#else
#include "exec/ramblock.h"
#endif
#if __has_include("exec/cpu-common.h")
#include "exec/cpu-common.h"
#endif
#include "exec/target_page.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "system/kvm.h"
#include "sysemu/kvm-reset-hook.h"
#include "accel/kvm-reset/qemu/launches.h"
#include "sev.h"
#if __has_include("kvm/tdx.h")
#include "kvm/tdx.h"
#endif

/*
 * The new VM has all memory private, and none of what the old guest has put
 * into shared pages is of use to the new one, unless it says so.
 */
static int forget_shared(RAMBlock *block, void *opaque)
{
    ram_addr_t size = qemu_ram_get_used_length(block);
    int ret;

    if (block->guest_memfd < 0) {
        return 0;
    }
#ifdef HAVE_RAM_BLOCK_ATTRIBUTES
    if (block->attributes &&
        ram_block_attributes_state_change(block->attributes, 0, size, true)) {
        warn_report("kvm-reset: %s: not every device knows that its memory "
                    "is private again",
                    qemu_ram_get_idstr(block));
    }
#endif
    /* Huge pages were given beforehand and are not given back. */
    if (kvm_reset_keeps_shared ||
        qemu_ram_pagesize(block) != qemu_real_host_page_size()) {
        return 0;
    }
    ret = ram_block_discard_range(block, 0, size);
    if (ret) {
        warn_report("kvm-reset: %s: what the old guest shared stays: %s",
                    qemu_ram_get_idstr(block), strerror(-ret));
    }
    return 0;
}

/* The platform's handle and measurement are others than before. */
static void tell_sev(bool finished)
{
#ifdef CONFIG_SEV
    uint8_t start[40], measurement[1024];
    uint32_t handle = 0;
    size_t length;

    if (kvm_reset_launch_answer("KVM_SEV_LAUNCH_START", false, start,
                                sizeof(start))) {
        memcpy(&handle, start, sizeof(handle));
    }
    length = kvm_reset_launch_answer("KVM_SEV_LAUNCH_MEASURE", true,
                                     measurement, sizeof(measurement));
    sev_launched_again(handle, measurement, MIN(length, sizeof(measurement)),
                       finished);
#endif
}

/* What the old guest asked for, a quote say, is not to reach the new one. */
static void tell_tdx(void)
{
#ifdef CONFIG_TDX
    if (is_tdx_vm()) {
        tdx_launched_again();
    }
#endif
}

static bool begin_anew(void *opaque, KvmResetPhase phase, Error **errp)
{
    KvmResetStatus status;

    kvm_reset_status(&status, NULL, NULL, NULL);
    if (!status.launching && !status.launched) {
        return true;
    }
    qemu_ram_foreach_block(forget_shared, NULL);
    if (sev_enabled() && !sev_snp_enabled()) {
        tell_sev(status.launched);
    }
    tell_tdx();
    return true;
}

static const KvmResetHook hook = {
    .name = "confidential-guest",
    .phases = 1u << KVM_RESET_PHASE_BEFORE_RUN,
    .run = begin_anew,
};

static void register_hook(void)
{
    kvm_reset_register_hook(NULL, &hook, &error_abort);
}

type_init(register_hook)
