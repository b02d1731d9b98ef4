/*
 * A reset gives the guest a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "reset.h"

#include <cerrno>

#include "measuring.h"
#include "transaction.h"

namespace kvm_reset {

namespace {

class Reset {
public:
    explicit Reset(Generations &generations) : generations_(generations) {}

    Result<Phases> run();

private:
    Result<Phases> attempt();
    Result<void> prepare(Transaction &transaction);
    Result<void> launch(Transaction &transaction, const LaunchPlan &plan);
    Result<void> check(Transaction &transaction,
                       const Result<LaunchMeasurement> &now);
    Result<void> launch_in_place(Transaction &transaction,
                                 const LaunchPlan &plan);

    Generations &generations_;
    std::optional<LaunchMeasurement> measured_;
    bool lost_ = false; /* there is no way back */
};

Result<Phases> Reset::run()
{
    Result<Phases> outcome = attempt();

    if (outcome) {
        generations_.note_measurement(measured_);
    }
    generations_.note(outcome, lost_);
    return outcome;
}

Result<Phases> Reset::attempt()
{
    if (Result<void> may = generations_.may_begin(); !may) {
        return std::unexpected(may.error());
    }
    Transaction transaction(generations_, Transaction::Kind::Resets);
    LaunchPlan plan;
    Result<void> done = transaction.quiesce();

    if (done) {
        done = prepare(transaction);
    }
    if (done) {
        plan = transaction.definition().plan.without_owner();
        done = launch(transaction, plan);
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
        generations_.reaper().retire(std::move(old.fds));
        done = launch_in_place(transaction, plan);
        if (!done) {
            generations_.renew_spare();
            return std::unexpected(done.error());
        }
        old.fds.clear();
    }
    transaction.frozen().set_plan(std::move(plan));
    generations_.hold(std::move(old));
    return transaction.timing();
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
    }
    return done ? check(transaction, measuring.wait()) : done;
}

Result<void> Reset::check(Transaction &transaction,
                          const Result<LaunchMeasurement> &now)
{
    std::optional<LaunchMeasurement> first =
        transaction.frozen().first_measurement();

    measured_ = now ? std::optional(*now) : std::nullopt;
    if (!first || !generations_.same_measurement_required() ||
        measured_ == first) {
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
                "the guest was measured as %s when it was launched first, and "
                "would now be as %s",
                first->digest.c_str(),
                now ? now->digest.c_str() : now.error().what.c_str());
}

/*
 * From here there is no way back: what the old VM has encrypted is written
 * over.  It must be gone by then, since what its vCPUs left in the caches
 * could reach the memory later than what is written now.
 */
Result<void> Reset::launch_in_place(Transaction &transaction,
                                    const LaunchPlan &plan)
{
    Timer timer(generations_.recorder(), "launch", transaction.timing().launch);
    generations_.reaper().drain();
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

Result<Phases> reset(Generations &generations)
{
    return Reset(generations).run();
}

} /* namespace kvm_reset */
