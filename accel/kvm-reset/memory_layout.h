/*
 * The memory slots of a launched guest's VM, where they differ from those that
 * userspace believes in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest that was launched is launched again on the slots of its first
 * launch: what the guest before did to them (a BAR over the firmware) must not
 * matter.  Userspace believes in that guest's slots until devices are reset.
 * So from the swap until then its calls wait: they are recorded and not
 * issued.  Then what differs is applied, which is nothing as a rule: a TD's
 * slot that is deleted loses what was launched into it.
 *
 * Private slots, those with a guest_memfd, can only be made and deleted.  In
 * the layout they have numbers of our own, from the top, as userspace gives
 * its numbers from the bottom and anew.  They are never read-only, and their
 * dirty pages never logged, so no other ioctl names them.
 */

#ifndef KVM_RESET_MEMORY_LAYOUT_H
#define KVM_RESET_MEMORY_LAYOUT_H

#include <cstdint>
#include <map>
#include <vector>

#include "definition.h"

namespace kvm_reset {

using Slots = std::vector<EntryPtr>;

/* Whether @row sets a memory slot. */
bool sets_slot(const Row &row);

/*
 * The slots that @journal has now, to launch the guest on: private ones have
 * numbers counted down from the highest that KVM has for the VM behind @vm.
 */
Result<Slots> launch_layout(Kernel &kernel, int vm, Journal &journal);

/*
 * Puts the slots that the guest was launched on in place of those that
 * @definition has, but for private ones whose memory is gone.
 */
void lay_out(Definition &definition);

class MemoryLayout {
public:
    /*
     * A VM that was built from @definition is in place; userspace's calls
     * wait.  Without a layout in it they do not, and nothing differs.
     */
    void begin(const Definition &definition);

    /* What begin() is for, of a VM that has what @journal has by now. */
    MemoryLayout waiting(const Snapshot &journal) const;

    /* Whether userspace's calls wait, also those that log dirty pages. */
    bool waits() const { return waits_; }

    /* Whether it, and not the kernel, is asked to set a slot. */
    bool concerns(const Row &row) const
    {
        return (waits_ || !numbers_.empty()) && sets_slot(row);
    }

    /* Sets a slot of userspace's, or will: negative errno on failure. */
    int set(Kernel &kernel, int vm, const Row &row, const Argument &arg);

    /*
     * Gives the VM behind the fd @vm what @journal has and it has not, and
     * takes away what it has besides.  From then on calls are issued; after a
     * failure they go on waiting.
     */
    Result<void> apply(Kernel &kernel, int vm, const Snapshot &journal);

private:
    using Numbers = std::map<uint32_t, uint32_t>;

    bool taken(uint32_t number) const;
    Result<void> remove_others(Kernel &kernel, int vm, const Slots &wanted);
    Result<EntryPtr> add(Kernel &kernel, int vm, const EntryPtr &slot);

    bool waits_ = false;
    /* What the VM has, with the kernel's numbers; while calls wait. */
    Slots in_place_;
    /* The kernel's number of a private slot, by userspace's; where they differ,
       and while calls do not wait. */
    Numbers numbers_;
};

} /* namespace kvm_reset */

#endif
