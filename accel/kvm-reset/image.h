/*
 * An image: one kernel VM built from a journal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A VM of its own on fds of its own, which nobody but the image knows.
 * Building one changes nothing that userspace or the VM in use can see; what
 * two VMs cannot hold at once is left out until the swap.
 */

#ifndef KVM_RESET_IMAGE_H
#define KVM_RESET_IMAGE_H

#include <map>

#include "error.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

class Image {
public:
    /*
     * Opens the KVM device anew and replays @snapshot onto it.  @taken is the
     * fd number under which KVM created the VM now in use: debugfs names VMs
     * by it, and two of one name get only one directory.
     */
    static Result<Image> build(Kernel &kernel, const Snapshot &snapshot,
                               int taken);

    /* The version of the journal that the image stands for. */
    uint64_t version() const { return version_; }

    /* Borrowed; -1 for an object that the image does not have. */
    int fd(ObjectId object) const;

    /* The number under which KVM created the VM. */
    int vm_number() const { return vm_number_; }

    /* Replays one entry that build() left out. */
    Result<void> replay(const Entry &entry);

    /* Closes what is left of it now, not when it goes. */
    void close() { fds_.clear(); }

private:
    explicit Image(Kernel &kernel) : kernel_(&kernel) {}

    Result<void> create(const Entry &entry, int taken);
    int issue_create(const Entry &entry, LiveArgument &arg, int taken);

    Kernel *kernel_;
    uint64_t version_ = 0;
    int vm_number_ = -1;
    std::map<ObjectId, Fd> fds_;
};

/*
 * Issues @entry's ioctl on @fd.  @object_fd gives the number to use for an
 * object that the argument names.  Fails if the kernel takes less than all.
 */
Result<void> issue(Kernel &kernel, const Entry &entry, const Argument &arg,
                   int fd, const Image *objects);

/* "KVM_CREATE_VCPU 3": the ioctl and what it is about. */
std::string describe(const Entry &entry);

} /* namespace kvm_reset */

#endif
