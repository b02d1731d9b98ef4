/*
 * The swap: an image takes the place of the VM in use, under the same fd
 * numbers and at the same addresses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nobody who holds one of the VM's fds or a pointer into one of its mappings
 * needs to know.  Every step is written down, so that the swap can be undone
 * at any point until finish(): the old VM is kept alive by duplicates of its
 * fds, untouched.
 */

#ifndef KVM_RESET_SWAP_H
#define KVM_RESET_SWAP_H

#include <vector>

#include "error.h"
#include "image.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

class Swap {
public:
    Swap(Kernel &kernel, Snapshot snapshot, Image image)
        : kernel_(kernel), snapshot_(std::move(snapshot)),
          image_(std::move(image))
    {}
    Swap(const Swap &) = delete;

    /*
     * Puts the image in place.  Nobody may run a vCPU or issue an ioctl
     * meanwhile.  On failure everything is as it was before.
     */
    Result<void> perform();

    /*
     * Puts the old VM back.  An error says what could not be put back; the
     * rest is.
     */
    Result<void> undo();

    /*
     * There is no way back after this.  Returns what keeps the old VM alive:
     * closing it is what takes a VM down, and may take long.
     */
    std::vector<Fd> finish();

private:
    Result<void> keep_old();
    Result<void> move_exclusive();
    Result<void> put_in_place();
    Result<void> map(const Object &object, int fd);

    Kernel &kernel_;
    Snapshot snapshot_;
    Image image_;
    std::vector<Fd> old_;              /* by index in snapshot_.objects */
    std::vector<const Entry *> taken_; /* exclusive, gone from the old VM */
    std::vector<const Entry *> given_; /* … and in the new one */
    size_t placed_ = 0;                /* objects whose fd was replaced */
};

} /* namespace kvm_reset */

#endif
