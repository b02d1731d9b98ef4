/*
 * A transaction: the guest gets another VM, or keeps the one that it has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *     prepare   a new VM is built beside the one in use, or was as a spare
 *     quiesce   hooks run; then other threads' ioctls wait
 *     freeze    nothing is recorded from here on, so that the new VM can be
 *               brought up to date with the last of it
 *     swap      the new VM takes the old one's place, and hooks hear of it
 *     settle    there is no way back
 *
 * What was not settled is undone, at the latest when the transaction goes:
 * the guest is on its old VM, as if nothing had been asked.
 */

#ifndef KVM_RESET_TRANSACTION_H
#define KVM_RESET_TRANSACTION_H

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "generations.h"
#include "swap.h"

namespace kvm_reset {

class Transaction {
public:
    enum class Kind : uint8_t {
        Resets,    /* the guest begins anew */
        Preserves, /* its state comes along, and hooks run that say so */
    };

    Transaction(Generations &generations, Kind kind);
    Transaction(const Transaction &) = delete;
    ~Transaction() { undo(); }

    /* Without the recorder's lock, so that others' ioctls need not wait. */
    Result<void> prepare();
    /* The time that the guest has to wait begins here; or with exclude(). */
    Result<void> quiesce();
    /* Other threads' ioctls wait, and no hooks are asked. */
    void exclude();
    /* Fails if something was recorded that cannot be repeated. */
    Result<void> freeze();
    /* Without a new VM it is built now; on @device: see Replica::build(). */
    Result<void> bring_up_to_date(int device = -1);
    /* What was prepared is not taken. */
    void drop_vm() { vm_.reset(); }
    /* @skipped: see Swap. */
    Result<void> swap(SwapWay way, std::set<int> skipped = {});
    /* Who drops what is returned waits for the old VM to be taken down. */
    OldVm settle();
    /* Others' ioctls are recorded again. */
    void thaw() { frozen_.reset(); }

    /* Undoes everything and says what of it failed, after @why. */
    std::unexpected<Error> abort(Error why);

    /* How long it has taken so far. */
    Durations &timing();

    bool is_frozen() const { return frozen_.has_value(); }
    /* Once it is frozen. */
    const Definition &definition() const { return definition_; }
    Recorder::Frozen &frozen() { return *frozen_; }
    /* Until the swap. */
    PreparedVm &vm() { return *vm_; }
    /* Of one that preserves; moved from it after settle(). */
    GuestState &state() { return *state_; }

private:
    Result<void> follow_or_build(const Definition &definition, int device = -1);
    Result<void> survey(const Definition &definition);
    Result<void> attach();
    Result<void> tell_of_new_vm();
    std::string undo();

    Generations &generations_;
    Recorder &recorder_;
    Kernel &kernel_;
    const bool preserving_;
    Durations durations_;
    uint64_t began_ = 0;
    std::optional<Generations::Exclusion> others_wait_;
    bool asked_hooks_ = false; /* … and must tell them of an abort */
    bool quiesced_ = false;
    bool attached_ = false;
    bool over_ = false; /* settled, or undone */
    std::optional<GuestState> state_;
    std::optional<PreparedVm> vm_;
    std::optional<Recorder::Frozen> frozen_;
    Definition definition_;
    /* Of the new VM, for who comes after it. */
    VmName vm_name_;
    std::vector<Answer> answers_;
    SwapWay way_ = SwapWay::Exchange;
    std::optional<Swap> swap_;
    std::optional<MemoryLayout> layout_before_;
};

} /* namespace kvm_reset */

#endif
