/*
 * Rebirth of a guest that goes on: its state comes along
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All that takes long is done while the guest runs.  While it is stopped its
 * state is read and put into the replica, which then takes the old VM's place;
 * nothing is done to the old VM that cannot be undone.
 */

#include <cerrno>

#include "rebirth.h"

namespace kvm_reset {

Result<void> Rebirth::prepare_preserving()
{
    lost_ = false;
    ahead_.reset();
    Result<void> done = may_begin();

    if (done) {
        done = prepare_ahead();
        if (!done) {
            spare_.renew(vm_number_);
        }
    }
    if (!done) {
        note(std::unexpected(done.error()));
    }
    return done;
}

void Rebirth::cancel_preserving()
{
    ahead_.reset();
    spare_.renew(vm_number_);
}

Result<void> Rebirth::prepare_ahead()
{
    Kernel &kernel = recorder_.kernel();
    Phases phases;
    uint64_t began = kernel.now();

    if (!arch() || !arch()->state_pieces) {
        return refuse(ENOTSUP, "what the state of a guest is on this "
                               "architecture is not known");
    }
    std::optional<Replica> replica = spare_.take();
    Snapshot snapshot = recorder_.snapshot();
    phases.spare = replica && replica->follow(snapshot);
    if (!phases.spare) {
        Result<Replica> built = Replica::build(kernel, snapshot, vm_number_);
        if (!built) {
            return std::unexpected(built.error());
        }
        replica.emplace(std::move(*built));
    }
    GuestState state(kernel, arch()->state_pieces());
    state.leave_out(left_out_);
    Result<void> done = state.survey(snapshot, *replica);
    if (!done) {
        return done;
    }
    phases.prepare = kernel.now() - began;
    ahead_.emplace(Ahead{std::move(*replica), std::move(state), phases});
    return {};
}

Result<Phases> Rebirth::run_preserving()
{
    Result<Phases> outcome = use_prepared(&Rebirth::commit_preserving);

    note(outcome);
    return outcome;
}

Result<Phases> Rebirth::use_prepared(Change change)
{
    Result<Phases> outcome = attempt_prepared(change);

    ahead_.reset();
    if (!outcome) {
        spare_.renew(vm_number_);
    }
    return outcome;
}

Result<Phases> Rebirth::attempt_prepared(Change change)
{
    if (!ahead_) {
        return fail(EINVAL, "nothing was prepared");
    }
    Phases phases = ahead_->phases;
    uint64_t began = recorder_.kernel().now();
    Result<void> done = registry_.run(Phase::Quiesce, true);

    phases.quiesce = recorder_.kernel().now() - began;
    Exclusion others_wait(*this);
    if (done) {
        done = (this->*change)(phases);
        if (!done) {
            registry_.undo(Phase::Quiesce, true);
        }
    }
    if (!done) {
        return tell_of_abort(std::move(done.error()), true);
    }
    phases.total = recorder_.kernel().now() - began;
    return phases;
}

Result<void> Rebirth::bring_up_to_date(const Recorder::Frozen &frozen,
                                       Ahead &ahead, const Snapshot &snapshot)
{
    Result<void> done = may_commit(frozen);

    /* What is gone with its eventfd cannot be taken away: devices stopped. */
    if (done && !ahead.replica.follow(snapshot)) {
        ahead.replica.close();
        Result<Replica> built = Replica::build(recorder_.kernel(), snapshot,
                                               vm_number_);
        if (built) {
            ahead.replica = std::move(*built);
            ahead.phases.spare = false;
            done = ahead.state.survey(snapshot, ahead.replica);
        } else {
            done = std::unexpected(built.error());
        }
    }
    if (done && !ahead.state.surveyed(snapshot)) {
        done = ahead.state.survey(snapshot, ahead.replica);
    }
    return done;
}

Result<void> Rebirth::commit_preserving(Phases &phases)
{
    Ahead &ahead = *ahead_;
    std::optional frozen = recorder_.freeze();
    Snapshot snapshot = frozen->snapshot();

    Result<void> done = bring_up_to_date(*frozen, ahead, snapshot);
    if (!done) {
        return done;
    }
    int number = ahead.replica.vm_number();
    std::vector<LaunchAnswer> answers = ahead.replica.take_answers();
    Swap swap(recorder_.kernel(), snapshot, std::move(ahead.replica), {},
              &ahead.state);
    done = swap_in(frozen, swap, phases, true);
    if (!done) {
        return done;
    }
    vm_number_ = number;
    answers_ = std::move(answers);
    carried_ = ahead.state.names();
    carried_bytes_ = ahead.state.bytes();
    keep_old(swap);
    return {};
}

} /* namespace kvm_reset */
