/*
 * A guest is detached from KVM, and attached again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "detach.h"

#include <cerrno>

#include "arch.h"
#include "kvm_device.h"

namespace kvm_reset {

static std::string listed(const std::vector<std::string> &things)
{
    std::string text;

    for (const std::string &thing : things) {
        text += (text.empty() ? "" : ", ") + thing;
    }
    return text;
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

Result<void> Detach::may_detach(bool by_fd) const
{
    Recorder &recorder = generations_.recorder();
    Result<void> may = generations_.can_begin();

    if (may) {
        may = GuestState::may_be_carried(recorder.quick_snapshot());
    }
    if (!may || by_fd) {
        return may;
    }
    Result<Fd> opened = open_kvm_device(recorder.kernel());
    if (!opened) {
        opened.error().what +=
            ", as kvm-attach would have to: say attach-by-fd "
            "and give it a descriptor then";
        return std::unexpected(opened.error());
    }
    return {};
}

Result<void> Detach::prepare(bool by_fd)
{
    Result<void> may = may_detach(by_fd);

    if (!may) {
        generations_.note_failure(may.error());
        return may;
    }
    return preserve_.prepare();
}

Result<Durations> Detach::detach()
{
    Result<Durations> outcome = attempt_detaching(preserve_.take());

    if (!outcome) {
        generations_.note_failure(outcome.error());
    }
    return outcome;
}

Result<Durations>
Detach::attempt_detaching(std::unique_ptr<Transaction> transaction)
{
    if (!transaction) {
        return fail(EINVAL, "nothing was prepared");
    }
    Kernel &kernel = generations_.recorder().kernel();
    Result<HostFeatures> features;
    Result<void> done = stop_and_follow(*transaction);
    if (done) {
        features = features_in_use(kernel, transaction->definition());
        done = features ? transaction->swap(SwapWay::TakeAway)
                        : std::unexpected(features.error());
    }
    if (!done) {
        return transaction->abort(std::move(done.error()));
    }
    OldVm old = transaction->settle();
    away_.emplace(Away{std::move(transaction->state()), std::move(*features)});
    transaction->thaw();
    /* Who is told that the guest is detached may take KVM away. */
    uint64_t began = kernel.now();
    generations_.reaper().drain();
    old = {};
    transaction->timing().retire = kernel.now() - began;
    return transaction->timing();
}

Result<Durations> Detach::attach(int device)
{
    if (!generations_.detached()) {
        return refuse(EINVAL, "the guest is not detached from KVM");
    }
    Result<Durations> outcome = attempt_attaching(device);

    if (outcome) {
        away_.reset();
        generations_.renew_spare();
    }
    generations_.note(outcome);
    return outcome;
}

/* First of all, since a lack of it would be told in other words later. */
Result<void> Detach::check_features(int device, const Snapshot &snapshot)
{
    Kernel &kernel = generations_.recorder().kernel();
    Result<HostFeatures> now = arch()->host_features(kernel, device);

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

/* Nothing runs that could wait: the recorder is frozen all the time. */
Result<void> Detach::build(Transaction &transaction, int device)
{
    Timer timer(generations_.recorder(), "prepare",
                transaction.timing().prepare);
    transaction.exclude();
    Result<void> done = transaction.freeze();

    if (done) {
        done = check_features(device, transaction.definition());
    }
    if (done) {
        done = transaction.bring_up_to_date(device);
    }
    if (done) {
        done = transaction.state().adopt(away_->state,
                                         transaction.definition());
    }
    return done;
}

/* What it returns is closed when the guest has its VM. */
static Result<Fd> device_to_attach(Kernel &kernel, int given)
{
    if (given < 0) {
        Result<Fd> opened = open_kvm_device(kernel);
        if (!opened) {
            opened.error().what += "; kvm-attach also takes a descriptor, fd";
        }
        return opened;
    }
    if (auto is = must_be_kvm(kernel, given, "the descriptor that was given");
        !is) {
        return std::unexpected(is.error());
    }
    return duplicate_kvm_device(kernel, given);
}

Result<Durations> Detach::attempt_attaching(int given)
{
    Result<Fd> device = device_to_attach(generations_.recorder().kernel(),
                                         given);
    if (!device) {
        return std::unexpected(device.error());
    }
    Transaction transaction(generations_, Transaction::Kind::Preserves);
    Result<void> done = build(transaction, device->get());

    if (done) {
        done = transaction.swap(SwapWay::PutBack);
    }
    if (!done) {
        return transaction.abort(std::move(done.error()));
    }
    transaction.settle();
    return transaction.timing();
}

} /* namespace kvm_reset */
