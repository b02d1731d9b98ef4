/*
 * The spare
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "spare.h"

#include <functional>
#include <utility>

#include "measuring.h"

namespace kvm_reset {

const char *to_string(SpareState state)
{
    switch (state) {
    case SpareState::Off:
        return "off";
    case SpareState::Preparing:
        return "preparing";
    case SpareState::Ready:
        return "ready";
    case SpareState::Failed:
        return "failed";
    }
    return "unknown";
}

Spare::~Spare()
{
    recorder_.on_change({});
    {
        std::unique_lock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Spare::keep(bool wanted, bool launched)
{
    std::unique_lock lock(mutex_);

    if (wanted_ == wanted && wanted_launched_ == launched) {
        return;
    }
    wanted_ = wanted;
    wanted_launched_ = launched;
    status_ = {};
    status_.state = wanted ? SpareState::Preparing : SpareState::Off;
    start_thread();
    lock.unlock();
    recorder_.on_change(wanted ? [this] { wake(); } : std::function<void()>());
    lock.lock();
    stale_ = true;
    changed_.notify_all();
}

/* With the lock held; tried again at each reset. */
void Spare::start_thread()
{
    if (!wanted_ || thread_.joinable()) {
        return;
    }
    status_.state = SpareState::Preparing;
    Result<void> started = thread_.start("kvm-spare", [this] { work(); });
    if (!started) {
        status_.state = SpareState::Failed;
        status_.error = started.error().what;
    }
}

/*
 * On the thread that changed the definition, with the recorder's lock: only
 * the first change of a batch wakes the thread.
 */
void Spare::wake()
{
    if (!stale_.exchange(true)) {
        std::unique_lock lock(mutex_);
        changed_.notify_all();
    }
}

std::optional<PreparedVm> Spare::take()
{
    std::unique_lock lock(mutex_);

    kernel().wait_until(changed_, lock, [this] { return !busy_; });
    resting_ = true;
    if (wanted_) {
        status_.state = SpareState::Preparing;
    }
    return std::exchange(vm_, std::nullopt);
}

void Spare::renew(int taken)
{
    std::unique_lock lock(mutex_);

    taken_ = taken;
    stale_ = true;
    resting_ = false;
    start_thread();
    changed_.notify_all();
}

SpareStatus Spare::status() const
{
    std::unique_lock lock(mutex_);
    SpareStatus status = status_;

    status.fds = vm_ ? vm_->replica.fds() : 0;
    status.bytes = vm_ ? vm_->replica.footprint() : 0;
    status.launched = vm_ && vm_->launched();
    return status;
}

void Spare::settle()
{
    std::unique_lock lock(mutex_);
    kernel().wait_until(changed_, lock, [this] {
        return !thread_.joinable() ||
               (!busy_ && !gathering_ && !stale_ &&
                (wanted_ ? status_.state != SpareState::Preparing : !vm_));
    });
}

void Spare::work()
{
    std::unique_lock lock(mutex_);

    while (!stopping_) {
        if (wanted_ && stale_ && !resting_) {
            work_once(lock);
        } else if (!wanted_ && (stale_ || vm_)) {
            vm_.reset();
            stale_ = false;
        } else {
            changed_.notify_all();
            kernel().wait(changed_, lock, Kernel::forever);
        }
    }
}

void Spare::let_changes_gather(std::unique_lock<std::mutex> &lock)
{
    unsigned times = 0;

    gathering_ = true;
    do {
        stale_ = false;
        kernel().wait_until(
            changed_, lock, [this] { return stopping_; },
            kernel().now() + gathering_time);
    } while (stale_ && !stopping_ && ++times < most_gathering_times);
    stale_ = false;
    gathering_ = false;
}

void Spare::work_once(std::unique_lock<std::mutex> &lock)
{
    let_changes_gather(lock);
    if (stopping_ || !wanted_ || resting_) {
        return;
    }
    busy_ = true;
    std::optional<PreparedVm> vm = std::exchange(vm_, std::nullopt);
    int taken = taken_;
    bool followed = false;

    lock.unlock();
    uint64_t began = kernel().now();
    Result<PreparedVm> next = prepare(std::move(vm), taken, &followed);
    uint64_t took = kernel().now() - began;
    lock.lock();

    busy_ = false;
    status_.error.clear();
    if (next) {
        vm_.emplace(std::move(*next));
        status_.state = SpareState::Ready;
        status_.duration = followed ? status_.duration : took;
    } else {
        status_.state = SpareState::Failed;
        status_.error = next.error().what;
    }
    recorder_.observer().step(next ? "spare" : "spare-failed", status_.error,
                              took);
}

Result<PreparedVm> Spare::prepare(std::optional<PreparedVm> vm, int taken,
                                  bool *followed)
{
    if (auto why = recorder_.blocker()) {
        return fail(ENOTSUP, "%s", why->c_str());
    }
    Definition definition = recorder_.quick_snapshot();
    if (definition.entries.empty()) {
        return fail(ENODEV, "no VM was recorded");
    }
    *followed = vm && vm->follow(definition);
    if (!*followed) {
        vm.reset();
        reaper_.drain();
        Result<Replica> built = Replica::build(kernel(), definition, taken);
        if (!built) {
            return std::unexpected(built.error());
        }
        vm.emplace(std::move(*built));
    }
    if (Result<void> done = do_ahead(*vm, definition); !done) {
        return std::unexpected(done.error());
    }
    return std::move(*vm);
}

/*
 * A launch in place cannot be done ahead, and its measurement is computed
 * before the guest loses its old VM: that much is done here.  With another
 * vCPU it is measured otherwise, and whether that may be is the reset's to say.
 */
Result<void> Spare::do_ahead(PreparedVm &vm, const Definition &definition)
{
    const LaunchPlan &plan = definition.plan;

    if (plan.state() != LaunchState::Finished || vm.measured() ||
        !(plan.in_place() || wanted_launched_) || plugged_vcpu(definition)) {
        return {};
    }
    Measuring measuring(definition);
    Result<void> done;
    if (!plan.in_place()) {
        done = vm.launch(kernel(), plan.without_owner());
    }
    vm.set_measured(measuring.wait(), definition);
    return done;
}

} /* namespace kvm_reset */
