/*
 * The reaper
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vm_reaper.h"

#include <algorithm>

namespace kvm_reset {

static uint64_t private_bytes(const DeadVm &vm)
{
    uint64_t bytes = 0;

    for (const PrivateMemory &memory : vm.memory) {
        bytes += memory.size;
    }
    return bytes;
}

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

void VmReaper::retire(DeadVm vm)
{
    std::unique_lock lock(mutex_);
    bool alone = !thread_.joinable() &&
                 !thread_.start("kvm-retire", [this] { work(); });

    if (!alone && queue_.size() >= bound_) {
        uint64_t began = kernel_.now();
        kernel_.wait_until(changed_, lock,
                           [this] { return queue_.size() < bound_; });
        waited_ += kernel_.now() - began;
    }
    private_left_ += private_bytes(vm);
    queue_.push_back(std::move(vm));
    if (alone) {
        take_down_first(lock);
    } else {
        changed_.notify_all();
    }
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
            return stopping_ || hurried_ || queue_.size() >= bound_ ||
                   !queue_.front().memory.empty();
        };
        kernel_.wait_until(changed_, lock, hurried, kernel_.now() + patience);
        take_down_first(lock);
    }
}

void VmReaper::take_down_first(std::unique_lock<std::mutex> &lock)
{
    DeadVm vm = std::move(queue_.front());
    Closed closed{.debugfs = vm.debugfs, .inode = 0};

    queue_.pop_front();
    busy_++;
    changed_.notify_all();

    lock.unlock();
    uint64_t began = kernel_.now();
    if (!vm.debugfs.empty()) {
        closed.inode = kernel_.inode(vm.debugfs.c_str());
    }
    for (const PrivateMemory &memory : vm.memory) {
        give_back(memory);
    }
    vm.fds.clear();
    uint64_t took = kernel_.now() - began;
    lock.lock();

    last_duration_ = took;
    if (closed.inode) {
        closed_.push_back(std::move(closed));
    }
    busy_--;
    progress_++;
    changed_.notify_all();
    if (listener_) {
        lock.unlock();
        listener_();
        lock.lock();
    }
}

/* What cannot be given back goes with the VM. */
void VmReaper::give_back(const PrivateMemory &memory)
{
    for (uint64_t offset = 0; offset < memory.size; offset += piece) {
        uint64_t length = std::min(piece, memory.size - offset);
        kernel_.punch_hole(memory.fd, offset, length);
        advance(length);
    }
}

void VmReaper::advance(uint64_t bytes)
{
    {
        std::unique_lock lock(mutex_);
        private_left_ -= bytes;
        progress_++;
    }
    if (listener_) {
        listener_();
    }
}

size_t VmReaper::waiting() const
{
    std::unique_lock lock(mutex_);
    return queue_.size() + busy_;
}

uint64_t VmReaper::private_left() const
{
    std::unique_lock lock(mutex_);
    return private_left_;
}

uint64_t VmReaper::progress() const
{
    std::unique_lock lock(mutex_);
    return progress_;
}

/* Another VM may have a directory of that name by now. */
bool VmReaper::lives(const Closed &vm) const
{
    return kernel_.inode(vm.debugfs.c_str()) == vm.inode;
}

size_t VmReaper::held_by_others()
{
    std::unique_lock lock(mutex_);

    std::erase_if(closed_, [this](const Closed &vm) { return !lives(vm); });
    return closed_.size();
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
