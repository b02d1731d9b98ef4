/*
 * kvm-reset: what QEMU's funnels of KVM ioctls and its reset path call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See docs/design.md.  A device has more use for kvm-reset-hook.h.
 */

#ifndef SYSEMU_KVM_RESET_H
#define SYSEMU_KVM_RESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct Error;
struct ObjectClass;

/* --- The funnel ---------------------------------------------------------- */

/*
 * For each ioctl number (the low 8 bits) a request that never defines
 * anything, whatever its argument; 0 where there is none.  Made from the
 * catalogue.  While a confidential guest is being launched, what sets the
 * state of its vCPUs is not in it.
 */
extern uint32_t kvm_reset_passthrough[256];

/*
 * kvm_reset_ioctl_recorded - the slow half of kvm_reset_ioctl()
 * @code_address: a code address that messages name, or NULL
 */
int kvm_reset_ioctl_recorded(int fd, unsigned long request, void *arg,
                             const void *code_address);

/**
 * kvm_reset_ioctl - ioctl() on any of KVM's fds
 * @fd: the KVM device, the VM, a vCPU or a device
 * @request: the full request, as in <linux/kvm.h>
 * @arg: the argument, a pointer or a number
 *
 * Issues the ioctl and, if it defines the VM, records it.  Returns and sets
 * errno as ioctl() does.  Any thread.  What never defines anything, KVM_RUN
 * above all, costs one load and one comparison more than ioctl().
 */
static inline __attribute__((always_inline)) int
kvm_reset_ioctl(int fd, unsigned long request, void *arg)
{
    uint32_t passthrough = __atomic_load_n(
        &kvm_reset_passthrough[request & 0xff], __ATOMIC_RELAXED);

    if (__builtin_expect(passthrough == (uint32_t)request, 1)) {
        return ioctl(fd, request, arg);
    }
    return kvm_reset_ioctl_recorded(fd, request, arg,
                                    __builtin_return_address(0));
}

/**
 * kvm_reset_mmap, kvm_reset_munmap, kvm_reset_close - for KVM's fds
 *
 * As mmap(), munmap() and close().  A mapping that was made here is made
 * again, at the same address, of the new VM's fd; an fd that was closed here
 * is not asked for again.  Any thread.
 */
void *kvm_reset_mmap(void *addr, size_t length, int prot, int flags, int fd,
                     off_t offset);
int kvm_reset_munmap(void *addr, size_t length);
int kvm_reset_close(int fd);

/**
 * kvm_reset_measurement_told - the platform's measurement was asked for
 *
 * If that is before the guest first runs, its owner decides whether it does;
 * then it stops there again whenever it is launched again.  Any thread.
 */
void kvm_reset_measurement_told(void);

/* --- The reset path (only in a QEMU tree) -------------------------------- */

/* kvm_reset_init - sets up traces and hooks; from kvm_init() */
void kvm_reset_init(const char *device);

/* kvm_reset_add_machine_properties - x-change-vmfd-on-reset, kvm-reset-spare */
void kvm_reset_add_machine_properties(struct ObjectClass *machine_class);

/**
 * kvm_reset_possible - whether the guest can have a new VM
 *
 * Asked when its vCPUs cannot be reset.  Any thread.
 */
bool kvm_reset_possible(void);

typedef enum KvmResetOutcome {
    /* The guest keeps its VM and is to be reset in the ordinary way. */
    KVM_RESET_KEPT,
    /* The guest has a new VM: reset devices, then kvm_reset_finish(). */
    KVM_RESET_REBORN,
    /*
     * The guest needs a new VM and did not get it: it is stopped on its old
     * one, unharmed, or waits.  Reset nothing.
     */
    KVM_RESET_REFUSED,
} KvmResetOutcome;

/**
 * kvm_reset_begin - gives the guest a new VM if it needs or wants one
 * @cause: a ShutdownCause; only what the guest or its operator asked for is
 *     a reset in this sense, not QEMU's start or the loading of a snapshot
 *
 * With the vCPUs stopped, before devices are reset; under the big lock.
 */
KvmResetOutcome kvm_reset_begin(int cause);

/**
 * kvm_reset_finish - puts all of the vCPUs' state into the new VM
 *
 * After devices were reset, before the guest runs.  On failure the guest
 * is stopped at the end of the reset, as is one that waits for its owner.
 */
void kvm_reset_finish(void);

/**
 * kvm_reset_refused - whether the last kvm_reset_begin() left the guest as it
 * was, on its old VM, so that its run state is to stay what it is
 */
bool kvm_reset_refused(void);

/**
 * kvm_reset_holds_vcpus - whether vCPUs do not run, though the guest does
 *
 * A reset waits for what the old VM has; resume_all_vcpus() is called when it
 * does so no more.  Main loop.
 */
bool kvm_reset_holds_vcpus(void);

/**
 * kvm_reset_command_available - whether a monitor has this command now
 * @allow_detached: it is marked as one that needs no KVM
 * @allow_without_vm: it is marked as one that needs KVM, but not a VM
 *
 * While the guest is detached from KVM, a monitor has the first kind alone; while
 * its VM had to make room for the next one, both.  @errp may be NULL.  Any
 * thread.
 */
bool kvm_reset_command_available(const char *name, bool allow_detached,
                                 bool allow_without_vm, struct Error **errp);

/* kvm_reset_may_run - whether the guest can run; says so if it cannot */
bool kvm_reset_may_run(void);

#ifdef __cplusplus
}
#endif

#endif
