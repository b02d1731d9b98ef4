/*
 * kvm-reset: what a device or subsystem of QEMU has to say when the guest gets
 * a new KVM VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hardly any needs to: docs/adding-a-hook.md says which, and has an example.
 * It is the same with and without KVM.
 */

#ifndef SYSEMU_KVM_RESET_HOOK_H
#define SYSEMU_KVM_RESET_HOOK_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct Error;
struct Object;

typedef enum KvmResetPhase {
    /*
     * The guest is stopped and the old VM still in place.  Only in this phase
     * other threads may issue ioctls, so that locks which they hold meanwhile
     * may be taken.
     */
    KVM_RESET_PHASE_QUIESCE,
    /* The new VM is in place, with its vCPUs. */
    KVM_RESET_PHASE_NEW_VM,
    /* Devices are reset, the guest is about to run; there is no way back. */
    KVM_RESET_PHASE_BEFORE_RUN,
    /*
     * A rebirth failed: the old VM is in place.  Every hook hears it, also
     * after one that fails here, and none of them is undone.  None does of a
     * launch that failed when the old VM was gone: the next reset follows.
     */
    KVM_RESET_PHASE_ABORTED,
} KvmResetPhase;

/**
 * KvmResetHook - what a device or subsystem does when the guest gets a new VM
 * @name: for messages, and for @after of others; unique for each owner
 * @after: names of hooks that must run before, NULL-terminated, or NULL; one
 *     that nobody has is no error
 * @phases: the phases it wants, each as 1u << KvmResetPhase
 * @run: does it and returns true; on failure sets *@errp and returns false,
 *     having changed nothing
 * @undo: puts back what @run did in that phase, or NULL
 * @opaque: passed to both
 * @preserves: whether it runs at a rebirth that preserves the guest, too,
 *     which no reset of devices follows; KVM_RESET_PHASE_BEFORE_RUN is not
 *     part of it
 *
 * Called under the big lock, on the thread that does the reset.
 */
typedef struct KvmResetHook {
    const char *name;
    const char *const *after;
    unsigned phases;
    bool (*run)(void *opaque, KvmResetPhase phase, struct Error **errp);
    void (*undo)(void *opaque, KvmResetPhase phase);
    void *opaque;
    bool preserves;
} KvmResetHook;

/**
 * kvm_reset_register_hook - adds a hook, for as long as its owner is there
 * @owner: a device from its realize() on, or any other object; or NULL, and
 *     the hook stays
 * @hook: copied
 *
 * The hook goes when the device is unrealized or the object finalized.  Where
 * there is no KVM this does nothing, so that a device need not ask.
 *
 * Returns false with *@errp set if the hook is incomplete, if @owner has one
 * of that name already, or if it would have to run after itself.  Under the
 * big lock.
 */
bool kvm_reset_register_hook(struct Object *owner, const KvmResetHook *hook,
                             struct Error **errp);

/**
 * kvm_reset_preserves_guest - whether the guest goes on as it is on its new VM
 *
 * For a hook with @preserves, while it runs: true if no reset of devices
 * follows.
 */
bool kvm_reset_preserves_guest(void);

/**
 * kvm_reset_skip_irqfd - says that the reset of its device ends an eventfd's irqfds
 * @eventfd: which that reset also closes
 *
 * Only in a hook in KVM_RESET_PHASE_QUIESCE, and for that rebirth alone.  KVM
 * needs long to take an irqfd away, so these do not move to the new VM.  Where
 * the device kept one after all, it moves when the guest is about to run; if
 * that fails, kvm_reset_before_run() does.
 */
void kvm_reset_skip_irqfd(int eventfd);

/**
 * kvm_reset_block - says that the VM cannot be restarted
 * @why: a sentence for people; copied
 *
 * For code that does to the VM what no ioctl tells.  The first reason stays
 * until the VM is closed.  Any thread.
 */
void kvm_reset_block(const char *why);

#ifdef __cplusplus
}
#endif

#endif
