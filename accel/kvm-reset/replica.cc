/*
 * A replica
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "replica.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <ranges>
#include <unistd.h>
#include <utility>

#include "kvm_device.h"

namespace kvm_reset {

int Replica::fd(ObjectId object) const
{
    auto found = fds_.find(object);

    return found == fds_.end() ? -1 : found->second.get();
}

size_t Replica::footprint() const
{
    /* A map's node has three pointers and a colour besides. */
    size_t node = sizeof(decltype(fds_)::value_type) + 4 * sizeof(void *);

    return sizeof(*this) + fds_.size() * node +
           applied_.capacity() * sizeof(EntryPtr);
}

int Replica::issue_create(const Entry &entry, LiveArgument &arg)
{
    int target = fd(entry.target);
    bool is_vm = entry.row->creates == FdClass::Vm;
    Fd placeholder;

    if (is_vm) {
        placeholder = Fd(*kernel_, kernel_->dup(target));
        if (placeholder.get() != taken_) {
            placeholder.reset();
        }
    }
    int ret = issue_uninterrupted(*kernel_, target, entry.row->request, arg);
    if (ret >= 0 && entry.row->created_in_arg) {
        ret = int(read_field(arg.bytes, entry.row->created));
    }
    if (is_vm) {
        vm_name_ = {.thread = gettid(), .number = ret};
    }
    return ret;
}

Result<void> Replica::create(const Entry &entry)
{
    LiveArgument live = live_in(entry, entry.arg, fd_of());
    int made = issue_create(entry, live);

    if (made < 0) {
        return fail(-made, "%s", describe(entry).c_str());
    }
    fds_.emplace(entry.order, Fd(*kernel_, made));
    return {};
}

Result<void> Replica::replay(const Entry &entry)
{
    for (ObjectId object : entry.objects) {
        if (object && fd(object) < 0) {
            return fail(EBADF, "%s names an fd that was closed",
                        describe(entry).c_str());
        }
    }
    return issue(*kernel_, entry, fd(entry.target), fd_of());
}

Result<void> Replica::take_sub_command(const Entry &entry)
{
    Answer answer;
    Result<void> done = entry.sub_command->take(*kernel_, fd(entry.target),
                                                &answer);

    answers_.push_back(std::move(answer));
    return done;
}

Result<void> Replica::take_away(const Entry &entry)
{
    return issue_removal(*kernel_, entry, fd(entry.target), fd_of());
}

Result<void> Replica::open_system(const Snapshot &snapshot, int device)
{
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::Vm && taken_ < 0) {
            taken_ = object.fd;
        }
        if (object.kind == FdClass::System) {
            Result<Fd> system = device < 0
                                  ? another_kvm_device(*kernel_, object.fd)
                                  : duplicate_kvm_device(*kernel_, device);
            if (!system) {
                return std::unexpected(system.error());
            }
            fds_.emplace(object.id, std::move(*system));
        }
    }
    return {};
}

/* What the journal no longer has, or has in another form. */
Result<void> Replica::forget(const Entry &entry)
{
    const Row &row = *entry.row;

    if (row.effect == Effect::Create) {
        if (row.creates != FdClass::Stats &&
            row.creates != FdClass::GuestMemfd) {
            return fail(ESTALE, "%s cannot be taken back",
                        describe(entry).c_str());
        }
        fds_.erase(entry.order);
        return {};
    }
    /* A definition goes with its object, or another one takes its place. */
    if (row.exclusive || row.effect != Effect::Add || fd(entry.target) < 0) {
        return {};
    }
    return take_away(entry);
}

Result<void> Replica::apply(const Entry &entry)
{
    if (entry.row->effect == Effect::Create) {
        return create(entry);
    }
    if (entry.sub_command) {
        return take_sub_command(entry);
    }
    return entry.row->exclusive ? Result<void>() : replay(entry);
}

/*
 * Both lists are in replay order.  All that is gone goes before anything
 * comes: a slot may lie where another one was.
 */
Result<void> Replica::follow(const Snapshot &snapshot)
{
    std::vector<EntryPtr> gone, come;

    if (version_ == snapshot.version) {
        return {};
    }
    auto less = [](const EntryPtr &a, const EntryPtr &b) {
        return std::pair(a->order, a->version) <
               std::pair(b->order, b->version);
    };
    std::ranges::set_difference(applied_, snapshot.entries,
                                std::back_inserter(gone), less);
    std::ranges::set_difference(snapshot.entries, applied_,
                                std::back_inserter(come), less);

    for (const EntryPtr &entry : gone | std::views::reverse) {
        if (Result<void> done = forget(*entry); !done) {
            return done;
        }
    }
    for (const EntryPtr &entry : come) {
        if (Result<void> done = apply(*entry); !done) {
            return done;
        }
    }
    applied_ = snapshot.entries;
    version_ = snapshot.version;
    return {};
}

Result<Replica> Replica::build(Kernel &kernel, const Snapshot &snapshot,
                               int taken, int device)
{
    Replica replica(kernel, taken);
    Result<void> done = replica.open_system(snapshot, device);

    if (done) {
        done = replica.follow(snapshot);
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    return replica;
}

} /* namespace kvm_reset */
