/*
 * kvm-reset in QEMU: an operator brings firmware (kvm-reset-load-launch)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file is read and tried on a thread of QEMU's pool, without the big lock,
 * and the monitor waits for that as a coroutine.
 */

#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-kvm-reset.h"
#include "qemu/cutils.h"
#include "system/kvm.h"
#include "internal.h"
#include "launches.h"

typedef struct Work {
    int fd;
    bool once;
    KvmResetLaunch *launch;
    Error *err;
} Work;

/* --- On a thread ---------------------------------------------------------- */

static bool check_file(int fd, size_t *size, Error **errp)
{
    struct stat file;

    if (fstat(fd, &file)) {
        error_setg_errno(errp, errno, "the IGVM file cannot be looked at");
        return false;
    }
    if (!S_ISREG(file.st_mode)) {
        error_setg(errp, "the IGVM file is no regular file");
        return false;
    }
    if (file.st_size > kvm_reset_launch_memory) {
        error_setg(errp,
                   "the IGVM file has 0x%" PRIx64 " bytes, and it may have "
                   "0x%" PRIx64 " (-machine kvm-reset-launch-memory)",
                   (uint64_t)file.st_size, kvm_reset_launch_memory);
        return false;
    }
    *size = file.st_size;
    return true;
}

/* From its beginning, wherever the descriptor is. */
static uint8_t *read_file(int fd, size_t *size, Error **errp)
{
    g_autofree uint8_t *bytes = NULL;
    size_t done = 0;

    if (!check_file(fd, size, errp)) {
        return NULL;
    }
    bytes = g_try_malloc(MAX(*size, 1));
    if (!bytes) {
        error_setg(errp, "no memory for the 0x%zx bytes of the IGVM file",
                   *size);
        return NULL;
    }
    while (done < *size) {
        ssize_t got = pread(fd, bytes + done, *size - done, done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            error_setg_errno(errp, errno, "the IGVM file cannot be read");
            return NULL;
        }
        if (!got) {
            error_setg(errp, "the IGVM file became shorter while it was read");
            return NULL;
        }
        done += got;
    }
    return g_steal_pointer(&bytes);
}

static int read_and_try(void *opaque)
{
    Work *work = opaque;
    size_t size;
    g_autofree uint8_t *bytes = read_file(work->fd, &size, &work->err);

    if (bytes) {
        work->launch = kvm_reset_try_launch(bytes, size, &work->err);
    }
    return 0;
}

static int choose(void *opaque)
{
    Work *work = opaque;

    kvm_reset_choose_launch(KVM_RESET_LAUNCH_OPERATOR, work->launch,
                            work->once);
    return 0;
}

static int give_back(void *opaque)
{
    Work *work = opaque;

    kvm_reset_launch_free(work->launch);
    return 0;
}

/* --- The command ----------------------------------------------------------- */

static bool may_load(Error **errp)
{
    KvmResetStatus status;

    if (!kvm_reset_may_bring(errp)) {
        return false;
    }
    kvm_reset_status(&status, NULL, NULL, NULL);
    if (current_machine->cgs && !status.launched) {
        error_setg(errp, "the guest was not launched yet");
        return false;
    }
    return true;
}

static int open_file(const char *filename, const char *fd, Error **errp)
{
    if (fd) {
        return kvm_reset_take_descriptor(fd, O_RDONLY, errp);
    }
    /* It may be a pipe, which nobody may ever write to. */
    return qemu_open(filename,
                     strstart(filename, "/dev/fdset/", NULL)
                         ? O_RDONLY
                         : O_RDONLY | O_NONBLOCK,
                     errp);
}

static bool is_meant(const char *digest, bool new_measurement, Error **errp)
{
    g_autofree char *first = kvm_reset_first_digest();

    if (new_measurement || !kvm_reset_wants_same_measurement() ||
        !g_strcmp0(first, digest)) {
        return true;
    }
    error_setg(errp,
               "the guest was first measured as %s, and would be as %s; say "
               "new-measurement if that is meant (-machine "
               "kvm-reset-measurement=same)",
               first, digest);
    return false;
}

static KvmNextLaunch *answer_of(const Work *work)
{
    KvmNextLaunch *next = g_new0(KvmNextLaunch, 1);

    if (work->launch) {
        next->source = KVM_LAUNCH_SOURCE_OPERATOR;
        next->digest = g_strdup(kvm_reset_launch_digest(work->launch));
        next->once = work->once;
    }
    return next;
}

static KvmNextLaunch *coroutine_fn go_back(bool check)
{
    Work work = {.launch = NULL};

    if (!check) {
        thread_pool_submit_co(choose, &work);
        kvm_reset_allow_migration_if_possible();
    }
    return answer_of(&work);
}

static KvmNextLaunch *coroutine_fn load(int fd, bool once, bool new_measurement,
                                        bool check, Error **errp)
{
    Work work = {.fd = fd, .once = once};
    KvmNextLaunch *answer;

    thread_pool_submit_co(read_and_try, &work);
    if (!work.launch) {
        error_propagate(errp, work.err);
        return NULL;
    }
    answer = answer_of(&work);
    if (is_meant(answer->digest, new_measurement, errp)) {
        if (check) {
            thread_pool_submit_co(give_back, &work);
            return answer;
        }
        if (kvm_reset_begin_choice(errp)) {
            thread_pool_submit_co(choose, &work);
            kvm_reset_end_choice();
            return answer;
        }
    }
    thread_pool_submit_co(give_back, &work);
    qapi_free_KvmNextLaunch(answer);
    return NULL;
}

KvmNextLaunch *coroutine_fn qmp_kvm_reset_load_launch(
    const char *filename, const char *fd, bool has_start, bool start,
    bool has_once, bool once, bool has_new_measurement, bool new_measurement,
    bool has_check, bool check, Error **errp)
{
    KvmNextLaunch *answer;
    int file;

    if (!!filename + !!fd + start != 1) {
        error_setg(errp, "one of 'filename', 'fd' and 'start' has to be "
                         "given");
        return NULL;
    }
    if (start && once) {
        error_setg(errp, "what QEMU was started with is gone back to for good, "
                         "so there is no 'once' with 'start'");
        return NULL;
    }
    if (!may_load(errp)) {
        return NULL;
    }
    if (start) {
        return go_back(check);
    }
    file = open_file(filename, fd, errp);
    if (file < 0) {
        return NULL;
    }
    answer = load(file, once, new_measurement, check, errp);
    qemu_close(file);
    return answer;
}
