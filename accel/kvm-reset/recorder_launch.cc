/*
 * The recorder: a confidential guest's launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include "arch.h"
#include "error.h"
#include "recorder_call.h"

namespace kvm_reset {

/*
 * KVM_MEMORY_ENCRYPT_OP: what it is depends on the command in it.  The step
 * is copied before the kernel has it, since some are encrypted in place.
 */
int Recorder::launch(const Call &call)
{
    auto header = reinterpret_cast<const uint8_t *>(call.arg);
    uint32_t id = read_field({header, launch_header_size}, launch_id);
    const Object *object = journal_.object_at(call.fd);
    const LaunchCommand *command = arch() && object
                                     ? arch()->launch_command(vm_type_,
                                                              object->kind, id)
                                     : nullptr;

    if (command && command->effect == LaunchEffect::Query) {
        return kernel_.ioctl(call.fd, call.request, call.arg);
    }
    if (command && command->effect != LaunchEffect::Foreign) {
        return keep_step(call, *command);
    }
    int ret = kernel_.ioctl(call.fd, call.request, call.arg);
    if (ret >= 0) {
        block_locked(
            command ? format("%s cannot be replayed (%s)", command->name,
                             command->note)
                    : format("%s: sub-command %u is not known, and so cannot "
                             "be replayed",
                             call.row->name, id));
    }
    return ret;
}

int Recorder::keep_step(const Call &call, const LaunchCommand &command)
{
    Announcer announcer(*this);
    bool secret = command.effect == LaunchEffect::Secret;
    Result<LaunchStep> step = secret
                                ? LaunchStep::mark(command)
                                : LaunchStep::copy(kernel_, command, call.arg);
    int ret = kernel_.ioctl(call.fd, call.request, call.arg);

    bool in_part = command.left.width && (ret == -EAGAIN || ret == -EINTR);
    if (ret < 0 && !in_part) {
        return ret;
    }
    if (!step) {
        block_locked(step.error().what);
        return ret;
    }
    if (!secret && !step->keep_done(kernel_, call.arg)) {
        return ret;
    }

    LaunchPlan plan = plan_;
    if (command.effect == LaunchEffect::Define) {
        plan.begin();
        Key key{.target = call.target, .family = call.request};
        key.fields[0] = command.id;
        journal_.put(key, {.row = call.row,
                           .target = call.target,
                           .sub_command = std::make_shared<const LaunchStep>(
                               std::move(*step))});
    } else {
        plan.add(call.target, std::move(*step));
        if (command.effect == LaunchEffect::Finish) {
            plan.set_vcpus(vcpus_of(journal_.snapshot()));
            keep_layout(plan, call.fd);
        }
        journal_.touch();
    }
    set_plan(std::move(plan));
    if (command.effect == LaunchEffect::Finish && !first_measurement_) {
        if (auto measured = arch()->measure(definition())) {
            first_measurement_ = *measured;
        }
    }
    return ret;
}

/* A guest that waits for its owner finishes its launch more than once. */
void Recorder::keep_layout(LaunchPlan &plan, int vm)
{
    if (plan.layout()) {
        return;
    }
    Result<Slots> layout = launch_layout(kernel_, vm, journal_);
    if (!layout) {
        block_locked(layout.error().what);
        return;
    }
    plan.set_layout(std::move(*layout));
}

void Recorder::set_plan(LaunchPlan plan)
{
    bool was = plan_.state() == LaunchState::Begun;
    bool is = plan.state() == LaunchState::Begun;

    plan_ = std::move(plan);
    if (was != is) {
        see_vcpu_state(is);
    }
}

void Recorder::set_layout(MemoryLayout layout)
{
    bool was = layout_.waits();

    layout_ = std::move(layout);
    if (was != layout_.waits()) {
        see_dirty_logs(!was);
    }
}

MemoryLayout Recorder::Frozen::begin_layout(const Definition &definition)
{
    MemoryLayout before = recorder_->layout_.waiting(
        recorder_->journal_.snapshot());
    MemoryLayout layout;

    layout.begin(definition);
    recorder_->set_layout(std::move(layout));
    return before;
}

Result<void> Recorder::Frozen::put_layout_back(MemoryLayout before)
{
    recorder_->set_layout(std::move(before));
    return recorder_->detached_ ? Result<void>() : apply_layout();
}

Result<void> Recorder::Frozen::apply_layout()
{
    MemoryLayout layout = recorder_->layout_;
    Snapshot journal = recorder_->journal_.snapshot();
    const Object *vm = journal.object(recorder_->vm_);
    Result<void> done = vm ? layout.apply(recorder_->kernel_, vm->fd, journal)
                           : Result<void>();

    recorder_->set_layout(std::move(layout));
    return done;
}

/*
 * Each of its definitions is another one than before, so replicas follow.
 * What is given up goes after the lock: to wipe megabytes takes milliseconds.
 */
void Recorder::choose_launch(LaunchSource by, OtherLaunchPtr other, bool once)
{
    LaunchChoice before;
    std::unique_lock lock(mutex_);
    Announcer announcer(*this);

    if (other) {
        OtherLaunch numbered = *other;
        numbered.source = by;
        numbered.id = journal_.next();
        for (Entry &entry : numbered.definitions) {
            entry.version = journal_.next();
        }
        other = std::make_shared<const OtherLaunch>(std::move(numbered));
    }
    before = launches_;
    launches_.choose(by, std::move(other), once);
    journal_.touch();
}

bool Recorder::give_up_launch()
{
    std::unique_lock lock(mutex_);
    Announcer announcer(*this);

    if (!launches_.give_up()) {
        return false;
    }
    journal_.touch();
    return true;
}

void Recorder::drop_launch_in_place()
{
    std::unique_lock lock(mutex_);

    launches_.drop_in_place();
}

LaunchChoice Recorder::launches() const
{
    std::unique_lock lock(mutex_);
    return launches_;
}

Definition Recorder::recorded() const
{
    std::unique_lock lock(mutex_);
    return recorded_locked();
}

std::optional<LaunchMeasurement> Recorder::Frozen::expected_measurement() const
{
    const OtherLaunchPtr &other = recorder_->launches_.next();

    return other && !other->written ? other->measurement
                                    : recorder_->first_measurement_;
}

/* The recorded plan stays what it was, to go back to. */
void Recorder::Frozen::launched(LaunchPlan plan)
{
    if (!recorder_->launches_.next()) {
        recorder_->set_plan(std::move(plan));
    }
    const bool once = recorder_->launches_.once();
    recorder_->launches_.launched();
    if (once) {
        recorder_->journal_.touch();
    }
}

LaunchPlan Recorder::plan() const
{
    std::unique_lock lock(mutex_);
    return plan_;
}

void Recorder::measurement_told()
{
    std::unique_lock lock(mutex_);

    if (plan_.state() == LaunchState::Begun) {
        plan_.waits_for_owner();
        journal_.touch();
    }
}

std::optional<LaunchMeasurement> Recorder::first_measurement() const
{
    std::unique_lock lock(mutex_);
    return first_measurement_;
}

} /* namespace kvm_reset */
