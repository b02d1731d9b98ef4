/*
 * kvm-reset: a new KVM VM for the guest inside the same process
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one header that QEMU's C code includes.  It needs no KVM header, hands
 * out no C++ type, and no exception crosses it.  See docs/design.md.
 *
 * Strings that a function returns through `char **` are the caller's, to be
 * freed with free().
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
 * kvm_reset_block - says that the VM cannot be restarted
 * @why: a sentence for people; copied
 *
 * For code that does to the VM what no ioctl tells.  The first reason stays
 * until the VM is closed.  Any thread.
 */
void kvm_reset_block(const char *why);

/* --- Hooks --------------------------------------------------------------- */

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
     * after one that fails here, and none of them is undone.
     */
    KVM_RESET_PHASE_ABORTED,
} KvmResetPhase;

/**
 * KvmResetHook - what a subsystem does at a rebirth
 * @name: unique, for messages and for @after of others
 * @after: names of hooks that must run before, NULL-terminated, or NULL
 * @phases: the phases it wants, each as 1u << KvmResetPhase
 * @run: does it; on failure sets *@why (from strdup() or asprintf()) and
 *     returns a positive errno, having changed nothing; 0 is success
 * @undo: puts back what @run did in that phase, or NULL
 * @opaque: passed to both
 *
 * Called under the big lock, on the thread that does the reset.
 */
typedef struct KvmResetHook {
    const char *name;
    const char *const *after;
    unsigned phases;
    int (*run)(void *opaque, KvmResetPhase phase, char **why);
    void (*undo)(void *opaque, KvmResetPhase phase);
    void *opaque;
    /*
     * Whether it runs at a rebirth that preserves the guest, too, which no
     * reset of devices follows; KVM_RESET_PHASE_BEFORE_RUN is not part of it.
     */
    bool preserves;
} KvmResetHook;

/**
 * kvm_reset_add_hook - registers a hook; it is copied
 *
 * Returns 0, or EINVAL (incomplete), EEXIST (the name is taken) or ELOOP (it
 * would have to run after itself) with the sentence in *@why.
 */
int kvm_reset_add_hook(const KvmResetHook *hook, char **why);

/* kvm_reset_remove_hook - whether there was one of that name */
bool kvm_reset_remove_hook(const char *name);

/**
 * kvm_reset_hook_name - the hooks that there are, in the order of their run
 * @index: from 0
 *
 * Returns NULL behind the last.  Borrowed until a hook is added or removed.
 */
const char *kvm_reset_hook_name(unsigned index);

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

/* --- Rebirth ------------------------------------------------------------- */

/**
 * kvm_reset_exclude_with - how other threads are kept from issuing ioctls
 * @begin: returns when none of them issues one; those to come wait
 * @end: lets them go on
 *
 * Called in pairs by kvm_reset_rebirth() and kvm_reset_preserve(), after the
 * hooks of KVM_RESET_PHASE_QUIESCE, on the same thread.
 */
void kvm_reset_exclude_with(void (*begin)(void), void (*end)(void));

/**
 * kvm_reset_rebirth - gives the guest a new VM
 *
 * vCPUs are stopped.  Returns 0, or a positive errno and the reason in *@why:
 * the guest is then on its old VM, as it was, and it may be asked again.
 * Under the big lock.
 *
 * A confidential guest is launched again.  Where its memory is encrypted in
 * place (SEV, SEV-ES) the old VM must go before that; if the launch fails
 * then, the guest cannot go on: `lost` in its status says so.
 */
int kvm_reset_rebirth(char **why);

/**
 * kvm_reset_before_run - runs the last hooks, when devices are reset
 *
 * Returns 0, or a positive errno and the reason in *@why.
 */
int kvm_reset_before_run(char **why);

/**
 * KvmResetPause - what a rebirth that preserved the guest took; nanoseconds
 */
