/*
 * A reset gives the guest a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "reset.h"

#include <cerrno>

#include "measuring.h"
#include "old_vm.h"
#include "transaction.h"

namespace kvm_reset {

namespace {

class Reset {
public:
    explicit Reset(Generations &generations) : generations_(generations) {}

    Result<Durations> run();

private:
    Result<Durations> attempt();
    Result<Durations> exchange();
    Result<Durations> make_room(Transaction &transaction, Error why);
    Result<Durations> put_back();
    Result<Durations> finish(Transaction &transaction, LaunchPlan plan);
    Result<void> prepare(Transaction &transaction);
    Result<void> launch(Transaction &transaction, const LaunchPlan &plan);
    Result<void> check(Transaction &transaction,
                       const Result<LaunchMeasurement> &now);
    Result<void> give_up_old_vm(Transaction &transaction, OldVm old);
    Result<void> launch_in_place(Transaction &transaction,
                                 const LaunchPlan &plan);

    Generations &generations_;
    std::optional<LaunchMeasurement> measured_;
    bool confidential_ = false;
    bool lost_ = false;    /* there is no way back */
    bool refused_ = false; /* the launch was, for what is in it */
};

Result<Durations> Reset::run()
{
    Result<Durations> outcome = attempt();

    /* Nobody shall lose a guest to a launch that somebody brought along. */
    if (!outcome && refused_ && generations_.recorder().give_up_launch()) {
        generations_.note_refused_launch(outcome.error());
        outcome = attempt();
    }
    if (!outcome && outcome.error().waits) {
        return outcome;
    }
    if (outcome) {
        generations_.note_measurement(measured_);
    }
    generations_.stop_trying();
    generations_.note(outcome,
                      lost_ || generations_.presence() == Presence::MadeRoom);
    return outcome;
}

Result<Durations> Reset::attempt()
{
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

/* What another VM would not have, while there are two. */
static bool is_full(const Error &error)
{
    return error.code == ENOSPC || error.code == EBUSY || error.code == ENOMEM;
}

/* A VM for a VM. */
Result<Durations> Reset::exchange()
{
    Transaction transaction(generations_, Transaction::Kind::Resets);
    LaunchPlan plan;
    Result<void> done = transaction.quiesce();

    if (!done) {
        return transaction.abort(std::move(done.error()));
    }
    done = prepare(transaction);
    if (done) {
        plan = transaction.definition().plan.without_owner();
        done = launch(transaction, plan);
    }
    if (!done && confidential_ && is_full(done.error()) &&
        generations_.may_make_room()) {
        return make_room(transaction, std::move(done.error()));
    }
    if (done) {
        /* What is left on the old VM would go with it. */
        done = transaction.swap(SwapWay::Exchange,
                                plan.in_place()
                                    ? std::set<int>()
                                    : generations_.skipped_eventfds());
    }
    if (!done) {
        return transaction.abort(std::move(done.error()));
    }
    OldVm old = transaction.settle();
    if (plan.in_place()) {
        done = give_up_old_vm(transaction, std::move(old));
        if (!done) {
            lost_ = true;
            generations_.renew_spare();
            return std::unexpected(done.error());
        }
        old = {};
    }
    Result<Durations> outcome = finish(transaction, std::move(plan));
    if (outcome) {
        generations_.hold(std::move(old));
    }
    return outcome;
}

/* The VM is in place: what is left of the launch. */
Result<Durations> Reset::finish(Transaction &transaction, LaunchPlan plan)
{
    if (plan.in_place()) {
        if (auto done = launch_in_place(transaction, plan); !done) {
            generations_.renew_spare();
            return std::unexpected(done.error());
        }
    }
    transaction.frozen().launched(std::move(plan));
    return transaction.timing();
}

/*
 * The host has not enough for two VMs, @why says what of.  The guest has asked
 * for its end, so its VM may go before there is another one; but not for a
 * launch that would be refused then.
 */
Result<Durations> Reset::make_room(Transaction &transaction, Error why)
{
    Result<void> done;

    transaction.drop_vm();
    if (!transaction.is_frozen()) {
        done = transaction.freeze();
    }
    if (done) {
        done = check(transaction, Measuring(transaction.definition()).wait());
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
    LaunchPlan plan;
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
        plan = transaction.definition().plan.without_owner();
        done = launch(transaction, plan);
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
    return finish(transaction, std::move(plan));
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

/* While the guest is on its old VM: all that can be done of the launch. */
Result<void> Reset::launch(Transaction &transaction, const LaunchPlan &plan)
{
    PreparedVm &vm = transaction.vm();

    if (vm.measured()) {
        return check(transaction, *vm.measured());
    }
    Measuring measuring(transaction.definition());
    Result<void> done;
    if (!plan.in_place() && plan.state() != LaunchState::None) {
        Timer timer(generations_.recorder(), "launch",
                    transaction.timing().launch);
        done = vm.launch(generations_.recorder().kernel(), plan);
        refused_ = !done && !is_full(done.error());
    }
    if (done) {
        done = check(transaction, measuring.wait());
    }
    return done;
}

Result<void> Reset::check(Transaction &transaction,
                          const Result<LaunchMeasurement> &now)
{
    std::optional<LaunchMeasurement> expected =
        transaction.frozen().expected_measurement();

    measured_ = now ? std::optional(*now) : std::nullopt;
    if (!expected || !generations_.same_measurement_required() ||
        measured_ == expected) {
        return {};
    }
    if (auto plugged = plugged_vcpu(transaction.definition())) {
        return refuse(EBADMSG,
                      "%s came after the guest was launched, and the next "
                      "launch would measure that vCPU, too: start QEMU with "
                      "all that the guest is to have",
                      plugged->c_str());
    }
    return fail(EBADMSG,
                "the guest was measured as %s when %s, and would now be as %s",
                expected->digest.c_str(),
                transaction.definition().other ? "its next launch was brought"
                                               : "it was launched first",
                now ? now->digest.c_str() : now.error().what.c_str());
}

/*
 * What the old VM has encrypted is written over.  Its regions were taken away
 * by then, since what its vCPUs left in the caches could reach the memory later
 * than what is written now.
 */
Result<void> Reset::launch_in_place(Transaction &transaction,
                                    const LaunchPlan &plan)
{
    Timer timer(generations_.recorder(), "launch", transaction.timing().launch);
    Result<void> done = plan.take(generations_.recorder().kernel(),
                                  transaction.definition().fd_of(),
                                  generations_.answers());

    if (!done) {
        lost_ = true;
        done.error().what += "; guest memory is encrypted in place, so the "
                             "old VM had to go before that";
    }
    return done;
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
