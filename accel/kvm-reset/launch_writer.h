/*
 * Writes what an ordinary guest is started from that somebody brought
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nothing locks such a guest and nothing measures it.  So its launch is written
 * into its memory and its first vCPU when its devices were reset, which is the
 * last that happens to both before it runs.
 */

#ifndef KVM_RESET_LAUNCH_WRITER_H
#define KVM_RESET_LAUNCH_WRITER_H

#include <cstdint>
#include <vector>

#include "error.h"
#include "launch_memory.h"
#include "recorder.h"

namespace kvm_reset {

class LaunchWriter {
public:
    explicit LaunchWriter(Recorder &recorder) : recorder_(recorder) {}

    /*
     * Writes the launch in force; if there is none any more, the host's
     * firmware.  If it cannot be written, the guest runs from the host's, and
     * the error says why.  The vCPUs do not run.
     */
    Result<void> write();

private:
    struct Saved {
        uint64_t address;
        std::vector<uint8_t> bytes;
    };

    Result<void> put_back();
    Result<void> write_all(const WrittenLaunch &launch);
    Result<void> write_pages(const LaunchMemory &memory,
                             const WrittenLaunch::Pages &pages);

    Recorder &recorder_;
    /* Of read-only memory, which no reset restores. */
    std::vector<Saved> saved_;
};

} /* namespace kvm_reset */

#endif
