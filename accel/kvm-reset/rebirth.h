/*
 * Rebirth: a new VM in place of the old one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *     prepare   open the KVM device anew and replay the journal onto fresh
 *               fds, or take the spare for which that was done before; the
 *               old VM still works
 *     commit    swap the replica in; nothing is built here
 *     abort     any failure: the old VM is in place, as it was
 *     retire    the old VM is closed on a thread of its own
 */

#ifndef KVM_RESET_REBIRTH_H
#define KVM_RESET_REBIRTH_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "error.h"
#include "guest_state.h"
#include "replica.h"
#include "measuring.h"
#include "host_features.h"
#include "recorder.h"
#include "registry.h"
#include "vm_reaper.h"
#include "spare.h"
#include "swap.h"

namespace kvm_reset {

/* Durations in nanoseconds. */
struct Phases {
    uint64_t quiesce = 0; /* hooks before anything is touched */
    uint64_t prepare = 0; /* building the replica */
    uint64_t state = 0;   /* carrying the guest's state, if it is preserved */
    uint64_t commit = 0;  /* moving exclusive resources and the swap */
    uint64_t launch = 0;  /* taking the confidential launch again */
    uint64_t hooks = 0;   /* hooks on the new VM */
    uint64_t retire = 0;  /* closing the old VM, where that is waited for */
    uint64_t total = 0;
    bool spare = false; /* the replica had been prepared before */
};

struct Status {
    uint64_t generation = 0; /* rebirths that were committed */
    uint64_t aborted = 0;    /* rebirths that failed */
    std::string last_error;  /* why the last one failed; empty: it did not */
    Phases last;             /* of the last one that was committed */
    uint64_t retire = 0;     /* taking the last retired VM down, ns */
    size_t retiring = 0;     /* old VMs that are not down yet */
    uint64_t waited = 0;     /* resets, for old VMs to go down: all together */
    /* The launch of the VM in place, as computed before it was launched. */
    std::optional<LaunchMeasurement> measurement;
    bool lost = false; /* the last one failed after the old VM had to go: the
                          guest cannot go on, but may be reset again */
};

class Rebirth {
public:
    Rebirth(Recorder &recorder, Registry &registry)
        : recorder_(recorder), registry_(registry), reaper_(recorder.kernel()),
          spare_(recorder, reaper_)
    {}

    /*
     * How other threads are kept from issuing ioctls, and let again.  Hooks
     * that quiesce run before: they may want a lock that such a thread holds.
     */
    void exclude_with(std::function<void()> begin, std::function<void()> end);

    /*
     * Gives the guest a new VM.  The caller has stopped the vCPUs.  On failure
     * the guest is on its old VM as if nothing had been asked, and it may be
     * asked again.
     *
     * A confidential guest is launched again: if two of it can be, before
     * anything is touched.  Memory that is encrypted in place can belong to
     * one VM at a time, so that such a guest's old VM goes first.  If the
     * launch fails then, status().lost says so.  A guest that was given a
     * secret is launched up to there; the rest is its owner's to do again.
     */
    Result<Phases> run();

    /*
     * Gives the guest a new VM with all its state, so that it goes on.  First
     * prepare_preserving(), while it runs: that builds the replica and finds
     * out what there is to carry, and refuses (ENOTSUP) what cannot be.  Then
     * run_preserving(), as run() with the vCPUs stopped; hooks run that say
     * that they do at such a rebirth, and none in Phase::BeforeRun.  Then, when
     * the guest runs again, release_old_vm().  On failure of either the guest is on
     * its old VM as if nothing had been asked.
     */
    Result<void> prepare_preserving();
    Result<Phases> run_preserving();
    /* Instead: it was only to be seen whether it can be done. */
    void cancel_preserving();
    /* The old VM may be taken down, and the next spare begin. */
    void release_old_vm();

    /*
     * Detaches the guest from KVM: after prepare_preserving(), with the vCPUs
     * stopped and until attach() kept from running.  Its state is in memory
     * then, and nothing of KVM's is open or mapped any more.  On failure the
     * guest is on its VM as if nothing had been asked.
     */
    Result<Phases> detach();
    /*
     * Opens the KVM device, which may be another one's, and gives the guest a
     * VM with the state that it had.  On failure it stays detached, and it
     * may be tried again; ENOTSUP: this KVM lacks what the guest needs.
     */
    Result<Phases> attach();
    /* Any thread. */
    bool detached() const { return detached_; }

    /* The names of the pieces that the last one carried, and their bytes. */
    const std::vector<std::string> &carried() const { return carried_; }
    size_t carried_bytes() const { return carried_bytes_; }

    /* For tests: the piece of state that is left behind. */
    void leave_out(std::string piece) { left_out_ = std::move(piece); }

    /*
     * For a hook that quiesces: the reset of devices that follows takes the
     * irqfds of this eventfd away, so that they need not move.  Those that
     * are still there when the guest is about to run move then.
     */
    void skip_irqfd(int eventfd) { skipped_eventfds_.insert(eventfd); }

