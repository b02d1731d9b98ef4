/*
 * A guest is detached from KVM, and attached again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Detached, it is its definition in the journal, its state in memory, and fds
 * and addresses that are kept for it.  What is attached is a new VM of that
 * definition with that state: the guest is preserved, with a pause between
 * the halves.
 */

#ifndef KVM_RESET_DETACH_H
#define KVM_RESET_DETACH_H

#include <optional>

#include "host_features.h"
#include "preserve.h"

namespace kvm_reset {

class Detach {
public:
    Detach(Generations &generations, Preserve &preserve)
        : generations_(generations), preserve_(preserve)
    {}

    /*
     * Whether it could be, as far as that can be told without a new VM: its
     * state can be carried, and KVM can be opened again, unless whoever has it
     * attached gives a descriptor (@by_fd).  Changes nothing.
     */
    Result<void> may_detach(bool by_fd) const;
    /* … and whatever can be done while the guest runs. */
    Result<void> prepare(bool by_fd);
    /*
     * Detaches the guest from KVM: after prepare(), with the vCPUs
     * stopped and until attach() kept from running.  Its state is in memory
     * then, and nothing of KVM's is open or mapped any more.  On failure the
     * guest is on its VM as if nothing had been asked.
     */
    Result<Durations> detach();
    /*
     * Opens the KVM device, which may be another one's, and gives the guest a
     * VM with the state that it had; or takes @device, an fd of it, which
     * stays the caller's.  On failure the guest stays detached, and it may be
     * tried again; ENOTSUP: this KVM lacks what the guest needs.
     */
    Result<Durations> attach(int device = -1);

private:
    Result<Durations>
    attempt_detaching(std::unique_ptr<Transaction> transaction);
    Result<Durations> attempt_attaching(int device);
    Result<void> check_features(int device, const Snapshot &snapshot);
    Result<void> build(Transaction &transaction, int device);

    Generations &generations_;
    Preserve &preserve_;
    /* Of a guest that is detached. */
    struct Away {
        GuestState state;
        HostFeatures features;
    };
    std::optional<Away> away_;
};

} /* namespace kvm_reset */

#endif
