/*
 * The reaper: takes old VMs down while nobody waits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Taking a VM down takes the kernel milliseconds, and seconds to minutes if it
 * has private memory; the guest need not wait for that.  The queue is bounded:
 * a storm of resets slows down to what the kernel can take down, it does not
 * pile up dead VMs.
 *
 * Private memory goes first, piece by piece, so that it is known how much is
 * left.  It goes even if somebody else keeps the VM: a VFIO device does, until
 * it is closed.
 */

#ifndef KVM_RESET_VM_REAPER_H
#define KVM_RESET_VM_REAPER_H

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "kernel.h"
#include "masked_thread.h"

namespace kvm_reset {

/* A guest_memfd of a VM that is to go. */
struct PrivateMemory {
    int fd = -1; /* one of the VM's */
    uint64_t size = 0;
};

/* What keeps a VM alive that is to go. */
struct DeadVm {
    std::vector<Fd> fds;
    std::vector<PrivateMemory> memory{};
    std::string debugfs{}; /* its directory there, if it has one */
};

class VmReaper {
public:
    /*
     * Nobody is in a hurry to see a VM gone, and the guest is about to run:
     * its end waits that long, in nanoseconds, unless somebody waits for it.
     * One with private memory does not wait.
     */
    static constexpr uint64_t patience = 5'000'000;
    /* How much private memory is given back at a time, in bytes. */
    static constexpr uint64_t piece = 64 << 20;

    explicit VmReaper(Kernel &kernel, size_t bound = 4)
        : kernel_(kernel), bound_(bound)
    {}
    /* Waits for what is under way and closes the rest. */
    ~VmReaper();

    /*
     * Takes it over; waits while @bound VMs are waiting.  Without a thread to
     * be had it takes it down itself.  Any thread.
     */
    void retire(DeadVm vm);
    /* Returns when everything given so far is closed.  Any thread. */
    void drain();

    /*
     * @listener is called on the reaper's thread after each piece of memory
     * and each VM that is gone, without a lock: it may only leave a note.  Set
     * before the first VM is retired.
     */
    void on_progress(std::function<void()> listener)
    {
        listener_ = std::move(listener);
    }

    size_t waiting() const;
    /* Bytes of private memory, at most, that old VMs still have. */
    uint64_t private_left() const;
    /* How often on_progress() had something to tell. */
    uint64_t progress() const;
    /* Old VMs that were closed, and live because somebody else has them. */
    size_t held_by_others();
    /* How long the last one took, in nanoseconds. */
    uint64_t last_duration() const;
    /* How long retire() has waited at the bound so far, in nanoseconds. */
    uint64_t waited() const;

private:
    struct Closed {
        std::string debugfs;
        uint64_t inode;
    };

    void work();
    void take_down_first(std::unique_lock<std::mutex> &lock);
    void give_back(const PrivateMemory &memory);
    void advance(uint64_t bytes);
    bool lives(const Closed &vm) const;

    Kernel &kernel_;
    const size_t bound_;
    std::function<void()> listener_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<DeadVm> queue_;
    std::vector<Closed> closed_; /* that may live */
    size_t busy_ = 0;
    size_t hurried_ = 0; /* those in drain() */
    uint64_t private_left_ = 0;
    uint64_t progress_ = 0;
    uint64_t last_duration_ = 0;
    uint64_t waited_ = 0;
    bool stopping_ = false;
    MaskedThread thread_;
};

} /* namespace kvm_reset */

#endif
