/*
 * The C surface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One VM per process, as in QEMU: the objects behind the C functions are made
 * at the first use and live as long as the process, since an exiting process
 * should wait for nothing.
 */

#include "c_api.h"
#include "sysemu/kvm-reset.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "c_instance.h"
#include "detach.h"
#include "generations.h"
#include "kernel.h"
#include "kvm_device.h"
#include "preserve.h"
#include "recorder.h"
#include "registry.h"
#include "reset.h"

using namespace kvm_reset;

static const KvmResetTrace *trace;
static std::string device = "/dev/kvm";
static OpenPath open_path;

namespace {

class TraceObserver final : public Observer {
public:
    void seen(int fd, uint32_t request, const char *name, Effect effect,
              int ret) override
    {
        if (trace && trace->seen) {
            trace->seen(fd, request, name, to_string(effect), ret);
        }
    }

    void blocked(const std::string &why) override
    {
        if (trace && trace->blocked) {
            trace->blocked(why.c_str());
        }
    }

    void stale(const std::string &what) override
    {
        if (trace && trace->stale) {
            trace->stale(what.c_str());
        }
    }

    void step(const char *name, const std::string &what, uint64_t ns) override
    {
        if (trace && trace->step) {
            trace->step(name, what.c_str(), ns);
        }
    }
};

/*
 * By itself, since hooks are registered before the first ioctl, and also where
 * there is none.
 */
Registry &registry()
{
    static Registry *only = new Registry;
    return *only;
}

struct Instance {
    std::unique_ptr<Kernel> kernel = make_system_kernel(device, open_path);
    TraceObserver observer;
    Recorder recorder{*kernel, observer};
    Generations generations{recorder, registry()};
    Preserve preserve{generations};
    Detach detach{generations, preserve};
};

} /* namespace */

static Instance &instance()
{
    static Instance *only = new Instance;
    return *only;
}

Generations &kvm_reset::the_generations()
{
    return instance().generations;
}

/* As a system call does it: -1 and errno. */
static int answer(int ret)
{
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}

int kvm_reset_ioctl_recorded(int fd, unsigned long request, void *arg,
                             const void *code_address)
{
    return answer(
        instance().recorder.ioctl(fd, request, uintptr_t(arg), code_address));
}

void *kvm_reset_mmap(void *addr, size_t length, int prot, int flags, int fd,
                     off_t offset)
{
    void *mapping = MAP_FAILED;
    int ret = instance().recorder.mmap(addr, length, prot, flags, fd, offset,
                                       &mapping);
    return answer(ret) < 0 ? MAP_FAILED : mapping;
}

int kvm_reset_munmap(void *addr, size_t length)
{
    return answer(instance().recorder.munmap(addr, length));
}

int kvm_reset_close(int fd)
{
    return answer(instance().recorder.close(fd));
}

void kvm_reset_block(const char *why)
{
    instance().recorder.block(why);
}

static Result<void> run_c_hook(const KvmResetHook &hook, Phase phase)
{
    ::Error *err = nullptr;

    if (hook.run(hook.opaque, KvmResetPhase(phase), &err)) {
        return {};
    }
    if (!err) {
        return refuse(EIO, "no reason given");
    }
    char *what = kvm_reset_error_take(err);
    auto failed = refuse(EIO, "%s", what);
    free(what);
    return failed;
}

bool kvm_reset_add_hook(const void *owner, const char *owner_name,
                        const KvmResetHook *c_hook, ::Error **errp)
{
    Hook hook;

    static_assert(int(Phase::Aborted) == KVM_RESET_PHASE_ABORTED);
    hook.name = c_hook->name ? c_hook->name : "";
    hook.owner = owner;
    hook.owner_name = owner_name ? owner_name : "";
    hook.preserves = c_hook->preserves;
    for (auto name = c_hook->after; name && *name; name++) {
        hook.after.push_back(*name);
    }
    for (unsigned i = 0; i < phase_count; i++) {
        if (c_hook->phases & (1u << i)) {
            hook.phases.push_back(Phase(i));
        }
    }
    if (c_hook->run) {
        hook.run = [copy = *c_hook](Phase phase) {
            return run_c_hook(copy, phase);
        };
    }
    if (c_hook->undo) {
        hook.undo = [copy = *c_hook](Phase phase) {
            copy.undo(copy.opaque, KvmResetPhase(phase));
        };
    }
    return answer(registry().add(std::move(hook)), errp);
}

bool kvm_reset_remove_hooks(const void *owner)
{
    return registry().remove_owned(owner);
}

const char *kvm_reset_hook_name(unsigned index)
{
    static std::string borrowed;
    const std::vector<Hook> &hooks = registry().hooks();

    if (index >= hooks.size()) {
        return nullptr;
    }
    borrowed = hooks[index].full_name();
    return borrowed.c_str();
}

bool kvm_reset_preserves_guest(void)
{
    return registry().preserving();
}

void kvm_reset_skip_irqfd(int eventfd)
{
    instance().generations.skip_irqfd(eventfd);
}

void kvm_reset_exclude_with(void (*begin)(void), void (*end)(void))
{
    instance().generations.exclude_with(begin, end);
}

bool kvm_reset_rebirth(bool *waits, ::Error **errp)
{
    Result<Durations> done = reset(instance().generations);

    *waits = !done && done.error().waits;
    return answer(done, errp);
}

void kvm_reset_give_up(const char *why)
{
    give_up_reset(instance().generations, why);
}

void kvm_reset_on_progress(void (*listener)(void))
{
    instance().generations.reaper().on_progress(listener);
}

