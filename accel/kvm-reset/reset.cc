/*
 * A reset gives the guest a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "reset.h"

#include <cerrno>

#include "old_vm.h"
#include "relaunch.h"

namespace kvm_reset {

namespace {

class Reset {
public:
    explicit Reset(Generations &generations) : generations_(generations) {}

    Result<Durations> run();

private:
    Result<Durations> attempt();
    Result<Durations> exchange();
    Result<Durations> make_room(Transaction &transaction, Relaunch &launch,
                                Error why);
    Result<Durations> put_back();
    Result<Durations> finish(Transaction &transaction, Relaunch &launch);
    Result<void> prepare(Transaction &transaction);
    Result<void> give_up_old_vm(Transaction &transaction, OldVm old);

    Generations &generations_;
    LaunchOutcome outcome_;
    bool confidential_ = false;
};

Result<Durations> Reset::run()
{
    Result<Durations> outcome = attempt();

    /* Nobody shall lose a guest to a launch that somebody brought along. */
    while (!outcome && outcome_.refused &&
           generations_.recorder().give_up_launch()) {
        generations_.note_refused_launch(outcome.error());
        if (outcome_.lost) {
            generations_.note_lost();
        }
        outcome = attempt();
    }
    if (!outcome && outcome.error().waits) {
        return outcome;
    }
    if (outcome) {
        generations_.note_measurement(outcome_.measured);
    }
    generations_.stop_trying();
    generations_.note(outcome, outcome_.lost || generations_.presence() ==
                                                    Presence::MadeRoom);
    return outcome;
}

Result<Durations> Reset::attempt()
{
    outcome_ = {};
    if (Result<void> may = generations_.may_reset(); !may) {
        return std::unexpected(may.error());
    }
    /* Its memory, and its key, may be needed, and are slow to come back. */
    confidential_ = generations_.recorder().plan().state() != LaunchState::None;
    if (confidential_ && generations_.reaper().waiting()) {
        return wait_for("the old VM is not down yet");
    }
    return generations_.presence() == Presence::MadeRoom ? put_back()
                                                         : exchange();
}

/* A VM for a VM. */
Result<Durations> Reset::exchange()
{
    Transaction transaction(generations_, Transaction::Kind::Resets);
    Relaunch launch(generations_, transaction, outcome_);
    Result<void> done = transaction.quiesce();

    if (!done) {
        return transaction.abort(std::move(done.error()));
    }
    done = prepare(transaction);
    if (done) {
        done = launch.ahead();
    }
    if (!done && confidential_ && is_full(done.error()) &&
        generations_.may_make_room()) {
        return make_room(transaction, launch, std::move(done.error()));
    }
    if (done) {
        /* What is left on the old VM would go with it. */
        done = transaction.swap(SwapWay::Exchange,
                                launch.in_place()
                                    ? std::set<int>()
                                    : generations_.skipped_eventfds());
    }
    if (!done) {
        return transaction.abort(std::move(done.error()));
    }
    OldVm old = transaction.settle();
    if (launch.in_place()) {
        done = give_up_old_vm(transaction, std::move(old));
        if (!done) {
            outcome_.lost = true;
            generations_.renew_spare();
            return std::unexpected(done.error());
        }
        old = {};
    }
    Result<Durations> outcome = finish(transaction, launch);
    if (outcome) {
        generations_.hold(std::move(old));
    }
    return outcome;
}

Result<Durations> Reset::finish(Transaction &transaction, Relaunch &launch)
{
    if (Result<void> done = launch.finish(); !done) {
        generations_.renew_spare();
        return std::unexpected(done.error());
    }
    return transaction.timing();
}

/*
 * The host has not enough for two VMs, @why says what of.  The guest has asked
 * for its end, so its VM may go before there is another one; but not for a
 * launch that would be refused then.
 */
Result<Durations> Reset::make_room(Transaction &transaction, Relaunch &launch,
                                   Error why)
{
    Result<void> done;

    transaction.drop_vm();
    if (!transaction.is_frozen()) {
        done = transaction.freeze();
    }
    if (done) {
        done = launch.check();
    }
    if (done) {
        done = transaction.swap(SwapWay::TakeAway);
    }
    if (!done) {
        why.what += "; and its old VM could not make room: " +
                    done.error().what;
        return transaction.abort(std::move(why));
    }
    done = give_up_old_vm(transaction, transaction.settle());
    generations_.recorder().observer().step("make-room", why.what, 0);
    if (!done) {
        why.what += "; " + done.error().what;
    }
    return wait_for("the host has not enough for a second VM, so the old one "
                    "goes first: %s",
                    why.what.c_str());
}

/*
 * A VM for none.  If somebody else has what the old one had, nothing is left
 * but to try again later.
 */
Result<Durations> Reset::put_back()
{
    Transaction transaction(generations_, Transaction::Kind::Resets);
    Relaunch launch(generations_, transaction, outcome_);
    Result<void> done;

    transaction.exclude();
    {
        Timer timer(generations_.recorder(), "prepare",
                    transaction.timing().prepare);
        done = transaction.freeze();
        if (done) {
            done = transaction.bring_up_to_date();
        }
    }
    if (done) {
        done = launch.ahead();
    }
    if (done) {
        done = transaction.swap(SwapWay::PutBack);
    }
    if (!done) {
        Error why = transaction.abort(std::move(done.error())).error();
        if (is_full(why) && generations_.may_try_again()) {
            return wait_for("%s", why.what.c_str());
        }
        why.what += "; the old VM had to make room for this one, so the guest "
                    "has none";
        return std::unexpected(std::move(why));
    }
    transaction.settle();
    return finish(transaction, launch);
}

/*
 * There is no way back.  What the old VM has encrypted and is of no region is
 * not known to be out of its caches before it is down.
 */
Result<void> Reset::give_up_old_vm(Transaction &transaction, OldVm old)
{
    Result<size_t> regions = take_regions_away(generations_.recorder().kernel(),
                                               transaction.definition(), old);

    generations_.reaper().retire(std::move(old.vm));
    if (!regions) {
        return std::unexpected(regions.error());
    }
    if (!*regions && transaction.definition().plan.in_place()) {
        generations_.reaper().drain();
    }
    return {};
}

Result<void> Reset::prepare(Transaction &transaction)
{
    Timer timer(generations_.recorder(), "prepare",
                transaction.timing().prepare);
    Result<void> done = transaction.prepare();

    if (done) {
        done = transaction.freeze();
    }
    return done ? transaction.bring_up_to_date() : done;
}

} /* namespace */

Result<Durations> reset(Generations &generations)
{
    return Reset(generations).run();
}

void give_up_reset(Generations &generations, const char *why)
{
    generations.stop_trying();
    generations.note(refuse(ETIMEDOUT, "%s", why),
                     generations.presence() == Presence::MadeRoom);
}

} /* namespace kvm_reset */
