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
#include "phases.h"
#include "recorder.h"
#include "registry.h"
#include "spare.h"
#include "swap.h"
#include "vm_reaper.h"

namespace kvm_reset {

struct Status {
    uint64_t generation = 0; /* transactions that gave the guest a VM */
    uint64_t aborted = 0;    /* transactions that failed */
    std::string last_error;  /* why the last one failed; empty: it did not */
    Phases last;             /* of the last one that gave a VM */
    uint64_t retire = 0;     /* taking the last retired VM down, ns */
    size_t retiring = 0;     /* old VMs that are not down yet */
    uint64_t waited = 0;     /* resets, for old VMs to go down: all together */
    /* The launch of the VM in place, as computed before it was launched. */
    std::optional<LaunchMeasurement> measurement;
    bool lost = false; /* the last one failed after the old VM had to go: the
                          guest cannot go on, but may be reset again */
};

/* What a settled swap leaves of the VM before. */
struct OldVm {
    std::vector<Fd> fds;
    std::vector<SkippedEntry> skipped{}; /* … with them */
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

    Status status() const;

    /*
     * Whether a launch that would be measured otherwise than the first one
     * is refused (EBADMSG), while the guest is on its old VM.  It is.
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

    /* Whether the guest is detached from KVM.  Any thread. */
    bool detached() const { return detached_; }

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

    /* The spare, until renew_spare() says that the next one may begin. */
    std::optional<PreparedVm> take_spare() { return spare_.take(); }
    void renew_spare();
    /* @device: see Replica::build(). */
    Result<PreparedVm> build(const Snapshot &snapshot, int device = -1);

    /* A VM that was created under that number is in place. */
    void settle(int vm_number, std::vector<Answer> answers);
    void set_carried(Carried carried) { carried_ = std::move(carried); }
    void set_detached(bool detached) { detached_ = detached; }
    /* Keeps it until release_old_vm(). */
    void hold(OldVm old);

    /* What became of one; @lost: see Status. */
    void note(const Result<Phases> &outcome, bool lost = false);
    void note_failure(const Error &why);
    void note_measurement(std::optional<LaunchMeasurement> measured);

private:
    Result<void> move_skipped();

    Recorder &recorder_;
    Registry &registry_;
    VmReaper reaper_;
    Spare spare_;
    std::function<void()> exclude_, admit_;
    std::atomic<bool> same_required_ = true;
    std::atomic<bool> detached_ = false;
    int vm_number_ = -1; /* the fd number that debugfs knows the VM by */
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
