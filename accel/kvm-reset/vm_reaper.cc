/*
 * The reaper
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vm_reaper.h"

namespace kvm_reset {

VmReaper::~VmReaper()
{
    {
        std::unique_lock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void VmReaper::retire(std::vector<Fd> fds)
{
    std::unique_lock lock(mutex_);

    if (!thread_.joinable() &&
        !thread_.start("kvm-retire", [this] { work(); })) {
        queue_.push_back(std::move(fds));
        close_first(lock);
        return;
    }
    if (queue_.size() >= bound_) {
        uint64_t began = kernel_.now();
        kernel_.wait_until(changed_, lock,
                           [this] { return queue_.size() < bound_; });
        waited_ += kernel_.now() - began;
    }
    queue_.push_back(std::move(fds));
    changed_.notify_all();
}

void VmReaper::drain()
{
    std::unique_lock lock(mutex_);

    hurried_++;
    changed_.notify_all();
    kernel_.wait_until(changed_, lock,
                       [this] { return queue_.empty() && !busy_; });
    hurried_--;
}

void VmReaper::work()
{
    std::unique_lock lock(mutex_);

    while (true) {
        kernel_.wait_until(changed_, lock,
                           [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) {
            return;
        }
        auto hurried = [this] {
            return stopping_ || hurried_ || queue_.size() >= bound_;
        };
        kernel_.wait_until(changed_, lock, hurried, kernel_.now() + patience);
        close_first(lock);
    }
}

void VmReaper::close_first(std::unique_lock<std::mutex> &lock)
{
    std::vector<Fd> fds = std::move(queue_.front());

    queue_.pop_front();
    busy_++;
    changed_.notify_all();

    lock.unlock();
    uint64_t began = kernel_.now();
    fds.clear();
    uint64_t took = kernel_.now() - began;
    lock.lock();

    last_duration_ = took;
    busy_--;
    changed_.notify_all();
}

size_t VmReaper::waiting() const
{
    std::unique_lock lock(mutex_);
    return queue_.size() + busy_;
}

uint64_t VmReaper::last_duration() const
{
    std::unique_lock lock(mutex_);
    return last_duration_;
}

uint64_t VmReaper::waited() const
{
    std::unique_lock lock(mutex_);
    return waited_;
}

} /* namespace kvm_reset */
