/*
 * Rebirth
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rebirth.h"

#include <algorithm>
#include <cerrno>

namespace kvm_reset {

namespace {

/* Adds the time until it goes to a duration, and reports the step. */
class Timer {
public:
    Timer(Recorder &recorder, const char *step, uint64_t &duration)
        : recorder_(recorder), step_(step), duration_(duration),
          began_(recorder.kernel().now())
    {}
    ~Timer()
    {
        uint64_t took = recorder_.kernel().now() - began_;
        duration_ += took;
        recorder_.observer().step(step_, {}, took);
    }

private:
    Recorder &recorder_;
    const char *step_;
    uint64_t &duration_;
    uint64_t began_;
};

} /* namespace */

void Rebirth::exclude_with(std::function<void()> begin,
                           std::function<void()> end)
{
    exclude_ = std::move(begin);
    admit_ = std::move(end);
}

Result<Phases> Rebirth::run()
{
    lost_ = false;
    measured_.reset();
    Result<Phases> outcome = attempt();

    if (outcome) {
        std::unique_lock lock(mutex_);
        status_.measurement = measured_;
    }
    note(outcome);
    return outcome;
}

void Rebirth::note(const Result<Phases> &outcome)
{
    std::unique_lock lock(mutex_);
    status_.lost = !outcome && (status_.lost || lost_);
    if (outcome) {
        status_.generation++;
        status_.last = *outcome;
        status_.last_error.clear();
    }
    lock.unlock();
    if (!outcome) {
        note_failure(outcome.error());
    }
}

void Rebirth::note_failure(const Error &why)
{
    std::unique_lock lock(mutex_);
    status_.aborted++;
    status_.last_error = why.what;
    recorder_.observer().step("abort", status_.last_error, 0);
}

static Result<void> not_blocked(const std::optional<std::string> &why)
{
    if (!why) {
        return {};
    }
    return fail(ENOTSUP, "the VM is not restartable: %s", why->c_str());
}

Result<void> Rebirth::may_commit(const Recorder::Frozen &frozen) const
{
    return not_blocked(frozen.blocker());
}

Result<void> Rebirth::may_begin()
{
    if (detached_) {
        return refuse(EBUSY, "the guest is detached from KVM");
    }
    if (Result<void> may = not_blocked(recorder_.blocker()); !may) {
        return may;
    }
    if (!recorder_.recording()) {
        return fail(ENODEV, "no VM was recorded");
    }
    if (recorder_.plan().state() == LaunchState::Begun) {
        return fail(EBUSY, "the guest's launch is not finished, so there is "
                           "nothing to repeat");
    }
    release_old_vm();
    skipped_eventfds_.clear();
    return {};
}

Result<Phases> Rebirth::attempt()
{
    Phases phases;
    Result<void> done = may_begin();

    if (!done) {
        return std::unexpected(done.error());
    }
    uint64_t began = recorder_.kernel().now();
    {
        Timer timer(recorder_, "quiesce", phases.quiesce);
        done = registry_.run(Phase::Quiesce);
    }
    Exclusion others_wait(*this);
    if (done) {
        done = commit(phases);
        if (!done && !lost_) {
            registry_.undo(Phase::Quiesce);
        }
    }
    if (!done && lost_) {
        return std::unexpected(done.error());
    }
    if (!done) {
        return tell_of_abort(std::move(done.error()), false);
    }
    phases.total = recorder_.kernel().now() - began;
    return phases;
}

std::unexpected<Error> Rebirth::tell_of_abort(Error why, bool preserving)
{
    if (auto told = registry_.tell_aborted(preserving); !told) {
        why.what += "; then " + told.error().what;
    }
    return std::unexpected(std::move(why));
}

/*
 * With a spare there is little left to do.  Without one the replica is built
 * before the recorder is frozen, so that an ioctl of another thread need not
 * wait for that.
 */
