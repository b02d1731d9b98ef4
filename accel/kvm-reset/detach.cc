/*
 * A guest is detached from KVM, and attached again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Detached, it is its definition in the journal, its state in memory, and fds
 * and addresses that are kept for it.  What is attached is a new VM of that
 * definition with that state: a rebirth that preserves, with a pause between
 * its halves.
 */

#include <cerrno>

#include "rebirth.h"

namespace kvm_reset {

static std::string listed(const std::vector<std::string> &things)
{
    std::string text;

    for (const std::string &thing : things) {
        text += (text.empty() ? "" : ", ") + thing;
    }
    return text;
}

Result<Phases> Rebirth::detach()
{
    Result<Phases> outcome = use_prepared(&Rebirth::take_vm_away);

    if (!outcome) {
        note_failure(outcome.error());
    }
    return outcome;
}

/* What the KVM in use offers, to be compared with the next. */
static Result<HostFeatures> features_in_use(Kernel &kernel,
                                            const Snapshot &snapshot)
{
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::System) {
            return arch()->host_features(kernel, object.fd);
        }
    }
    return HostFeatures();
}

Result<void> Rebirth::take_vm_away(Phases &phases)
{
    Kernel &kernel = recorder_.kernel();
    Ahead &ahead = *ahead_;
    std::optional frozen = recorder_.freeze();
    Snapshot snapshot = frozen->snapshot();

    Result<void> done = bring_up_to_date(*frozen, ahead, snapshot);
    if (!done) {
        return done;
    }
    Result<HostFeatures> features = features_in_use(kernel, snapshot);
    if (!features) {
        return std::unexpected(features.error());
    }
    Swap swap(kernel, snapshot, std::move(ahead.replica), {}, &ahead.state,
              SwapWay::TakeAway);
    uint64_t began = kernel.now();
    done = swap.perform();
    phases.state = swap.carrying();
    phases.commit = kernel.now() - began - phases.state;
    if (!done) {
        return done;
    }
    frozen->set_detached(true);
    carried_ = ahead.state.names();
    carried_bytes_ = ahead.state.bytes();
    away_.emplace(Away{std::move(ahead.state), std::move(*features)});
    detached_ = true;
    std::vector<Fd> old = swap.finish();
    frozen.reset();
    /* Who is told that the guest is detached may take KVM away. */
    began = kernel.now();
    reaper_.drain();
    old.clear();
    phases.retire = kernel.now() - began;
    return {};
}

Result<Phases> Rebirth::attach()
{
    if (!detached_) {
        return refuse(EINVAL, "the guest is not detached from KVM");
    }
    Result<Phases> outcome = attempt_attaching();

    if (outcome) {
        away_.reset();
        detached_ = false;
        spare_.renew(vm_number_);
    }
    note(outcome);
    return outcome;
}

/* First of all, since a lack of it would be told in other words later. */
Result<void> Rebirth::check_features(const Snapshot &snapshot)
{
    Kernel &kernel = recorder_.kernel();
    Fd system(kernel, kernel.open_kvm());

    if (!system) {
        return fail(-system.get(), "cannot open the KVM device anew");
    }
    Result<HostFeatures> now = arch()->host_features(kernel, system.get());
    if (!now) {
        return std::unexpected(now.error());
    }
    std::vector<std::string> missing = arch()->missing_features(away_->features,
                                                                *now, snapshot);
    if (!missing.empty()) {
        return refuse(ENOTSUP,
                      "this KVM lacks what the one before it had, and the "
                      "guest may use: %s",
                      listed(missing).c_str());
    }
    return {};
}

Result<Phases> Rebirth::attempt_attaching()
{
    Kernel &kernel = recorder_.kernel();
    uint64_t began = kernel.now();
    Exclusion others_wait(*this);
    std::optional frozen = recorder_.freeze();
    Snapshot snapshot = frozen->snapshot();
    Phases phases;

    Result<void> done = may_commit(*frozen);
    if (done) {
        done = check_features(snapshot);
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    Result<Replica> replica = Replica::build(kernel, snapshot, vm_number_);
    if (!replica) {
        return std::unexpected(replica.error());
    }
    GuestState state(kernel, arch()->state_pieces());
    done = state.survey(snapshot, *replica);
    if (done) {
        done = state.adopt(away_->state, snapshot);
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    phases.prepare = kernel.now() - began;
    done = put_vm_back(frozen, snapshot, std::move(*replica), state, phases);
    if (!done) {
        return std::unexpected(done.error());
    }
    phases.total = kernel.now() - began;
    return phases;
}

Result<void> Rebirth::put_vm_back(std::optional<Recorder::Frozen> &frozen,
                                  const Snapshot &snapshot, Replica replica,
                                  GuestState &state, Phases &phases)
{
    int number = replica.vm_number();
    std::vector<LaunchAnswer> answers = replica.take_answers();
    Swap swap(recorder_.kernel(), snapshot, std::move(replica), {}, &state,
              SwapWay::PutBack);

    Result<void> done = swap_in(frozen, swap, phases, true);
    if (!done) {
        return done;
    }
    frozen->forget_pending();
    vm_number_ = number;
    answers_ = std::move(answers);
    swap.finish();
    return {};
}

} /* namespace kvm_reset */
