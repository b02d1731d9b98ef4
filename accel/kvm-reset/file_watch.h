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
 */

#ifndef KVM_RESET_FILE_WATCH_H
#define KVM_RESET_FILE_WATCH_H

#include <cstdint>
#include <unordered_map>

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

    /* The file behind @fd now, watched until forget() was called as often. */
    FileId identify(int fd);
    void forget(FileId id);

    /* Whether the number still means that file. */
    bool same(FileId id) const;

private:
    struct Watched {
        uint32_t generation = 0;
        uint32_t users = 0;
    };

    Kernel &kernel_;
    std::unordered_map<int, Watched> watched_;
};

} /* namespace kvm_reset */

#endif
