/*
 * What an audit records of each KVM-related system call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef AUDIT_RECORDER_H
#define AUDIT_RECORDER_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "argument.h"
#include "objects.h"

namespace audit {

/* A call under way: its argument is copied before the kernel changes it. */
struct Call {
    ObjectPtr object;
    const kvm_reset::Row *row = nullptr; /* nullptr: nobody knows it */
    uint32_t request = 0;
    bool recorded = false;
    uintptr_t pointer = 0;
    kvm_reset::Argument argument;
    std::vector<std::string> files; /* for each of the row's fds */
};

/* Thread-safe. */
class Recorder {
public:
    Objects &objects() { return objects_; }

    /* Before the kernel gets it.  @fd is one of KVM's, as @object. */
    Call begin(ObjectPtr object, uint32_t request, uintptr_t arg);
    /* When it has returned; @error is errno if @result is -1. */
    void end(const Call &call, int result, int error);

    /* A mapping of one of KVM's files. */
    void mapped(const Object &object, size_t length, int64_t offset);

    /* How often each ioctl that is not recorded was issued. */
    void write_counts();

private:
    void learn(const Call &call, int result);
    unsigned stack();

    Objects objects_;
    std::mutex lock_;
    std::map<std::pair<unsigned, uint32_t>, uint64_t> counts_;
    std::map<std::vector<void *>, unsigned> stacks_;
};

} /* namespace audit */

#endif
