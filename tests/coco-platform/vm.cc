/*
 * A VM, its vCPUs and its memory, as the platform keeps them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vm.h"

#include <algorithm>
#include <cerrno>

#include "config.h"
#include "fault.h"
#include "host_memory.h"
#include "log.h"
#include "private_memory.h"
#include "sev.h"
#include "sys.h"
#include "tdx.h"

namespace coco {

static const char *type_name(uint32_t type)
{
    switch (type) {
    case KVM_X86_SEV_VM:
        return "sev";
    case KVM_X86_SEV_ES_VM:
        return "sev-es";
    case KVM_X86_SNP_VM:
        return "snp";
    case KVM_X86_TDX_VM:
        return "tdx";
    default:
        return "default";
    }
}

static uint64_t next_number()
{
    static std::atomic<uint64_t> last = 0;
    return ++last;
}

Vm::Vm(uint32_t type) : number_(next_number()), type_(type)
{
    log_event("vm_created", number_).text("type", type_name(type));
}

Vm::~Vm()
{
    if (sev || tdx) {
        step("VM_DESTROY");
    }
    slots.clear();
    sev.reset();
    tdx.reset();
    log_event("vm_destroyed", number_).text("type", type_name(type_));
}

/* The kernel zaps the pages from the guest and frees them with the file. */
Gmem::~Gmem()
{
    {
        std::lock_guard lock(vm_->lock);
        for (auto &[id, slot] : vm_->slots) {
            if (slot.gmem == this) {
                slot.gmem = nullptr;
                vm_->show(&slot, 0, slot.size);
            }
        }
    }
    reclaim(0, size_);
    sys::close(fd_);
}

int Gmem::populate(uint64_t from, uint64_t to)
{
    uint64_t more = to - from - populated_.count(from, to);
    if (more && !take_private_memory(vm_, more)) {
        return -ENOMEM;
    }
    populated_.add(from, to);
    return 0;
}

void Gmem::reclaim(uint64_t from, uint64_t to)
{
    constexpr uint64_t kAtOnce = 1 << 20;

    for (uint64_t end; from < to; from = end) {
        end = std::min(to, from + kAtOnce);
        std::unique_lock lock(vm_->lock);
        uint64_t bytes = populated_.count(from, end);
        lock.unlock();
        if (!bytes) {
            continue;
        }
        step("PAGE_RECLAIM", bytes / kPage);
        lock.lock();
        bytes = populated_.count(from, end);
        populated_.remove(from, end);
        give_private_memory(vm_, bytes);
    }
}

Slot *Vm::slot_of(uint64_t gpa)
{
    for (auto &[id, slot] : slots) {
        /* Address spaces above 0 are SMM's, which these guests have not. */
        if (id >> 16 == 0 && slot.holds(gpa)) {
            return &slot;
        }
    }
    return nullptr;
}

int Vm::show(Slot *slot, uint64_t offset, uint64_t length)
{
    if (!slot->view) {
        return 0;
    }
    if (slot->private_slot) {
        return show_private_slot(slot, offset, length);
    }
    int ret = slot->view->show_shared(offset, length,
                                      slot->host_address + offset);
    if (ret == 0 && sev && sev->memory) {
        ret = sev->memory->show(slot, offset, length);
    }
    return ret;
}

/*
 * A page with the private attribute is the guest_memfd's.  In open memory
 * only one that the launch filled is: the others are the host's pages, so
 * that a guest that knows nothing of sharing can use devices.
 */
int Vm::show_private_slot(Slot *slot, uint64_t offset, uint64_t length)
{
    const Ranges none;
    const Ranges &filled = slot->gmem ? slot->gmem->filled : none;
    bool all = config().strict_memory || !slot->gmem;
    uint64_t end = offset + length;

    while (offset < end) {
        uint64_t gpa = slot->gpa + offset;
        uint64_t in_gmem = slot->gmem_offset + offset;
        uint64_t run = private_pages.change_after(gpa) - gpa;
        bool is_private = private_pages.contains(gpa);
        if (is_private && !all) {
            run = std::min(run, filled.change_after(in_gmem) - in_gmem);
            is_private = filled.contains(in_gmem);
        }
        run = std::min(run, end - offset);
        int ret;
        if (!is_private) {
            ret = slot->view->show_shared(offset, run,
                                          slot->host_address + offset);
        } else if (slot->gmem) {
            ret = slot->view->show_file(offset, run, slot->gmem->fd(), in_gmem);
        } else {
            ret = slot->view->show_nothing(offset, run);
        }
        if (ret != 0) {
            return ret;
        }
        offset += run;
    }
    return 0;
}

int Vm::show_guest_range(uint64_t gpa, uint64_t length)
{
    for (auto &[id, slot] : slots) {
        uint64_t from = std::max(gpa, slot.gpa);
        uint64_t to = std::min(gpa + length, slot.gpa + slot.size);
        if (from < to) {
            int ret = show(&slot, from - slot.gpa, to - from);
            if (ret != 0) {
                return ret;
            }
        }
    }
    return 0;
}

/* As a guest does that accepts all of its memory. */
int Vm::populate(uint64_t gpa, uint64_t end)
{
    for (auto &[id, slot] : slots) {
        uint64_t from = std::max(gpa, slot.gpa);
        uint64_t to = std::min(end, slot.gpa + slot.size);
        while (slot.gmem && from < to) {
            uint64_t stop = std::min(private_pages.change_after(from), to);
            uint64_t at = slot.gmem_offset + (from - slot.gpa);
            if (private_pages.contains(from) &&
                slot.gmem->populate(at, at + (stop - from)) != 0) {
                lacks_memory = true;
                return -ENOMEM;
            }
            from = stop;
        }
    }
    return 0;
}

/*
 * In open memory the host's pages stand for pages of the guest_memfd, which
 * are zero in a new VM.  They may have been an older VM's until now.
 */
void Vm::make_new(const Slot &slot)
{
    uint64_t offset = 0;
    while (slot.private_slot && slot.gmem && offset < slot.size) {
        uint64_t gpa = slot.gpa + offset;
        uint64_t in_gmem = slot.gmem_offset + offset;
        uint64_t run = std::min(
            {private_pages.change_after(gpa) - gpa,
             slot.gmem->filled.change_after(in_gmem) - in_gmem,
             slot.size - offset});
        if (private_pages.contains(gpa) &&
            !slot.gmem->filled.contains(in_gmem)) {
            host_memory::discard(slot.host_address + offset, run, true);
        }
        offset += run;
    }
}

int Vm::first_run()
{
    if (has_run && !lacks_memory) {
        return 0;
    }
    std::lock_guard guard(lock);
    lacks_memory = false;
    if (int ret = populate(0, ~0ull); ret != 0 || has_run) {
        return ret;
    }
    if (has_private_memory() && !config().strict_memory) {
        for (const auto &[id, slot] : slots) {
            make_new(slot);
        }
    }
    log_event("first_run", number_)
        .number("private", static_cast<int64_t>(private_pages.count()));
    has_run = true;
    return 0;
}

} // namespace coco
