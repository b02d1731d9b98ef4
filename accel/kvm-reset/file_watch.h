/*
 * Which file an fd number means
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Userspace may close an eventfd that KVM knows and open another under the
 * same number, without a word to us.  A FileId is a number and the count of
 * files seen under it, so that two files are never taken for one another.
 * Nothing here holds a reference to a file: an eventfd's last close is an
 * event that KVM acts upon.
 *
 * A file stays watched until it is closed, even when no entry names it any
 * more: an irqfd that is toggled would pay for the watch each time.
 */

#ifndef KVM_RESET_FILE_WATCH_H
#define KVM_RESET_FILE_WATCH_H

#include <cstdint>
#include <unordered_map>

#include "error.h"
#include "kernel.h"

namespace kvm_reset {

struct FileId {
    int fd = -1;
    uint32_t generation = 0;
    bool operator==(const FileId &) const = default;
};

/* Not thread-safe: its owner, the Recorder, has the lock. */
class FileWatch {
public:
    explicit FileWatch(Kernel &kernel) : kernel_(kernel) {}

    /* The file behind @fd now, watched from now on. */
    Result<FileId> identify(int fd);

    /* Whether the number still means that file. */
    bool same(FileId id) const;

private:
    Kernel &kernel_;
    std::unordered_map<int, uint32_t> generations_;
};

} /* namespace kvm_reset */

#endif
