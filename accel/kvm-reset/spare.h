/*
 * The spare: a replica prepared ahead of need and kept up to date
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With a spare, all that a reset has to do is to swap.  It is built on a
 * thread of its own, from a copy of the journal, and follows what changes:
 * changes are batched, so that whoever makes them pays for waking the thread
 * once a batch and never waits for it.
 */

#ifndef KVM_RESET_SPARE_H
#define KVM_RESET_SPARE_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "masked_thread.h"
#include "prepared_vm.h"
#include "recorder.h"
#include "vm_reaper.h"

namespace kvm_reset {

enum class SpareState : uint8_t {
    Off,       /* not wanted */
    Preparing, /* not yet ready */
    Ready,
    Failed, /* tried again when the definition changes */
};

const char *to_string(SpareState state);

struct SpareStatus {
    SpareState state = SpareState::Off;
    std::string error;     /* why it failed */
    size_t fds = 0;        /* that it holds */
    size_t bytes = 0;      /* of our own; the kernel does not tell of its */
    bool launched = false; /* nothing but the swap is left to do */
    uint64_t duration = 0; /* building the last one, ns */
};

class Spare {
public:
    /*
     * A batch of changes ends when nothing changed for that long, in
     * nanoseconds, or after so many times that.
     */
    static constexpr uint64_t gathering_time = 10'000'000;
    static constexpr unsigned most_gathering_times = 10;

    /* Old VMs that @reaper has go first, so that two are the most. */
    Spare(Recorder &recorder, VmReaper &reaper)
        : recorder_(recorder), reaper_(reaper)
    {}
    ~Spare();

    /*
     * Whether there shall be one, and whether a confidential guest's is
     * launched ahead too, where two of it can be.  Any thread.
     */
    void keep(bool wanted, bool launched = false);

    /*
     * The replica, if there is one, perhaps not up to date; the caller has it
     * then.  Waits while the thread is at work on it, which then rests until
     * renew().
     */
    std::optional<PreparedVm> take();

    /* @taken: as in Replica::build(), for the replicas to come. */
    void renew(int taken);

    SpareStatus status() const;
    /* Waits until it is ready, or has failed, or is not wanted. */
    void settle();

private:
    Kernel &kernel() { return recorder_.kernel(); }
    void wake();
    void start_thread();
    void work();
    void work_once(std::unique_lock<std::mutex> &lock);
    void let_changes_gather(std::unique_lock<std::mutex> &lock);
    Result<PreparedVm> prepare(std::optional<PreparedVm> vm, int taken,
                               bool *followed);
    Result<void> do_ahead(PreparedVm &vm, const Definition &definition);

    Recorder &recorder_;
    VmReaper &reaper_;
    std::atomic<bool> stale_ = true; /* the journal changed since */
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool wanted_ = false;
    std::atomic<bool> wanted_launched_ = false;
    bool busy_ = false;      /* the thread has the replica */
    bool gathering_ = false; /* the thread waits for a batch to end */
    bool resting_ = false;
    bool stopping_ = false;
    int taken_ = -1;
    std::optional<PreparedVm> vm_;
    SpareStatus status_;
    MaskedThread thread_;
};

} /* namespace kvm_reset */

#endif