Result<Replica> Rebirth::prepare(std::optional<Recorder::Frozen> &frozen,
                                 Snapshot &snapshot, Phases &phases)
{
    Timer timer(recorder_, "prepare", phases.prepare);
    std::optional<Replica> replica = spare_.take();

    phases.spare = replica.has_value();
    if (!replica) {
        Result<Replica> built = Replica::build(
            recorder_.kernel(), recorder_.snapshot(), vm_number_);
        if (!built) {
            return built;
        }
        replica.emplace(std::move(*built));
    }
    frozen = recorder_.freeze();
    snapshot = frozen->snapshot();
    if (replica->follow(snapshot)) {
        return std::move(*replica);
    }
    /* KVM cannot undo everything. */
    replica.reset();
    phases.spare = false;
    return Replica::build(recorder_.kernel(), snapshot, vm_number_);
}

Result<void> Rebirth::commit(Phases &phases)
{
    Result<void> done = try_commit(phases);

    if (!done) {
        spare_.renew(vm_number_);
    }
    return done;
}

Result<void> Rebirth::try_commit(Phases &phases)
{
    std::optional<Recorder::Frozen> frozen;
    Snapshot snapshot;
    Result<Replica> replica = prepare(frozen, snapshot, phases);

    if (!replica) {
        return std::unexpected(replica.error());
    }
    LaunchPlan plan = snapshot.plan.without_owner();
    Result<void> done = may_commit(*frozen);
    if (done) {
        done = launch_and_check(*frozen, *replica, snapshot, plan, phases);
    }
    if (!done) {
        return done;
    }

    int number = replica->vm_number();
    std::vector<LaunchAnswer> answers = replica->take_answers();
    /* What is left on the old VM would go with it. */
    Swap swap(recorder_.kernel(), snapshot, std::move(*replica),
              plan.in_place() ? std::set<int>() : skipped_eventfds_);
    done = swap_in(frozen, swap, phases, false);
    if (!done) {
        return done;
    }
    vm_number_ = number;
    answers_ = std::move(answers);
    if (plan.in_place()) {
        reaper_.retire(swap.finish());
        done = launch_in_place(snapshot, plan, phases);
        if (!done) {
            return done;
        }
    }
    frozen->set_plan(std::move(plan));
    keep_old(swap);
    return {};
}

void Rebirth::keep_old(Swap &swap)
{
    std::unique_lock lock(mutex_);
    held_ = true;
    skipped_ = swap.skipped();
    old_ = swap.finish();
}

/* @frozen is held before and after, and not while hooks run. */
Result<void> Rebirth::swap_in(std::optional<Recorder::Frozen> &frozen,
                              Swap &swap, Phases &phases, bool preserving)
{
    Result<void> done;
    {
        Timer timer(recorder_, "commit", phases.commit);
        done = swap.perform();
    }
    phases.state = swap.carrying();
    phases.commit -= phases.state;
    if (done && detached_) {
        done = frozen->deliver_pending(swap.snapshot());
        if (!done) {
            return undo(swap, std::move(done.error()));
        }
    }
    if (!done) {
        return done;
    }
    bool attaching = detached_;
    if (attaching) {
        /* What is asked from now on goes to the VM that is in place. */
        frozen->set_detached(false);
    }
    frozen.reset();
    {
        Timer timer(recorder_, "hooks", phases.hooks);
        done = registry_.run(Phase::NewVm, preserving);
    }
    frozen = recorder_.freeze();
    if (!done) {
        if (attaching) {
            frozen->set_detached(true);
        }
        return undo(swap, std::move(done.error()));
    }
    return {};
}

std::unexpected<Error> Rebirth::undo(Swap &swap, Error why)
{
    if (Result<void> undone = swap.undo(); !undone) {
        why.what += "; and " + undone.error().what;
    }
    return std::unexpected(std::move(why));
}

Result<void> Rebirth::before_run()
{
    Result<void> done = move_skipped();

    if (done) {
        done = registry_.run(Phase::BeforeRun);
    }
    release_old_vm();
    return done;
}

