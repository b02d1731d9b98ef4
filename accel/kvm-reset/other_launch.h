/*
 * Another launch: what the next reset takes instead of the recorded one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest stays what it is: its memory slots, vCPUs and devices are those
 * that were recorded.  Other pages are launched into its memory, and its vCPUs
 * start in another way.
 */

#ifndef KVM_RESET_OTHER_LAUNCH_H
#define KVM_RESET_OTHER_LAUNCH_H

#include <memory>
#include <string>
#include <vector>

#include "definition.h"
#include "launch_measurement.h"

namespace kvm_reset {

struct OtherLaunch {
    uint64_t id = 0; /* never 0, and no other's, once it was chosen */
    std::string who; /* brought it: "guest", "operator" */
    std::vector<PlannedStep> steps;
    /* Each in place of the recorded entry with its order. */
    std::vector<Entry> definitions;
    LaunchMeasurement measurement;

    /* What a VM has to be that is launched so. */
    void put_into(Definition &definition) const;

    /* About how many bytes it takes. */
    size_t footprint() const;
};

using OtherLaunchPtr = std::shared_ptr<const OtherLaunch>;

/* What a launch may ask the host for. */
struct LaunchHost {
    struct Range {
        uint64_t begin, size;
    };
    /* The guest's RAM, ascending; none: all that is launched into, but for
     * the firmware. */
    std::vector<Range> ram;
    std::string command_line; /* of its kernel */
    /* Bytes that may be kept for it. */
    uint64_t most_bytes = 64 << 20;
};

/*
 * Which launch the next reset takes.  Where there is no other one, it is the
 * recorded one, which is always there to go back to.
 */
class LaunchChoice {
public:
    /*
     * @other: nullptr for the recorded one.  @once: for one reset, and then
     * the recorded one again.
     */
    void choose(OtherLaunchPtr other, bool once);

    const OtherLaunchPtr &next() const { return once_ ? once_ : standing_; }
    /* … of the VM in place */
    const OtherLaunchPtr &in_place() const { return in_place_; }
    /* Whether the next one is for one reset. */
    bool once() const { return bool(once_); }

    /* The next one was taken. */
    void launched();

    /*
     * The platform does not take the next one.  Returns whether there is one
     * to go back to, which is the next one now.
     */
    bool give_up();

private:
    OtherLaunchPtr once_, standing_, in_place_;
    OtherLaunchPtr proven_; /* what was standing when it was last launched */
};

} /* namespace kvm_reset */

#endif
