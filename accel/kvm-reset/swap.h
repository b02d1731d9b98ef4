/*
 * The swap: a replica takes the place of the VM in use, under the same fd
 * numbers and at the same addresses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nobody who holds one of the VM's fds or a pointer into one of its mappings
 * needs to know.  Every step is written down, so that the swap can be undone
 * at any point until finish(): the old VM is kept alive by duplicates of its
 * fds, untouched.
 *
 * It can be done in two halves, with nothing in place between them: fds that
 * keep their numbers, and memory of zeros at the addresses.
 */

#ifndef KVM_RESET_SWAP_H
#define KVM_RESET_SWAP_H

#include <set>
#include <vector>

#include "error.h"
#include "guest_state.h"
#include "replica.h"
#include "journal.h"
#include "kernel.h"
#include "old_vm.h"

namespace kvm_reset {

enum class SwapWay : uint8_t {
    Exchange, /* a VM for a VM */
    TakeAway, /* nothing for a VM: what is carried is kept */
    PutBack,  /* a VM for nothing */
};

class Swap {
public:
    /*
     * @skipped: eventfds whose exclusive things do not move, because the reset
     * of their devices takes them away.  @state: carried from one VM to the
     * other; borrowed, or nullptr.  The replica of one that takes away is only
     * tried: it shows that the state can be put back.  Without state it keeps
     * the KVM device, too, which perhaps nobody can open again.
     */
    Swap(Kernel &kernel, Snapshot snapshot, Replica replica,
         std::set<int> skipped = {}, GuestState *state = nullptr,
         SwapWay way = SwapWay::Exchange)
        : kernel_(kernel), snapshot_(std::move(snapshot)),
          replica_(std::move(replica)), skipped_eventfds_(std::move(skipped)),
          state_(state), way_(way)
    {}
    Swap(const Swap &) = delete;

    /*
     * Puts the replica in place.  Nobody may run a vCPU or issue an ioctl
     * meanwhile.  On failure everything is as it was before.
     */
    Result<void> perform();

    /*
     * Puts the old VM back.  An error says what could not be put back; the
     * rest is.
     */
    Result<void> undo();

    /* What did not move, while what finish() returns is open. */
    std::vector<SkippedEntry> skipped() const;

    /*
     * There is no way back after this.  Returns what keeps the old VM alive:
     * closing it is what takes a VM down, and may take long.
     */
    std::vector<Fd> finish();

    const Snapshot &snapshot() const { return snapshot_; }

    /* How long carrying the state took, in nanoseconds. */
    uint64_t carrying() const { return carrying_; }

private:
    Result<void> keep_old();
    Result<void> take_exclusive();
    Result<void> carry();
    Result<void> give_exclusive();
    void ring(const Entry &entry);
    Result<void> put_in_place();
    Result<void> map(const Object &object, int fd);
    Result<void> map_nothing(const Object &object);
    Result<void> map_new(const Object &object, int fd);
    Result<void> map_old(const Object &object, int fd);
    bool stays(const Entry &entry) const;
    bool keeps(const Object &object) const;

    Kernel &kernel_;
    Snapshot snapshot_;
    Replica replica_;
    std::set<int> skipped_eventfds_;
    GuestState *state_;
    const SwapWay way_;
    Fd nothing_; /* what takes the place of every fd, of one that takes away */
    uint64_t carrying_ = 0;
    std::vector<Fd> old_;              /* by index in snapshot_.objects */
    std::vector<const Entry *> taken_; /* exclusive, gone from the old VM */
    std::vector<const Entry *> given_; /* … and in the new one */
    size_t placed_ = 0;                /* objects whose fd was replaced */
};

} /* namespace kvm_reset */

#endif
