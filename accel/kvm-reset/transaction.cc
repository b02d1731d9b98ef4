/*
 * A transaction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "transaction.h"

#include <utility>

#include "arch.h"
#include "old_vm.h"

namespace kvm_reset {

Transaction::Transaction(Generations &generations, Kind kind)
    : generations_(generations), recorder_(generations.recorder()),
      kernel_(recorder_.kernel()), preserving_(kind == Kind::Preserves)
{
    if (preserving_) {
        state_.emplace(kernel_, arch()->state_pieces());
    }
}

Result<void> Transaction::follow_or_build(const Definition &definition,
                                          int device)
{
    if (vm_ && vm_->follow(definition)) {
        return {};
    }
    /* There was none, or KVM cannot undo what is gone. */
    vm_.reset();
    durations_.spare = false;
    Result<PreparedVm> built = generations_.build(definition, device);
    if (!built) {
        return std::unexpected(built.error());
    }
    vm_.emplace(std::move(*built));
    return {};
}

Result<void> Transaction::survey(const Definition &definition)
{
    if (!state_ || state_->surveyed(definition)) {
        return {};
    }
    return state_->survey(definition, vm_->replica.fd_of());
}

/* With a spare there is little left to do, and that can wait for freeze(). */
Result<void> Transaction::prepare()
{
    vm_ = generations_.take_spare();
    durations_.spare = vm_.has_value();
    if (vm_ && !state_) {
        return {};
    }
    Definition definition = recorder_.snapshot();
    Result<void> done = follow_or_build(definition);
    return done ? survey(definition) : done;
}

Result<void> Transaction::quiesce()
{
    Result<void> done;

    began_ = kernel_.now();
    asked_hooks_ = true;
    {
        Timer timer(recorder_, "quiesce", durations_.quiesce);
        done = generations_.registry().run(Phase::Quiesce, preserving_);
    }
    quiesced_ = done.has_value();
    others_wait_.emplace(generations_);
    return done;
}

void Transaction::exclude()
{
    began_ = kernel_.now();
    others_wait_.emplace(generations_);
}

Result<void> Transaction::freeze()
{
    frozen_ = recorder_.freeze();
    definition_ = frozen_->snapshot();
    return restartable(frozen_->blocker());
}

Result<void> Transaction::bring_up_to_date(int device)
{
    Result<void> done = follow_or_build(definition_, device);

    return done ? survey(definition_) : done;
}

Result<void> Transaction::swap(SwapWay way, std::set<int> skipped)
{
    Result<void> done;

    way_ = way;
    Replica replica = Replica::none(kernel_);
    if (vm_) {
        vm_name_ = vm_->replica.vm_name();
        answers_ = vm_->take_answers();
        replica = std::move(vm_->replica);
        vm_.reset();
    }
    swap_.emplace(kernel_, definition_, std::move(replica), std::move(skipped),
                  state_ ? &*state_ : nullptr, way);
    {
        Timer timer(recorder_, "commit", durations_.commit);
        done = swap_->perform();
    }
    durations_.state = swap_->carrying();
    durations_.commit -= durations_.state;
    if (!done) {
        swap_.reset(); /* it has undone itself */
        return done;
    }
    if (definition_.plan.layout()) {
        layout_before_ = frozen_->begin_layout(definition_);
    }
    if (way == SwapWay::PutBack) {
        done = attach();
    }
    return done && way != SwapWay::TakeAway ? tell_of_new_vm() : done;
}

Result<void> Transaction::attach()
{
    Result<void> done;

    /* A guest that begins anew is not told of what was for the last one. */
    if (preserving_) {
        done = frozen_->deliver_pending(definition_);
    }
    if (done) {
        /* What is asked from now on goes to the VM that is in place. */
        frozen_->set_detached(false);
        attached_ = true;
    }
    return done;
}

/* The hooks' own ioctls are recorded. */
Result<void> Transaction::tell_of_new_vm()
{
    Result<void> done;

    frozen_.reset();
    {
        Timer timer(recorder_, "hooks", durations_.hooks);
        done = generations_.registry().run(Phase::NewVm, preserving_);
    }
    frozen_ = recorder_.freeze();
    return done;
}

OldVm Transaction::settle()
{
    VmName old = generations_.vm_name();

    over_ = true;
    if (way_ != SwapWay::TakeAway) {
        generations_.settle(vm_name_, std::move(answers_));
    }
    if (state_ && way_ != SwapWay::PutBack) {
        generations_.set_carried({state_->names(), state_->bytes()});
    }
    if (way_ == SwapWay::TakeAway) {
        frozen_->set_detached(true);
        generations_.set_presence(preserving_ ? Presence::Detached
                                              : Presence::MadeRoom);
    } else if (way_ == SwapWay::PutBack) {
        frozen_->forget_pending();
        generations_.set_presence(Presence::Present);
    }
    std::vector<SkippedEntry> skipped = swap_->skipped();
    return {.vm = dead_vm(definition_, swap_->finish(), old),
            .skipped = std::move(skipped)};
}

/* In reverse; returns what could not be undone. */
std::string Transaction::undo()
{
    std::string failed;

    if (std::exchange(over_, true)) {
        return failed;
    }
    if (attached_) {
        frozen_->set_detached(true);
    }
    if (swap_) {
        if (Result<void> undone = swap_->undo(); !undone) {
            failed += "; and " + undone.error().what;
        }
        swap_.reset();
    }
    if (layout_before_) {
        Result<void> done = frozen_->put_layout_back(
            std::move(*layout_before_));
        if (!done) {
            failed += "; and " + done.error().what;
        }
    }
    vm_.reset();
    thaw();
    generations_.renew_spare();
    if (quiesced_) {
        generations_.registry().undo(Phase::Quiesce, preserving_);
    }
    if (asked_hooks_) {
        if (auto told = generations_.registry().tell_aborted(preserving_);
            !told) {
            failed += "; then " + told.error().what;
        }
    }
    return failed;
}

std::unexpected<Error> Transaction::abort(Error why)
{
    why.what += undo();
    return std::unexpected(std::move(why));
}

Durations &Transaction::timing()
{
    durations_.total = began_ ? kernel_.now() - began_ : 0;
    return durations_;
}

} /* namespace kvm_reset */
