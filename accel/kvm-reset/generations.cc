/*
 * The guest's VMs, one after the other
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "generations.h"

#include <cerrno>
#include <utility>

namespace kvm_reset {

Result<void> restartable(const std::optional<std::string> &blocker)
{
    if (!blocker) {
        return {};
    }
    return fail(ENOTSUP, "the VM is not restartable: %s", blocker->c_str());
}

void Generations::exclude_with(std::function<void()> begin,
                               std::function<void()> end)
{
    exclude_ = std::move(begin);
    admit_ = std::move(end);
}

Result<void> Generations::can_begin() const
{
    if (detached()) {
        return refuse(EBUSY, "the guest is detached from KVM");
    }
    if (presence_ == Presence::MadeRoom) {
        return refuse(EBUSY, "the guest has no VM before it is reset");
    }
    return can_repeat();
}

Result<void> Generations::can_repeat() const
{
    if (Result<void> may = restartable(recorder_.blocker()); !may) {
        return may;
    }
    if (!recorder_.recording()) {
        return fail(ENODEV, "no VM was recorded");
    }
    if (recorder_.plan().state() == LaunchState::Begun) {
        return fail(EBUSY, "the guest's launch is not finished, so there is "
                           "nothing to repeat");
    }
    return {};
}

Result<void> Generations::may_begin()
{
    if (Result<void> can = can_begin(); !can) {
        return can;
    }
    release_last();
    return {};
}

Result<void> Generations::may_reset()
{
    if (presence_ != Presence::MadeRoom) {
        return may_begin();
    }
    if (Result<void> can = can_repeat(); !can) {
        return can;
    }
    release_last();
    return {};
}

void Generations::release_last()
{
    release_old_vm();
    skipped_eventfds_.clear();
}

/* There is none of a guest without a VM. */
void Generations::renew_spare()
{
    if (presence_ == Presence::Present) {
        spare_.renew(vm_name_.number);
    }
}

Result<PreparedVm> Generations::build(const Snapshot &snapshot, int device)
{
    Result<Replica> built = Replica::build(recorder_.kernel(), snapshot,
                                           vm_name_.number, device);
    if (!built) {
        return std::unexpected(built.error());
    }
    return PreparedVm(std::move(*built));
}

void Generations::settle(VmName vm, std::vector<Answer> answers)
{
    vm_name_ = vm;
    answers_ = std::move(answers);
}

void Generations::hold(OldVm old)
{
    std::unique_lock lock(mutex_);
    held_.emplace(std::move(old));
}

Result<void> Generations::before_run()
{
    Result<void> done = move_skipped();

    if (done) {
        done = registry_.run(Phase::BeforeRun);
    }
    if (done) {
        done = recorder_.freeze().apply_layout();
    }
    release_old_vm();
    return done;
}

/* Of what was left behind, that which the reset of devices did not end. */
Result<void> Generations::move_skipped()
{
    std::unique_lock lock(mutex_);
    std::vector<SkippedEntry> left;
    if (held_) {
        left = std::exchange(held_->skipped, {});
    }
    lock.unlock();
    if (left.empty()) {
        return {};
    }

    Recorder::Frozen frozen = recorder_.freeze();
    Snapshot now = frozen.snapshot();
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

void Generations::release_old_vm()
{
    std::unique_lock lock(mutex_);
    std::optional<OldVm> held = std::exchange(held_, std::nullopt);

    lock.unlock();
    if (held) {
        reaper_.retire(std::move(held->vm));
        renew_spare();
    }
}

void Generations::drain()
{
    release_old_vm();
    reaper_.drain();
    if (presence_ == Presence::Present) {
        spare_.settle();
    }
}

void Generations::note(const Result<Durations> &outcome, bool lost)
{
    std::unique_lock lock(mutex_);
    status_.lost = !outcome && (status_.lost || lost);
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

void Generations::note_lost()
{
    std::unique_lock lock(mutex_);
    status_.lost = true;
}

void Generations::note_failure(const Error &why)
{
    std::unique_lock lock(mutex_);
    status_.aborted++;
    status_.last_error = why.what;
    recorder_.observer().step("abort", status_.last_error, 0);
}

void Generations::note_refused_launch(const Error &why)
{
    std::unique_lock lock(mutex_);
    status_.refused_launch = why.what;
    recorder_.observer().step("launch-refused", status_.refused_launch, 0);
}

void Generations::note_measurement(std::optional<LaunchMeasurement> measured)
{
    std::unique_lock lock(mutex_);
    status_.measurement = std::move(measured);
}

Status Generations::status()
{
    std::unique_lock lock(mutex_);
    Status status = status_;

    status.retire = reaper_.last_duration();
    status.retiring = reaper_.waiting() + held_.has_value();
    status.held = reaper_.held_by_others();
    status.private_left = reaper_.private_left();
    status.waited = reaper_.waited();
    return status;
}

} /* namespace kvm_reset */
