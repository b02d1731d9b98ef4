/*
 * The core's functions for QEMU's C code in qemu/ and target/ARCH/kvm-reset/
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nobody else includes it: the funnels and the reset path have
 * sysemu/kvm-reset.h, devices have sysemu/kvm-reset-hook.h.  No type of KVM's
 * or of C++ is in it, and no exception crosses it.
 *
 * A function with an errp returns true, or false with *@errp set.  Strings
 * that a function returns through `char **` are the caller's, to be freed with
 * free().
 */

#ifndef KVM_RESET_C_API_H
#define KVM_RESET_C_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sysemu/kvm-reset-hook.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Errors -------------------------------------------------------------- */

/*
 * QEMU's Error is known to QEMU's C code alone, and the core is also built
 * without it.  So qemu/error.c has these two there, and in the build without
 * QEMU tests/standalone/.
 */

/**
 * kvm_reset_error_set - sets *@errp, if @errp is not NULL
 * @what: what failed, on what: a sentence
 * @hint: what to do: a sentence, or NULL
 */
void kvm_reset_error_set(struct Error **errp, const char *what,
                         const char *hint);

/* kvm_reset_error_take - what @err says, to be freed with free(); frees @err */
char *kvm_reset_error_take(struct Error *err);

/* --- Hooks --------------------------------------------------------------- */

/**
 * kvm_reset_add_hook - adds a hook to the registry; it is copied
 * @owner: whose it is, only to be compared; or NULL
 * @owner_name: for messages, copied; or NULL
 *
 * Devices call kvm_reset_register_hook().  Fails as that does.
 */
bool kvm_reset_add_hook(const void *owner, const char *owner_name,
                        const KvmResetHook *hook, struct Error **errp);

/* kvm_reset_remove_hooks - all of @owner's; whether there was one */
bool kvm_reset_remove_hooks(const void *owner);

/**
 * kvm_reset_hook_name - the hooks that there are, in the order of their run
 * @index: from 0
 *
 * With the owner's name in brackets, if it has one.  Returns NULL behind the
 * last.  Borrowed until a hook is added or removed.
 */
const char *kvm_reset_hook_name(unsigned index);

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
 * @waits: set to whether it waits for an old VM to go
 *
 * vCPUs are stopped.  On failure the guest is on its old VM, as it was, and it
 * may be asked again.  Under the big lock.
 *
 * A confidential guest is launched again.  Where its memory is encrypted in
 * place (SEV, SEV-ES) the old VM must go before that; if the launch fails
 * then, the guest cannot go on: `lost` in its status says so.
 *
 * With @waits set, what fails is no failure, and *@errp says what is waited
 * for.  The guest is not to run until it was asked again: when the listener of
 * kvm_reset_on_progress() was called, and a moment later at the latest.  Then
 * the guest may have no VM meanwhile: `made_room` in its status says so.
 */
bool kvm_reset_rebirth(bool *waits, struct Error **errp);

/**
 * kvm_reset_give_up - the reset that waits comes to nothing, for the reason @why
 *
 * It counts as one that failed.  The guest is on its old VM, or has none and may
 * be reset again.  Under the big lock.
 */
void kvm_reset_give_up(const char *why);

/**
 * kvm_reset_on_progress - @listener is called when old VMs have less than
 * before, on a thread of kvm-reset's: it may only leave a note.  Before the
 * first reset.
 */
void kvm_reset_on_progress(void (*listener)(void));

/**
 * kvm_reset_make_room_when_full - whether a confidential guest's old VM goes
 * first, if the host has not enough for a second one; it does not, at first
 */
void kvm_reset_make_room_when_full(bool may);

/**
 * kvm_reset_before_run - runs the last hooks, when devices are reset
 */
bool kvm_reset_before_run(struct Error **errp);

/* KvmResetCoreDurations - how long the steps took, in nanoseconds; 0: there was none */
typedef struct KvmResetCoreDurations {
    uint64_t prepare; /* building the VM, or bringing it up to date */
    uint64_t quiesce; /* hooks before anything is touched */
    uint64_t state;   /* reading the guest's state and putting it */
    uint64_t commit;  /* the swap */
    uint64_t launch;  /* launching a confidential guest again */
    uint64_t hooks;   /* hooks on the new VM */
    uint64_t retire;  /* closing the old VM */
    uint64_t total;   /* what the guest waited for */
} KvmResetCoreDurations;