typedef struct KvmResetPause {
    uint64_t prepare; /* building the VM, or bringing it up to date: before */
    uint64_t quiesce; /* hooks before anything is touched */
    uint64_t state;   /* reading the guest's state and putting it */
    uint64_t commit;  /* the swap */
    uint64_t hooks;   /* hooks on the new VM */
    uint64_t retire;  /* closing the old VM, of a guest that is detached */
    bool used_spare;
    uint64_t bytes; /* of state */
} KvmResetPause;

/**
 * kvm_reset_preserve_prepare - a new VM for a guest that is to go on
 *
 * While the guest runs: builds the VM and finds out what state there is to
 * carry.  Returns 0, or a positive errno and the reason in *@why; ENOTSUP: the
 * guest has what cannot be carried.  Under the big lock.
 */
int kvm_reset_preserve_prepare(char **why);

/**
 * kvm_reset_preserve - puts it in place with all of the guest's state
 *
 * After kvm_reset_preserve_prepare(), with the vCPUs stopped and none of them
 * inside of an I/O instruction.  Returns 0, or a positive errno and the reason
 * in *@why: the guest is then on its old VM, as it was.  Under the big lock.
 */
int kvm_reset_preserve(KvmResetPause *pause, char **why);

/* kvm_reset_preserve_cancel - instead: it was only to be seen if it can be done */
void kvm_reset_preserve_cancel(void);

/* kvm_reset_preserve_end - the guest runs: the old VM may be taken down */
void kvm_reset_preserve_end(void);

/**
 * kvm_reset_detach - takes the guest's state into memory and lets go of KVM
 *
 * After kvm_reset_preserve_prepare(), as kvm_reset_preserve(), and the vCPUs
 * may not run until kvm_reset_attach().  When it returns 0, no fd or mapping of
 * KVM's is left; each number and address is kept.  What defines the VM is
 * recorded meanwhile, interrupts wait, all else that is asked of KVM fails
 * (ENODEV).  Otherwise a positive errno and the reason in *@why: the guest is
 * on its VM, as it was.  Under the big lock.
 */
int kvm_reset_detach(KvmResetPause *pause, char **why);

/**
 * kvm_reset_attach - opens KVM again, and gives the guest a VM with its state
 *
 * As kvm_reset_preserve().  On failure the guest stays detached, and it may be
 * asked again; ENOTSUP: this KVM lacks what the guest needs.
 */
int kvm_reset_attach(KvmResetPause *pause, char **why);

/* kvm_reset_detached - whether the guest is; any thread */
bool kvm_reset_detached(void);

/**
 * kvm_reset_preserved - the name of a piece of state that was carried
 *
 * The last time, number @index from 0 on; NULL behind the last.  Borrowed.
 */
const char *kvm_reset_preserved(unsigned index);

/* Durations are in nanoseconds. */
typedef struct KvmResetStatus {
    bool restartable;
    uint64_t generation; /* VMs before this one */
    uint64_t aborted;    /* rebirths that failed */
    uint64_t entries;    /* in the journal */
    uint64_t bytes;      /* that the journal takes */
    uint64_t quiesce;    /* phases of the last rebirth */
    uint64_t prepare;
    uint64_t commit;
    uint64_t launch;
    uint64_t hooks;
    uint64_t total;
    bool used_spare;         /* the last one had been prepared before */
    uint64_t retire;         /* taking the last old VM down */
    uint64_t retiring;       /* old VMs that are not down yet */
    uint64_t waited;         /* resets, for old VMs to go: all together */
    const char *spare;       /* "off", "preparing", "ready" or "failed" */
    uint64_t spare_fds;      /* that the spare holds */
    uint64_t spare_bytes;    /* of this process's memory that it takes */
    uint64_t spare_duration; /* building the last one */
    bool spare_launched;     /* it is launched already */
    bool launching;          /* confidential, and not locked yet */
    bool launched;           /* confidential, and locked */
    bool lost; /* the last rebirth failed when the old VM was gone already:
                  the guest cannot go on, but may be reset again */
    uint64_t launch_steps; /* to take again; 0 for an ordinary guest */
    uint64_t launch_bytes; /* that they take */
} KvmResetStatus;

