/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into QEMU: what a careless subsystem would do. A debugger has it
 * done, with the address of the function of kvm-reset's or QEMU's for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "accel/kvm-reset/c_api.h"

enum {
    FAILS_BEFORE,
    FAILS_ON_NEW_VM,
    TWICE,
    CYCLE
};

char kvm_reset_planted_why[500];
static int undone;
static __typeof__(kvm_reset_error_set) *set_error;

static bool run(void *opaque, KvmResetPhase phase, struct Error **errp)
{
    char why[100];

    if (opaque) {
        snprintf(why, sizeof(why), "its card is on fire (%d undone)", undone);
        set_error(errp, why, NULL);
    }
    return !opaque;
}

static void undo(void *opaque, KvmResetPhase phase)
{
    (void)opaque;
    (void)phase;
    undone++;
}

/* Whether both hooks were registered. */
bool kvm_reset_plant(__typeof__(kvm_reset_add_hook) *add,
                     __typeof__(kvm_reset_error_set) *set,
                     __typeof__(kvm_reset_error_take) *take, int what)
{
    static const char *const after_b[] = {"b", NULL};
    static const char *const after_a[] = {"a", NULL};
    KvmResetHook good = {
        .name = "planted-good", .preserves = true, .run = run, .undo = undo};
    KvmResetHook hook = {
        .name = "planted", .preserves = true, .run = run, .opaque = &undone};
    const KvmResetHook *second = &hook;
    struct Error *err = NULL;
    char *why = NULL;
    bool done;

    set_error = set;
    switch (what) {
    case FAILS_BEFORE:
    case FAILS_ON_NEW_VM:
        good.phases = hook.phases = 1u << what;
        break;
    case TWICE:
        good.phases = 1u << KVM_RESET_PHASE_NEW_VM;
        second = &good;
        break;
    default:
        good.phases = hook.phases = 1u << KVM_RESET_PHASE_NEW_VM;
        good.name = "a";
        good.after = after_b;
        hook.name = "b";
        hook.after = after_a;
        hook.opaque = NULL;
        break;
    }
    done = add(NULL, NULL, &good, &err) && add(NULL, NULL, second, &err);
    if (err) {
        why = take(err);
    }
    snprintf(kvm_reset_planted_why, sizeof(kvm_reset_planted_why), "%s",
             why ?: "");
    free(why);
    return done;
}

/*
 * A doorbell and an interrupt whose eventfds are closed without a word; their
 * numbers are other files' when the next VM is made. How many there were.
 */
int kvm_reset_plant_eventfds(int (*vm_ioctl)(int fd, unsigned long request,
                                             void *arg, void *caller),
                             int vm)
{
    struct kvm_ioeventfd bell = {.addr = 0xfeb00000, .len = 4};
    struct kvm_irqfd irq = {.gsi = 11};
    int planted = 0;

    bell.fd = eventfd(0, EFD_CLOEXEC);
    irq.fd = eventfd(0, EFD_CLOEXEC);
    planted += vm_ioctl(vm, KVM_IOEVENTFD, &bell, NULL) == 0;
    planted += vm_ioctl(vm, KVM_IRQFD, &irq, NULL) == 0;
    close(bell.fd);
    close(irq.fd);
    if (open("/dev/null", O_RDWR | O_CLOEXEC) != bell.fd ||
        open("/dev/null", O_RDWR | O_CLOEXEC) != (int)irq.fd) {
        return -1;
    }
    return planted;
}
