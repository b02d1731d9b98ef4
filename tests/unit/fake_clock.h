/*
 * A clock that tests set
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It goes by itself until a test holds it: each look at it takes a
 * microsecond, and whoever waits for a time finds that it has come.  Held, it
 * stands still: who waits for a time waits until the test has moved the clock
 * there, and the test sees what is waited for.
 */

#ifndef TESTS_UNIT_FAKE_CLOCK_H
#define TESTS_UNIT_FAKE_CLOCK_H

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

class FakeClock {
public:
    /* As in Kernel. */
    uint64_t now();
    void wait(std::condition_variable &changed,
              std::unique_lock<std::mutex> &lock, uint64_t until);

    void hold();
    void release();
    /*
     * Moves it.  What waits for a time up to there must be alive until this
     * returns.
     */
    void advance(uint64_t ns);

    /* The next time that somebody waits for; Kernel::forever: nobody does. */
    uint64_t next() const;
    /* How many threads wait, for a time or without. */
    size_t waiting() const;
    /* How often a thread began to wait, since the start. */
    uint64_t waits() const;

private:
    struct Waiter {
        std::condition_variable *changed;
        std::mutex *mutex;
        uint64_t until;
    };

    void wake(uint64_t up_to);

    mutable std::mutex mutex_;
    std::list<Waiter> waiters_;
    uint64_t now_ = 0;
    uint64_t waits_ = 0;
    bool held_ = false;
};

/* For what another thread does: however long it takes. */
template <class Condition> void yield_until(Condition condition)
{
    while (!condition()) {
        std::this_thread::yield();
    }
}

#endif