/* KvmResetPause - a rebirth that preserved the guest */
typedef struct KvmResetPause {
    KvmResetCoreDurations durations;
    bool used_spare;
    uint64_t bytes; /* of state */
} KvmResetPause;

/**
 * kvm_reset_preserve_prepare - a new VM for a guest that is to go on
 *
 * While the guest runs: builds the VM and finds out what state there is to
 * carry.  Fails if there is some that cannot be.  Under the big lock.
 */
bool kvm_reset_preserve_prepare(struct Error **errp);

/**
 * kvm_reset_preserve - puts it in place with all of the guest's state
 *
 * After kvm_reset_preserve_prepare(), with the vCPUs stopped and none of them
 * inside of an I/O instruction.  On failure the guest is on its old VM, as it
 * was.  Under the big lock.
 */
bool kvm_reset_preserve(KvmResetPause *pause, struct Error **errp);

/* kvm_reset_preserve_cancel - instead: it was only to be seen if it can be done */
void kvm_reset_preserve_cancel(void);

/* kvm_reset_preserve_end - the guest runs: the old VM may be taken down */
void kvm_reset_preserve_end(void);

/**
 * kvm_reset_may_detach - whether kvm_reset_detach() would be refused
 * @by_fd: kvm_reset_attach() will be given a descriptor
 *
 * As far as that can be told without a new VM.  Opens the KVM device for it,
 * unless @by_fd.  Changes nothing.  Under the big lock.
 */
bool kvm_reset_may_detach(bool by_fd, struct Error **errp);

/**
 * kvm_reset_device_opens - whether the KVM device can be opened anew, by this
 * process as it is now.  If not, new VMs are made on the fd in use.
 */
bool kvm_reset_device_opens(struct Error **errp);

/* kvm_reset_is_device - whether @fd is KVM's device */
bool kvm_reset_is_device(int fd);

/**
 * kvm_reset_detach_prepare - kvm_reset_preserve_prepare(), to detach
 * @by_fd: see kvm_reset_may_detach()
 */
bool kvm_reset_detach_prepare(bool by_fd, struct Error **errp);

/**
 * kvm_reset_detach - takes the guest's state into memory and lets go of KVM
 *
 * After kvm_reset_detach_prepare(), as kvm_reset_preserve(), and the vCPUs
 * may not run until kvm_reset_attach().  When it returns true, no fd or mapping
 * of KVM's is left; each number and address is kept.  What defines the VM is
 * recorded meanwhile, interrupts wait, all else that is asked of KVM fails
 * (ENODEV).  On failure the guest is on its VM, as it was.  Under the big lock.
 */
bool kvm_reset_detach(KvmResetPause *pause, struct Error **errp);

/**
 * kvm_reset_attach - opens KVM again, and gives the guest a VM with its state
 *
 * @device: an fd of the KVM device, which stays the caller's; -1: it is opened
 *
 * As kvm_reset_preserve().  Fails if this KVM lacks what the guest needs.  On
 * failure the guest stays detached, and it may be asked again.
 */
bool kvm_reset_attach(int device, KvmResetPause *pause, struct Error **errp);

/* kvm_reset_detached - whether the guest is; any thread */
bool kvm_reset_detached(void);

/*
 * kvm_reset_has_made_room - whether the guest has no VM until it is reset; any
 * thread, and waits for nobody
 */
bool kvm_reset_has_made_room(void);

/**
 * kvm_reset_preserved - the name of a piece of state that was carried
 *
 * The last time, number @index from 0 on; NULL behind the last.  Borrowed.
 */
const char *kvm_reset_preserved(unsigned index);

