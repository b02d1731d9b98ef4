/*
 * The reaper: closes old VMs while nobody waits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Taking a VM down takes the kernel milliseconds; the guest need not wait for
 * that.  The queue is bounded: a storm of resets slows down to what the
 * kernel can take down, it does not pile up dead VMs.
 */

#ifndef KVM_RESET_VM_REAPER_H
#define KVM_RESET_VM_REAPER_H

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "kernel.h"
#include "masked_thread.h"

namespace kvm_reset {

class VmReaper {
public:
    /*
     * Nobody is in a hurry to see a VM gone, and the guest is about to run:
     * its end waits that long, in nanoseconds, unless somebody waits for it.
     */
    static constexpr uint64_t patience = 5'000'000;

    explicit VmReaper(Kernel &kernel, size_t bound = 4)
        : kernel_(kernel), bound_(bound)
    {}
    /* Waits for what is under way and closes the rest. */
    ~VmReaper();

    /*
     * Takes the fds over; waits while @bound VMs are waiting.  Without a thread
     * to be had it closes them itself.  Any thread.
     */
    void retire(std::vector<Fd> fds);
    /* Returns when everything given so far is closed.  Any thread. */
    void drain();

    size_t waiting() const;
    /* How long the last one took, in nanoseconds. */
    uint64_t last_duration() const;
    /* How long retire() has waited at the bound so far, in nanoseconds. */
    uint64_t waited() const;

private:
    void work();
    void close_first(std::unique_lock<std::mutex> &lock);

    Kernel &kernel_;
    const size_t bound_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::vector<Fd>> queue_;
    size_t busy_ = 0;
    size_t hurried_ = 0; /* those in drain() */
    uint64_t last_duration_ = 0;
    uint64_t waited_ = 0;
    bool stopping_ = false;
    MaskedThread thread_;
};

} /* namespace kvm_reset */

#endif