/**
 * kvm_reset_status - how things stand; any thread
 * @why_not: set to the reason when the VM is not restartable, else to NULL
 * @last_error: set to why the last rebirth failed, or to NULL
 * @spare_error: set to why there is no spare, or to NULL
 * Each may be NULL.
 */
void kvm_reset_status(KvmResetStatus *status, char **why_not, char **last_error,
                      char **spare_error);

/**
 * kvm_reset_keep_spare - whether the next VM is prepared ahead of need
 *
 * It is not, at first.  It is built and kept up to date on a thread of its
 * own, and costs a second VM's fds and kernel memory.  With @launched, a
 * confidential guest is launched on it as well, where two of it can be.  Any
 * thread.
 */
void kvm_reset_keep_spare(bool wanted, bool launched);

/**
 * kvm_reset_measurements - what was measured at launches, as computed
 * @tee: "sev", "sev-es", "snp" or "tdx"
 * @first: when the guest was launched first, in hexadecimal
 * @last: at the last rebirth
 *
 * Each is set to NULL where there is none, and is the caller's.  Any thread.
 */
void kvm_reset_measurements(char **tee, char **first, char **last);

/**
 * kvm_reset_require_same_measurement - whether a launch that would be measured
 * otherwise than the first one is refused; it is, at first
 */
void kvm_reset_require_same_measurement(bool required);

/**
 * kvm_reset_measurement_told - the platform's measurement was asked for
 *
 * If that is before the guest first runs, its owner decides whether it does;
 * then it stops there again whenever it is launched again.  Any thread.
 */
void kvm_reset_measurement_told(void);

/**
 * kvm_reset_launch_answer - what the platform said at the last rebirth
 * @command: a sub-command of KVM_MEMORY_ENCRYPT_OP, as in <asm/kvm.h>
 * @pointed: of what its argument points to, not of the argument itself
 * @out: where up to @room bytes go
 *
 * Returns how many bytes there are, or 0 if that command was not issued.
 * Under the big lock.
 */
size_t kvm_reset_launch_answer(const char *command, bool pointed, void *out,
                               size_t room);

/**
 * kvm_reset_drain - waits until the old VMs are taken down and the spare is
 * ready or has failed; any thread
 */
void kvm_reset_drain(void);

/* --- Traces -------------------------------------------------------------- */

/**
 * KvmResetTrace - told what happens; each may be NULL
 *
 * Called on the thread that did it, perhaps with locks held: only to be
 * handed on to a trace.
 */
typedef struct KvmResetTrace {
    void (*seen)(int fd, uint32_t request, const char *name, const char *effect,
                 int ret);
    void (*blocked)(const char *why);
    void (*stale)(const char *what);
    void (*step)(const char *name, const char *what, uint64_t ns);
} KvmResetTrace;

/* @trace has static storage; set before the first ioctl. */
void kvm_reset_set_trace(const KvmResetTrace *trace);

/**
 * kvm_reset_set_device - the path of the KVM device; "/dev/kvm" if not set
 *
 * Copied.  Before the first ioctl.
 */
void kvm_reset_set_device(const char *path);

/* --- QEMU's reset path (accel/kvm-reset/qemu/, only in a QEMU tree) ------- */

struct ObjectClass;

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
     * one, unharmed.  Reset nothing.
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

#ifndef __cplusplus
struct Error;

/**
 * kvm_reset_command_available - whether a monitor has this command now
 * @human: it is one of the human monitor's
 *
 * A detached guest has few.  @errp may be NULL.  Any thread.
 */
bool kvm_reset_command_available(const char *name, bool human,
                                 struct Error **errp);
#endif

/* kvm_reset_may_run - whether the guest can run; says so if it cannot */
bool kvm_reset_may_run(void);

#ifdef __cplusplus
}
#endif

#endif /* SYSEMU_KVM_RESET_H */
