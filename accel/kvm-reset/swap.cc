/*
 * The swap
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "swap.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <thread>

namespace kvm_reset {

Result<void> Swap::perform()
{
    Result<void> done = keep_old();

    if (done && way_ != SwapWay::PutBack) {
        done = take_exclusive();
    }
    if (done && state_) {
        done = carry();
    }
    if (done && way_ != SwapWay::TakeAway) {
        done = give_exclusive();
    }
    if (done) {
        done = put_in_place();
    }
    if (!done) {
        if (Result<void> undone = undo(); !undone) {
            done.error().what += "; and the old VM is not whole: " +
                                 undone.error().what;
        }
    }
    return done;
}

Result<void> Swap::keep_old()
{
    if (way_ == SwapWay::TakeAway) {
        int fd = kernel_.placeholder();
        if (fd < 0) {
            return fail(-fd, "what keeps the fds' numbers");
        }
        nothing_ = Fd(kernel_, fd);
    }
    old_.reserve(snapshot_.objects.size());
    for (const Object &object : snapshot_.objects) {
        int fd = kernel_.dup(object.fd);
        if (fd < 0) {
            return fail(-fd, "cannot keep the old VM's fd %d (%s)", object.fd,
                        to_string(object.kind));
        }
        old_.emplace_back(kernel_, fd);
    }
    return {};
}

bool Swap::keeps(const Object &object) const
{
    return way_ == SwapWay::TakeAway && !state_ &&
           object.kind == FdClass::System;
}

bool Swap::stays(const Entry &entry) const
{
    return skipped_eventfds_.contains(entry.files[0].fd);
}

/* Taking all away first lets the kernel's grace periods overlap. */
Result<void> Swap::take_exclusive()
{
    for (const EntryPtr &entry : snapshot_.entries) {
        if (!entry->row->exclusive || stays(*entry)) {
            continue;
        }
        const Object *target = snapshot_.object(entry->target);
        Result<void> done = issue_removal(kernel_, *entry, target->fd, nullptr);
        if (!done) {
            return done;
        }
        taken_.push_back(entry.get());
    }
    return {};
}

/*
 * Between the two: what an irqfd has brought is in the old VM's state by now,
 * and what is signalled from now on waits in its eventfd for the new VM, whose
 * interrupt controllers must know what they know by then.
 */
Result<void> Swap::carry()
{
    uint64_t began = kernel_.now();
    Result<void> done;

    if (way_ != SwapWay::PutBack) {
        done = state_->read(snapshot_);
    }
    if (done) {
        done = state_->put(replica_.fd_of());
    }
    carrying_ = kernel_.now() - began;
    return done;
}

Result<void> Swap::give_exclusive()
{
    std::vector<const Entry *> all = taken_;

    if (way_ == SwapWay::PutBack) {
        for (const EntryPtr &entry : snapshot_.entries) {
            if (entry->row->exclusive) {
                all.push_back(entry.get());
            }
        }
    }
    for (const Entry *entry : all) {
        Result<void> done = replica_.replay(*entry);
        if (!done) {
            return done;
        }
        given_.push_back(entry);
    }
    return {};
}

Result<void> Swap::map(const Object &object, int fd)
{
    for (const Mapping &mapping : object.mappings) {
        void *at;
        int ret = kernel_.mmap(mapping.address, mapping.length, mapping.prot,
                               mapping.flags | MAP_FIXED, fd, mapping.offset,
                               &at);
        if (ret < 0) {
            return fail(-ret, "mapping fd %d (%s) in place of the old one",
                        object.fd, to_string(object.kind));
        }
    }
    return {};
}

/* Zeros, so that a ring that lies there is an empty one. */
Result<void> Swap::map_nothing(const Object &object)
{
    for (const Mapping &mapping : object.mappings) {
        void *at;
        int ret = kernel_.mmap(mapping.address, mapping.length, mapping.prot,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
                               &at);
        if (ret < 0) {
            return fail(-ret, "mapping memory in place of fd %d (%s)",
                        object.fd, to_string(object.kind));
        }
    }
    return {};
}

Result<void> Swap::map_new(const Object &object, int fd)
{
    return way_ == SwapWay::TakeAway ? map_nothing(object) : map(object, fd);
}

Result<void> Swap::map_old(const Object &object, int fd)
{
    return way_ == SwapWay::PutBack ? map_nothing(object) : map(object, fd);
}

/* In nanoseconds: many times what an open() can take. */
constexpr uint64_t most_busy = 100'000'000;

/* EBUSY: another thread is about to open that very number, as dup2(2) says. */
static int replace(Kernel &kernel, int fd, int onto)
{
    int ret = kernel.dup_onto(fd, onto);
    if (ret != -EINTR && ret != -EBUSY) {
        return ret;
    }
    uint64_t began = kernel.now();
    do {
        std::this_thread::yield();
        ret = kernel.dup_onto(fd, onto);
    } while ((ret == -EINTR || ret == -EBUSY) &&
             kernel.now() - began < most_busy);
    return ret;
}

Result<void> Swap::put_in_place()
{
    for (const Object &object : snapshot_.objects) {
        if (keeps(object)) {
            placed_++;
            continue;
        }
        int fresh = nothing_ ? nothing_.get() : replica_.fd(object.id);
        int ret = replace(kernel_, fresh, object.fd);
        if (ret < 0) {
            return fail(-ret, "putting the new fd %d (%s) in place", object.fd,
                        to_string(object.kind));
        }
        placed_++;
        Result<void> mapped = map_new(object, fresh);
        if (mapped && state_) {
            mapped = state_->put_page(object);
        }
        if (!mapped) {
            return mapped;
        }
    }
    return {};
}

/*
 * What was signalled while the new VM had the irqfd is gone with that VM: a
 * guest that lives on may be interrupted for nothing, but not miss anything.
 */
void Swap::ring(const Entry &entry)
{
    const auto &fds = entry.row->fds;

    if (state_ && fds.size() > 0 && fds[0].role == FdRole::Eventfd) {
        kernel_.ring(entry.files[0].fd);
    }
}

Result<void> Swap::undo()
{
    Result<void> outcome;
    auto note = [&outcome](Result<void> step) {
        if (!step && outcome) {
            outcome = std::move(step);
        }
    };

    while (placed_ > 0) {
        const Object &object = snapshot_.objects[--placed_];
        int fd = old_[placed_].get();
        int ret = replace(kernel_, fd, object.fd);
        if (ret < 0) {
            note(fail(-ret, "putting the old fd %d back", object.fd));
        }
        note(map_old(object, fd));
    }
    for (; !given_.empty(); given_.pop_back()) {
        const Entry *entry = given_.back();
        note(replica_.take_away(*entry));
        ring(*entry);
    }
    for (; !taken_.empty(); taken_.pop_back()) {
        const Entry *entry = taken_.back();
        note(issue(kernel_, *entry, snapshot_.object(entry->target)->fd,
                   nullptr));
    }
    if (state_) {
        note(state_->resume(snapshot_));
    }
    old_.clear();
    replica_.close();
    return outcome;
}

std::vector<SkippedEntry> Swap::skipped() const
{
    std::vector<SkippedEntry> left;

    for (const EntryPtr &entry : snapshot_.entries) {
        if (entry->row->exclusive && stays(*entry)) {
            size_t target = snapshot_.object(entry->target) -
                            snapshot_.objects.data();
            left.push_back({entry, old_[target].get()});
        }
    }
    return left;
}

std::vector<Fd> Swap::finish()
{
    replica_.close();
    return std::move(old_);
}

} /* namespace kvm_reset */
