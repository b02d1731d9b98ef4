/*
 * The guest's VMs, one after the other
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What outlives a transaction: how many VMs there were and what became of the
 * last attempt, the VM before until the guest runs on the one in place, the
 * spare that is to come next, and the end of those that are gone.
 */

#ifndef KVM_RESET_GENERATIONS_H
#define KVM_RESET_GENERATIONS_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "error.h"
#include "guest_state.h"
#include "old_vm.h"
#include "durations.h"
#include "recorder.h"
#include "registry.h"
#include "spare.h"
#include "vm_reaper.h"

namespace kvm_reset {

struct Status {
    uint64_t generation = 0;   /* transactions that gave the guest a VM */
    uint64_t aborted = 0;      /* transactions that failed */
    std::string last_error;    /* why the last one failed; empty: it did not */
    Durations last;            /* of the last one that gave a VM */
    uint64_t retire = 0;       /* taking the last retired VM down, ns */
    size_t retiring = 0;       /* old VMs that are not down yet */
    size_t held = 0;           /* … that are closed, and others have them */
    uint64_t private_left = 0; /* bytes that those may have which are not */
    uint64_t waited = 0; /* resets, for old VMs to go down: all together */
    /* The launch of the VM in place, as computed before it was launched. */
    std::optional<LaunchMeasurement> measurement;
    std::string refused_launch; /* why the platform did not take one that was
                                   chosen, the last time; empty: it has */
    bool lost = false; /* the last one failed after the old VM had to go: the
                          guest cannot go on, but may be reset again */
};

/* Whether the guest has a VM. */
enum class Presence : uint8_t {
    Present,
    Detached, /* no, and its state is kept */
    MadeRoom, /* no: a reset took it down, and asks for the next one */
};

/* The names of pieces of state, and their bytes. */
struct Carried {
    std::vector<std::string> names;
    size_t bytes = 0;
};

class Generations {
public:
    Generations(Recorder &recorder, Registry &registry)
        : recorder_(recorder), registry_(registry), reaper_(recorder.kernel()),
          spare_(recorder, reaper_)
    {}

    Recorder &recorder() { return recorder_; }
    Registry &registry() { return registry_; }
    VmReaper &reaper() { return reaper_; }

    /*
     * How other threads are kept from issuing ioctls, and let again.  Hooks
     * that quiesce run before: they may want a lock that such a thread holds.
     */
    void exclude_with(std::function<void()> begin, std::function<void()> end);
    /* While it is there, other threads' ioctls wait. */
    class Exclusion;

    /*
     * For a hook that quiesces: the reset of devices that follows takes the
     * irqfds of this eventfd away, so that they need not move.  Those that
     * are still there when the guest is about to run move then.
     */
    void skip_irqfd(int eventfd) { skipped_eventfds_.insert(eventfd); }
    const std::set<int> &skipped_eventfds() const { return skipped_eventfds_; }

    /*
     * After devices were reset, before the guest runs.  Only now do the end
     * of the old VM and the next spare begin, so that the reset does not
     * share the CPUs and the kernel's locks with them.
     */
    Result<void> before_run();
    /* The old VM may be taken down, and the next spare begin. */
    void release_old_vm();
    /* Waits until no old VM is left, and the spare is ready or has failed. */
    void drain();

    Status status();

    /*
     * Whether a launch that would be measured otherwise than the first one
     * fails (EBADMSG), while the guest is on its old VM.  At first it does.
     */
    void require_same_measurement(bool required) { same_required_ = required; }
    bool same_measurement_required() const { return same_required_; }

    /*
     * What the kernel answered to the steps of the last launch; under the
     * big lock.
     */
    std::vector<Answer> &answers() { return answers_; }

    /* What the last guest that was preserved, or detached, took along. */
    const Carried &carried() const { return carried_; }

    /* Whether the guest has a VM, and why not.  Any thread. */
    Presence presence() const { return presence_; }
    bool detached() const { return presence_ == Presence::Detached; }

    /*
     * Whether the guest's old VM may be taken down to make room for the next
     * one, where the host has not enough for two.  It may not, at first.
     */
    void make_room_when_full(bool may) { may_make_room_ = may; }
    bool may_make_room() const { return may_make_room_; }

    /* Whether a replica is prepared ahead of need; not so at first. */
    void keep_spare(bool wanted, bool launched = false)
    {
        spare_.keep(wanted, launched);
    }
    SpareStatus spare() const { return spare_.status(); }

    /* --- For transactions ------------------------------------------------ */

    /* Whether the guest has a VM that can be built again. */
    Result<void> can_begin() const;
    /* … and may be now, since nothing is left of the last one. */
    Result<void> may_begin();
    /* … also without a VM, where room was made for it. */
    Result<void> may_reset();
    /* Whether a reset that waits may be tried once more, without progress. */
    bool may_try_again() { return tries_++ < most_tries; }
    void stop_trying() { tries_ = 0; }

    /* The spare, until renew_spare() says that the next one may begin. */
    std::optional<PreparedVm> take_spare() { return spare_.take(); }
    void renew_spare();
    /* @device: see Replica::build(). */
    Result<PreparedVm> build(const Snapshot &snapshot, int device = -1);

    /* That VM is in place. */
    void settle(VmName vm, std::vector<Answer> answers);
    void set_carried(Carried carried) { carried_ = std::move(carried); }
    void set_presence(Presence presence) { presence_ = presence; }
    VmName vm_name() const { return vm_name_; }
    /* Keeps it until release_old_vm(). */
    void hold(OldVm old);

    /* What became of one; @lost: see Status. */
    void note(const Result<Durations> &outcome, bool lost = false);
    void note_failure(const Error &why);
    /* Whatever becomes of it, until one gives the guest a VM. */
    void note_lost();
    /* The launch that was chosen, for what is in it. */
    void note_refused_launch(const Error &why);
    void note_measurement(std::optional<LaunchMeasurement> measured);

private:
    /* A moment apart. */
    static constexpr unsigned most_tries = 50;

    Result<void> can_repeat() const;
    void release_last();
    Result<void> move_skipped();

    Recorder &recorder_;
    Registry &registry_;
    VmReaper reaper_;
    Spare spare_;
    std::function<void()> exclude_, admit_;
    std::atomic<bool> same_required_ = true;
    std::atomic<bool> may_make_room_ = false;
    std::atomic<Presence> presence_ = Presence::Present;
    unsigned tries_ = 0;
    VmName vm_name_; /* of the VM in place; the first one has none */
    std::set<int> skipped_eventfds_;
    std::vector<Answer> answers_;
    Carried carried_;
    mutable std::mutex mutex_;
    Status status_;
    std::optional<OldVm> held_;
};

class Generations::Exclusion {
public:
    explicit Exclusion(Generations &generations) : generations_(generations)
    {
        if (generations_.exclude_) {
            generations_.exclude_();
        }
    }
    ~Exclusion()
    {
        if (generations_.admit_) {
            generations_.admit_();
        }
    }
    Exclusion(const Exclusion &) = delete;
    Exclusion &operator=(const Exclusion &) = delete;

private:
    Generations &generations_;
};

/* Fails if @blocker says why the VM is not restartable. */
Result<void> restartable(const std::optional<std::string> &blocker);

} /* namespace kvm_reset */

#endif