void kvm_reset_make_room_when_full(bool may)
{
    instance().generations.make_room_when_full(may);
}

bool kvm_reset_preserve_prepare(::Error **errp)
{
    return answer(instance().preserve.prepare(), errp);
}

void kvm_reset_preserve_end(void)
{
    instance().generations.release_old_vm();
}

static KvmResetCoreDurations durations_of(const Durations &from)
{
    return {.prepare = from.prepare,
            .quiesce = from.quiesce,
            .state = from.state,
            .commit = from.commit,
            .launch = from.launch,
            .hooks = from.hooks,
            .retire = from.retire,
            .total = from.total};
}

static bool answer(const Result<Durations> &done, KvmResetPause *pause,
                   ::Error **errp)
{
    if (!answer(done, errp)) {
        return false;
    }
    *pause = {.durations = durations_of(*done),
              .used_spare = done->spare,
              .bytes = instance().generations.carried().bytes};
    return true;
}

bool kvm_reset_preserve(KvmResetPause *pause, ::Error **errp)
{
    return answer(instance().preserve.run(), pause, errp);
}

void kvm_reset_preserve_cancel(void)
{
    instance().preserve.cancel();
}

bool kvm_reset_may_detach(bool by_fd, ::Error **errp)
{
    return answer(instance().detach.may_detach(by_fd), errp);
}

bool kvm_reset_device_opens(::Error **errp)
{
    return answer(open_kvm_device(*instance().kernel), errp);
}

bool kvm_reset_is_device(int fd)
{
    return must_be_kvm(*instance().kernel, fd, "").has_value();
}

bool kvm_reset_detach_prepare(bool by_fd, ::Error **errp)
{
    return answer(instance().detach.prepare(by_fd), errp);
}

bool kvm_reset_detach(KvmResetPause *pause, ::Error **errp)
{
    return answer(instance().detach.detach(), pause, errp);
}

bool kvm_reset_attach(int device, KvmResetPause *pause, ::Error **errp)
{
    return answer(instance().detach.attach(device), pause, errp);
}

bool kvm_reset_detached(void)
{
    return instance().generations.detached();
}

bool kvm_reset_has_made_room(void)
{
    return instance().generations.presence() == Presence::MadeRoom;
}

const char *kvm_reset_preserved(unsigned index)
{
    const auto &names = instance().generations.carried().names;
    return index < names.size() ? names[index].c_str() : nullptr;
}

bool kvm_reset_before_run(::Error **errp)
{
    return answer(instance().generations.before_run(), errp);
}

void kvm_reset_status(KvmResetStatus *out, char **why_not, char **last_error,
                      char **spare_error)
{
    SpareStatus spare = instance().generations.spare();
    Recorder &recorder = instance().recorder;
    Status status = instance().generations.status();
    LaunchPlan plan = recorder.plan();
    std::optional<std::string> blocker = recorder.blocker();

    if (!blocker && !recorder.recording()) {
        blocker = "no VM was recorded";
    }
    *out = {
        .restartable = !blocker,
        .generation = status.generation,
        .aborted = status.aborted,
        .entries = recorder.entries(),
        .bytes = recorder.footprint(),
        .last = durations_of(status.last),
        .used_spare = status.last.spare,
        .retiring = status.retiring,
        .held = status.held,
        .private_left = status.private_left,
        .progress = instance().generations.reaper().progress(),
        .made_room = kvm_reset_has_made_room(),
        .waited_ns = status.waited,
        .spare = to_string(spare.state),
        .spare_fds = spare.fds,
        .spare_bytes = spare.bytes,
        .spare_ns = spare.duration,
        .spare_launched = spare.launched,
        .launching = plan.state() == LaunchState::Begun,
        .launched = plan.state() == LaunchState::Finished,
        .lost = status.lost,
        .launch_steps = plan.steps().size(),
        .launch_bytes = plan.footprint(),
    };
    out->last.retire = status.retire;
    if (why_not) {
        *why_not = copy_out(blocker.value_or(""));
    }
    if (last_error) {
        *last_error = copy_out(status.last_error);
    }
    if (spare_error) {
        *spare_error = copy_out(spare.error);
    }
}

void kvm_reset_keep_spare(bool wanted, bool launched)
{
    instance().generations.keep_spare(wanted, launched);
}

void kvm_reset_measurements(char **tee, char **first, char **last)
{
    auto measured = instance().recorder.first_measurement();
    auto again = instance().generations.status().measurement;

    *tee = measured ? copy_out(measured->tee) : nullptr;
    *first = measured ? copy_out(measured->digest) : nullptr;
    *last = again ? copy_out(again->digest) : nullptr;
}

void kvm_reset_require_same_measurement(bool required)
{
    instance().generations.require_same_measurement(required);
}

void kvm_reset_measurement_told(void)
{
    instance().recorder.measurement_told();
}

size_t kvm_reset_launch_answer(const char *command, bool pointed, void *out,
                               size_t room)
{
    for (const Answer &answer : instance().generations.answers()) {
        if (!answer.name || strcmp(answer.name, command)) {
            continue;
        }
        std::span<const uint8_t> bytes = pointed ? answer.pointed[0].bytes()
                                                 : answer.argument.bytes();
        memcpy(out, bytes.data(), std::min(room, bytes.size()));
        return bytes.size();
    }
    return 0;
}

void kvm_reset_drain(void)
{
    instance().generations.drain();
}

void kvm_reset_set_trace(const KvmResetTrace *observer)
{
    trace = observer;
}

void kvm_reset_set_device(const char *path, int (*opener)(const char *path))
{
    device = path;
    open_path = opener;
}
