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

/* Of an ordinary guest, when its devices were reset. */
struct WrittenLaunch {
    struct Pages {
        uint64_t gpa, size;
        std::vector<uint8_t> bytes; /* @size of them; none: zeros */
    };
    std::vector<Pages> pages;
    /* As Arch::start_vcpu() takes them; empty: as after a reset. */
    std::vector<uint8_t> first_vcpu;
};

enum class LaunchSource {
    Start, /* the recorded one */
    Guest,
    Operator,
};

struct OtherLaunch {
    uint64_t id = 0; /* never 0, and no other's, once it was chosen */
    LaunchSource source = LaunchSource::Guest;
    std::vector<PlannedStep> steps;
    /* Each in place of the recorded entry with its order. */
    std::vector<Entry> definitions;
    LaunchMeasurement measurement;
    /* Of an ordinary guest: this, and nothing of the above. */
    std::shared_ptr<const WrittenLaunch> written;

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
    /* Firmware below 4 GiB that can be written over; of an ordinary guest. */
    Range rom{};
    std::string command_line;  /* of its kernel */
    std::vector<uint8_t> madt; /* the ACPI table; empty: it has none */
    /* Bytes that may be kept for it. */
    uint64_t most_bytes = 64 << 20;
};

/*
 * Which launch the next reset takes.  The host has one: the recorded one, which
 * is always there to go back to, or what its operator put in its place.  The
 * guest may have one of its own.
 */
class LaunchChoice {
public:
    /*
     * @by: Guest or Operator.  @other: nullptr for the host's one; by the
     * operator, for the recorded one.  @once: for one reset, and then the
     * host's again; by the operator, what there was.  The operator's standing
     * choice takes the guest's back.
     */
    void choose(LaunchSource by, OtherLaunchPtr other, bool once);

    const OtherLaunchPtr &next() const { return once_ ? once_ : stands().next; }
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

    /* What is in place is not, and is never next again. */
    void drop_in_place();

private:
    struct Standing {
        OtherLaunchPtr next;
        OtherLaunchPtr proven; /* the one that was last launched */
        /* Nothing is gone back to that was taken back. */
        void set(OtherLaunchPtr other);
    };
    Standing &stands() { return guests_.next ? guests_ : hosts_; }
    const Standing &stands() const { return guests_.next ? guests_ : hosts_; }

    OtherLaunchPtr once_, in_place_;
    Standing guests_, hosts_;
};

} /* namespace kvm_reset */

#endif
