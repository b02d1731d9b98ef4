/*
 * A guest that goes on gets a new VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "preserve.h"

#include <cerrno>

#include "arch.h"

namespace kvm_reset {

Result<void> Preserve::prepare()
{
    cancel();
    Result<void> done = attempt_preparing();

    if (!done) {
        cancel();
        generations_.note(std::unexpected(done.error()));
    }
    return done;
}

Result<void> Preserve::attempt_preparing()
{
    if (Result<void> may = generations_.may_begin(); !may) {
        return may;
    }
    if (!arch() || !arch()->state_pieces) {
        return refuse(ENOTSUP, "what the state of a guest is on this "
                               "architecture is not known");
    }
    prepared_ = std::make_unique<Transaction>(generations_,
                                              Transaction::Kind::Preserves);
    Timer timer(generations_.recorder(), "prepare",
                prepared_->timing().prepare);
    return prepared_->prepare();
}

Result<void> stop_and_follow(Transaction &transaction)
{
    Result<void> done = transaction.quiesce();

    if (done) {
        done = transaction.freeze();
    }
    return done ? transaction.bring_up_to_date() : done;
}

static Result<Durations> attempt(Generations &generations,
                                 std::unique_ptr<Transaction> transaction)
{
    if (!transaction) {
        return fail(EINVAL, "nothing was prepared");
    }
    Result<void> done = stop_and_follow(*transaction);
    if (done) {
        done = transaction->swap(SwapWay::Exchange);
    }
    if (!done) {
        return transaction->abort(std::move(done.error()));
    }
    generations.hold(transaction->settle());
    return transaction->timing();
}

Result<Durations> Preserve::run()
{
    Result<Durations> outcome = attempt(generations_, take());

    generations_.note(outcome);
    return outcome;
}

} /* namespace kvm_reset */