typedef struct KvmResetStatus {
    bool restartable;
    uint64_t generation; /* VMs before this one */
    uint64_t aborted;    /* rebirths that failed */
    uint64_t entries;    /* in the journal */
    uint64_t bytes;      /* that the journal takes */
    KvmResetCoreDurations
        last;              /* of the last rebirth; and of the last old VM */
    bool used_spare;       /* the last one had been prepared before */
    uint64_t retiring;     /* old VMs that are not down yet */
    uint64_t held;         /* … that are closed, but somebody else has them */
    uint64_t private_left; /* bytes of private memory that they may have */
    uint64_t progress;     /* how often the listener was called for them */
    bool made_room;        /* the guest has no VM until it is reset */
    uint64_t waited_ns;    /* resets, for old VMs to go: all together */
    const char *spare;     /* "off", "preparing", "ready" or "failed" */
    uint64_t spare_fds;    /* that the spare holds */
    uint64_t spare_bytes;  /* of this process's memory that it takes */
    uint64_t spare_ns;     /* building the last one */
    bool spare_launched;   /* it is launched already */
    bool launching;        /* confidential, and not locked yet */
    bool launched;         /* confidential, and locked */
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
 * otherwise than the first one fails; at first it does
 */
void kvm_reset_require_same_measurement(bool required);

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

/* --- Another launch -------------------------------------------------------- */

/* KvmResetLaunchHost - what a launch may ask the host for */
typedef struct KvmResetRange {
    uint64_t begin, size;
} KvmResetRange;

typedef struct KvmResetLaunchHost {
    const KvmResetRange *ram; /* ascending */
    size_t ranges;
    /* Firmware below 4 GiB that can be written over; of an ordinary guest. */
    KvmResetRange rom;
    const char *command_line; /* of the guest's kernel */
    const void *madt;         /* the ACPI table; NULL: the guest has none */
    size_t madt_size;
    uint64_t most_bytes; /* that may be kept for it */
} KvmResetLaunchHost;

/* KvmResetLaunch - one that a reset can take instead of the recorded one */
typedef struct KvmResetLaunch KvmResetLaunch;

/**
 * kvm_reset_launch_of_igvm - that of the IGVM file in @bytes, which are copied
 *
 * Returns NULL with *@errp set if the file is not for this guest; else what it
 * returns can be launched, as far as the file goes.  Hashes all of it.  Any
 * thread, and needs no lock.
 */
KvmResetLaunch *kvm_reset_launch_of_igvm(const void *bytes, size_t size,
                                         const KvmResetLaunchHost *host,
                                         struct Error **errp);

/*
 * kvm_reset_launch_digest - what will be measured of it; NULL: an ordinary guest
 * is not.  Borrowed.
 */
const char *kvm_reset_launch_digest(const KvmResetLaunch *launch);

/* kvm_reset_launch_free - of one that was not chosen; @launch may be NULL */
void kvm_reset_launch_free(KvmResetLaunch *launch);

typedef enum KvmResetLaunchSource {
    KVM_RESET_LAUNCH_START, /* the recorded one */
    KVM_RESET_LAUNCH_GUEST,
    KVM_RESET_LAUNCH_OPERATOR,
} KvmResetLaunchSource;

/**
 * kvm_reset_choose_launch - the next reset takes it
 * @by: who brought it, or takes back
 * @launch: kvm-reset's from now on; NULL for the host's, which is the
 *     operator's standing one or else the recorded one; by the operator, NULL
 *     is for the recorded one
 * @once: for one reset, and then the host's again; by the operator, for one
 *     reset, and then what there was
 *
 * If the platform does not take it, the guest is launched as the last time.
 * What it takes the place of is wiped here, which may take milliseconds.  Any
 * thread.
 */
void kvm_reset_choose_launch(KvmResetLaunchSource by, KvmResetLaunch *launch,
                             bool once);

/**
 * kvm_reset_write_launch - writes what is in force of an ordinary guest's into
 * its memory and its first vCPU, or the host's firmware back
 *
 * After devices were reset, before the guest runs, with the registers of its
 * vCPUs in KVM; under the big lock.  Otherwise it runs from the host's
 * firmware, and *@errp says why.
 */
bool kvm_reset_write_launch(struct Error **errp);

/* KvmResetLaunches - which launches there are; free with kvm_reset_launches_free() */
typedef struct KvmResetLaunches {
    KvmResetLaunchSource source; /* of the VM in place */
    char *digest;                /* of that; NULL: not measured, or not yet */
    KvmResetLaunchSource next_source;
    char *next_digest; /* NULL: recorded */
    bool next_once;    /* the next one is for one reset */
    char *refused;     /* why the platform did not take one; or NULL */
} KvmResetLaunches;

/* kvm_reset_launches - fills it; any thread */
void kvm_reset_launches(KvmResetLaunches *launches);
void kvm_reset_launches_free(KvmResetLaunches *launches);

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
 * @open_path: opens a path for reading and writing, close-on-exec: an fd, or a
 *     negative errno; any thread.  NULL: the system call does
 *
 * Copied.  Before the first ioctl.
 */
void kvm_reset_set_device(const char *path, int (*open_path)(const char *path));

#ifdef __cplusplus
}
#endif

#endif
