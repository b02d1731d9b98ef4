/*
 * A clock that tests set
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_clock.h"

#include <algorithm>
#include <vector>

#include "kernel.h"

using kvm_reset::Kernel;

uint64_t FakeClock::now()
{
    std::unique_lock lock(mutex_);

    return held_ ? now_ : now_ += 1000;
}

void FakeClock::wait(std::condition_variable &changed,
                     std::unique_lock<std::mutex> &lock, uint64_t until)
{
    std::unique_lock mine(mutex_);

    waits_++;
    if (until != Kernel::forever && (!held_ || until <= now_)) {
        now_ = std::max(now_, until);
        mine.unlock();
        /* As a wait does, this lets others in. */
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
        return;
    }
    auto waiter = waiters_.insert(waiters_.end(),
                                  {&changed, lock.mutex(), until});
    mine.unlock();
    changed.wait(lock);
    mine.lock();
    waiters_.erase(waiter);
}

void FakeClock::hold()
{
    std::unique_lock lock(mutex_);
    held_ = true;
}

void FakeClock::release()
{
    {
        std::unique_lock lock(mutex_);
        held_ = false;
    }
    wake(Kernel::forever - 1);
}

void FakeClock::advance(uint64_t ns)
{
    uint64_t to;
    {
        std::unique_lock lock(mutex_);
        to = now_ += ns;
    }
    wake(to);
}

void FakeClock::wake(uint64_t up_to)
{
    std::vector<Waiter> due;
    {
        std::unique_lock lock(mutex_);
        std::ranges::copy_if(
            waiters_, std::back_inserter(due),
            [up_to](const Waiter &waiter) { return waiter.until <= up_to; });
    }
    for (const Waiter &waiter : due) {
        /* Between its entry in the list and its wait it has the mutex. */
        std::unique_lock lock(*waiter.mutex);
        waiter.changed->notify_all();
    }
}

uint64_t FakeClock::next() const
{
    std::unique_lock lock(mutex_);
    uint64_t next = Kernel::forever;

    for (const Waiter &waiter : waiters_) {
        if (waiter.until > now_) {
            next = std::min(next, waiter.until);
        }
    }
    return next;
}

size_t FakeClock::waiting() const
{
    std::unique_lock lock(mutex_);
    return waiters_.size();
}

uint64_t FakeClock::waits() const
{
    std::unique_lock lock(mutex_);
    return waits_;
}
