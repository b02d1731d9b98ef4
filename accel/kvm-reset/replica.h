/*
 * A replica: one kernel VM built from a journal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A VM of its own on fds of its own, which nobody but the replica knows.
 * Building one changes nothing that userspace or the VM in use can see; what
 * two VMs cannot hold at once is left out until the swap.
 */

#ifndef KVM_RESET_REPLICA_H
#define KVM_RESET_REPLICA_H

#include <map>
#include <vector>

#include "error.h"
#include "issue.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

/*
 * How debugfs knows a VM: by the thread that created it, and under which fd
 * number.
 */
struct VmName {
    int thread = 0;
    int number = -1;
};

class Replica {
public:
    /*
     * Replays @snapshot onto the KVM device, opened anew or the one in use, or
     * onto @device if that is one.  @taken is the fd number under which KVM
     * created the VM now in use (-1: the number that it has): debugfs names
     * VMs by it, and two of one name get only one directory.
     */
    static Result<Replica> build(Kernel &kernel, const Snapshot &snapshot,
                                 int taken, int device = -1);

    /* Nothing, where a replica is asked for. */
    static Replica none(Kernel &kernel) { return Replica(kernel, -1); }

    /*
     * Brings the replica up to date with what changed since.  After a failure
     * it is of no use: ESTALE says that KVM cannot undo what is gone, so that
     * only a new replica will do.
     */
    Result<void> follow(const Snapshot &snapshot);

    /* The version of the journal that the replica stands for. */
    uint64_t version() const { return version_; }

    /* Borrowed; -1 for an object that the replica does not have. */
    int fd(ObjectId object) const;
    FdOf fd_of() const
    {
        return [this](ObjectId object) { return fd(object); };
    }
    size_t fds() const { return fds_.size(); }
    /*
     * About how many bytes of this process's memory it takes.  Its entries are
     * the journal's, and so not counted.
     */
    size_t footprint() const;

    VmName vm_name() const { return vm_name_; }

    /* Replays one entry that build() left out, or takes it away again. */
    Result<void> replay(const Entry &entry);
    Result<void> take_away(const Entry &entry);

    /* What KVM answered to the sub-commands among the entries. */
    std::vector<Answer> take_answers() { return std::move(answers_); }

    /* Closes what is left of it now, not when it goes. */
    void close() { fds_.clear(); }

private:
    Replica(Kernel &kernel, int taken) : kernel_(&kernel), taken_(taken) {}

    Result<void> open_system(const Snapshot &snapshot, int device);
    Result<void> forget(const Entry &entry);
    Result<void> apply(const Entry &entry);
    Result<void> create(const Entry &entry);
    Result<void> take_sub_command(const Entry &entry);
    int issue_create(const Entry &entry, LiveArgument &arg);

    Kernel *kernel_;
    int taken_;
    uint64_t version_ = 0;
    VmName vm_name_;
    std::map<ObjectId, Fd> fds_;
    std::vector<EntryPtr> applied_; /* in replay order */
    std::vector<Answer> answers_;
};

} /* namespace kvm_reset */

#endif