/* Of what was left behind, that which the reset of devices did not end. */
Result<void> Rebirth::move_skipped()
{
    std::unique_lock lock(mutex_);
    std::vector<SkippedEntry> left = std::exchange(skipped_, {});
    lock.unlock();
    if (left.empty()) {
        return {};
    }

    std::optional frozen = recorder_.freeze();
    Snapshot now = frozen->snapshot();
    std::set<EntryPtr> live(now.entries.begin(), now.entries.end());
    for (const SkippedEntry &thing : left) {
        if (!live.contains(thing.entry)) {
            continue;
        }
        const Entry &entry = *thing.entry;
        Result<void> done = issue_removal(recorder_.kernel(), entry,
                                          thing.old_fd, nullptr);
        if (done) {
            done = issue(recorder_.kernel(), entry,
                         now.object(entry.target)->fd, nullptr);
        }
        if (!done) {
            done.error().what += ", which its device kept";
            return done;
        }
    }
    return {};
}

void Rebirth::release_old_vm()
{
    std::unique_lock lock(mutex_);
    bool held = std::exchange(held_, false);
    std::vector<Fd> old = std::exchange(old_, {});

    skipped_.clear();
    lock.unlock();
    if (held) {
        reaper_.retire(std::move(old));
        spare_.renew(vm_number_);
    }
}

/* While the guest is on its old VM: all that can be done of the launch. */
Result<void> Rebirth::launch_and_check(const Recorder::Frozen &frozen,
                                       Replica &replica,
                                       const Snapshot &snapshot,
                                       const LaunchPlan &plan, Phases &phases)
{
    if (replica.measured()) {
        return check(frozen, *replica.measured());
    }
    Measuring measuring(recorder_.vm_type(), snapshot);
    Result<void> done;
    if (!plan.in_place()) {
        done = launch(replica, plan, phases);
    }
    return done ? check(frozen, measuring.wait()) : done;
}

Result<void> Rebirth::check(const Recorder::Frozen &frozen,
                            const Result<LaunchMeasurement> &now)
{
    std::optional<LaunchMeasurement> first = frozen.first_measurement();

    measured_ = now ? std::optional(*now) : std::nullopt;
    if (!first || !same_required_ || measured_ == first) {
        return {};
    }
    return fail(EBADMSG,
                "the guest was measured as %s when it was launched first, and "
                "would now be as %s",
                first->digest.c_str(),
                now ? now->digest.c_str() : now.error().what.c_str());
}

Result<void> Rebirth::launch(Replica &replica, const LaunchPlan &plan,
                             Phases &phases)
{
    if (plan.state() == LaunchState::None) {
        return {};
    }
    Timer timer(recorder_, "launch", phases.launch);
    return replica.launch(plan);
}

/*
 * From here there is no way back: what the old VM has encrypted is written
 * over.  It must be gone by then, since what its vCPUs left in the caches
 * could reach the memory later than what is written now.
 */
Result<void> Rebirth::launch_in_place(const Snapshot &snapshot,
                                      const LaunchPlan &plan, Phases &phases)
{
    Timer timer(recorder_, "launch", phases.launch);
    reaper_.drain();
    Result<void> done = plan.take(
        recorder_.kernel(),
        [&snapshot](uint64_t id) {
            const Object *object = snapshot.object(id);
            return object ? object->fd : -1;
        },
        answers_);

    if (!done) {
        lost_ = true;
        done.error().what += "; guest memory is encrypted in place, so the "
                             "old VM had to go before that";
    }
    return done;
}

Status Rebirth::status() const
{
    std::unique_lock lock(mutex_);
    Status status = status_;

    status.retire = reaper_.last_duration();
    status.retiring = reaper_.waiting() + held_;
    status.waited = reaper_.waited();
    return status;
}

} /* namespace kvm_reset */