    /*
     * After devices were reset, before the guest runs.  Only now do the end
     * of the old VM and the next spare begin, so that the reset does not
     * share the CPUs and the kernel's locks with them.
     */
    Result<void> before_run();

    Status status() const;

    /*
     * Whether a launch that would be measured otherwise than the first one
     * is refused (EBADMSG), while the guest is on its old VM.  It is.
     */
    void require_same_measurement(bool required) { same_required_ = required; }

    /*
     * What the kernel answered to the steps of the last launch; under the
     * big lock.
     */
    const std::vector<LaunchAnswer> &answers() const { return answers_; }
    /* Waits until no old VM is left, and the spare is ready or has failed. */
    void drain()
    {
        release_old_vm();
        reaper_.drain();
        if (!detached_) {
            spare_.settle();
        }
    }

    /* Whether a replica is prepared ahead of need; not so at first. */
    void keep_spare(bool wanted, bool launched = false)
    {
        spare_.keep(wanted, launched);
    }
    SpareStatus spare() const { return spare_.status(); }

private:
    class Exclusion;

    Result<Phases> attempt();
    Result<Replica> prepare(std::optional<Recorder::Frozen> &frozen,
                            Snapshot &snapshot, Phases &phases);
    Result<void> commit(Phases &phases);
    Result<void> try_commit(Phases &phases);
    Result<void> swap_in(std::optional<Recorder::Frozen> &frozen, Swap &swap,
                         Phases &phases, bool preserving);
    std::unexpected<Error> undo(Swap &swap, Error why);
    void keep_old(Swap &swap);
    Result<void> may_begin();
    /* With the recorder frozen: it may have seen what it cannot repeat. */
    Result<void> may_commit(const Recorder::Frozen &frozen) const;
    /* Hooks hear that the guest keeps its VM; @why, and what they said. */
    std::unexpected<Error> tell_of_abort(Error why, bool preserving);
    Result<void> prepare_ahead();
    /* What is done to a guest that is stopped, while others' ioctls wait. */
    using Change = Result<void> (Rebirth::*)(Phases &phases);
    Result<Phases> use_prepared(Change change);
    Result<Phases> attempt_prepared(Change change);
    Result<void> commit_preserving(Phases &phases);
    Result<void> take_vm_away(Phases &phases);
    Result<Phases> attempt_attaching();
    Result<void> check_features(const Snapshot &snapshot);
    Result<void> put_vm_back(std::optional<Recorder::Frozen> &frozen,
                             const Snapshot &snapshot, Replica replica,
                             GuestState &state, Phases &phases);
    void note(const Result<Phases> &outcome);
    void note_failure(const Error &why);
    Result<void> move_skipped();
    Result<void> launch_and_check(const Recorder::Frozen &frozen,
                                  Replica &replica, const Snapshot &snapshot,
                                  const LaunchPlan &plan, Phases &phases);
    Result<void> check(const Recorder::Frozen &frozen,
                       const Result<LaunchMeasurement> &now);
    Result<void> launch(Replica &replica, const LaunchPlan &plan,
                        Phases &phases);
    Result<void> launch_in_place(const Snapshot &snapshot,
                                 const LaunchPlan &plan, Phases &phases);

    Recorder &recorder_;
    Registry &registry_;
    VmReaper reaper_;
    Spare spare_;
    std::function<void()> exclude_, admit_;
    std::atomic<bool> same_required_ = true;
    std::optional<LaunchMeasurement> measured_; /* of the attempt under way */
    bool lost_ = false;  /* the attempt under way cannot go back */
    int vm_number_ = -1; /* the fd number that debugfs knows the VM by */
    std::set<int> skipped_eventfds_;
    std::vector<LaunchAnswer> answers_;
    /* Between prepare_preserving() and run_preserving(). */
    struct Ahead {
        Replica replica;
        GuestState state;
        Phases phases;
    };
    std::optional<Ahead> ahead_;
    /* With the recorder frozen: what changed since, or while it ran. */
    Result<void> bring_up_to_date(const Recorder::Frozen &frozen, Ahead &ahead,
                                  const Snapshot &snapshot);
    /* Between detach() and attach(). */
    struct Away {
        GuestState state;
        HostFeatures features;
    };
    std::optional<Away> away_;
    std::atomic<bool> detached_ = false;
    std::vector<std::string> carried_;
    size_t carried_bytes_ = 0;
    std::string left_out_;
    mutable std::mutex mutex_;
    Status status_;
    bool held_ = false;                 /* these are not handed on yet */
    std::vector<Fd> old_;               /* … of the VM before */
    std::vector<SkippedEntry> skipped_; /* … with them */
};

/* While it is there, other threads' ioctls wait. */
class Rebirth::Exclusion {
public:
    explicit Exclusion(Rebirth &rebirth) : rebirth_(rebirth)
    {
        if (rebirth_.exclude_) {
            rebirth_.exclude_();
        }
    }
    ~Exclusion()
    {
        if (rebirth_.admit_) {
            rebirth_.admit_();
        }
    }
    Exclusion(const Exclusion &) = delete;
    Exclusion &operator=(const Exclusion &) = delete;

private:
    Rebirth &rebirth_;
};

} /* namespace kvm_reset */

#endif
