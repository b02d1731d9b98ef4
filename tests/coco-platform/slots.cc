/*
 * Memory slots, guest_memfd and memory attributes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The checks are those of kvm_main.c and guest_memfd.c of Linux 6.12, in
 * their order; what it checks of ordinary slots too is left to the real KVM.
 */

#include "platform.h"

#include <algorithm>
#include <fcntl.h>
#include <linux/falloc.h>

#include "config.h"
#include "fault.h"
#include "host_memory.h"
#include "log.h"
#include "sev.h"

namespace coco {

/* Only these have memory that the host and the guest see differently. */
static bool has_views(const Vm &vm)
{
    return vm.sev || vm.has_private_memory();
}

static int real_slot(int fd, const Slot &slot, uint64_t size)
{
    kvm_userspace_memory_region region = {};
    region.slot = slot.id;
    region.flags = slot.flags & ~KVM_MEM_GUEST_MEMFD;
    region.guest_phys_addr = slot.gpa;
    region.memory_size = size;
    region.userspace_addr = slot.view ? slot.view->address()
                                      : slot.host_address;
    return real_ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/* What is said of pages that are another slot's already. */
static int bound_twice()
{
    return config().linux_6_12 ? -EINVAL : -EEXIST;
}

static int bind_gmem(Vm *vm, Slot *slot,
                     const kvm_userspace_memory_region2 &region)
{
    auto file = files::get(static_cast<int>(region.guest_memfd));
    if (!file) {
        int ret = sys::fcntl(static_cast<int>(region.guest_memfd), F_GETFD, 0);
        return ret < 0 ? -EBADF : -EINVAL;
    }
    Gmem *gmem = file->gmem.get();
    uint64_t end = region.guest_memfd_offset + region.memory_size;
    if (!gmem || gmem->vm() != vm || end > gmem->size()) {
        return -EINVAL;
    }
    for (const auto &[id, other] : vm->slots) {
        if (other.gmem == gmem && other.gmem_offset < end &&
            region.guest_memfd_offset < other.gmem_offset + other.size) {
            return bound_twice();
        }
    }
    slot->gmem = gmem;
    slot->gmem_offset = region.guest_memfd_offset;
    return 0;
}

static int add_slot(Vm *vm, int fd, const kvm_userspace_memory_region2 &region)
{
    Slot slot = {};
    slot.id = region.slot;
    slot.flags = region.flags;
    slot.gpa = region.guest_phys_addr;
    slot.size = region.memory_size;
    slot.host_address = region.userspace_addr;
    slot.private_slot = region.flags & KVM_MEM_GUEST_MEMFD;

    if (slot.private_slot) {
        int ret = bind_gmem(vm, &slot, region);
        if (ret != 0) {
            return ret;
        }
    }
    /* Memory that cannot be adopted (of a device, say) stays as it is. */
    if (has_views(*vm) &&
        host_memory::adopt(slot.host_address, slot.size) == 0) {
        slot.view = View::make(slot.size);
        if (!slot.view || vm->show(&slot, 0, slot.size) != 0) {
            return -ENOMEM;
        }
    } else if (slot.private_slot) {
        return -ENOMEM;
    }
    int ret = real_slot(fd, slot, slot.size);
    if (ret == 0) {
        vm->slots[slot.id] = std::move(slot);
    }
    return ret;
}

/*
 * Linux takes the pages of a slot that goes out of the TD, and the guest finds
 * them empty when there is a slot again; without what it was launched from it
 * does not get far.  The guest_memfd keeps the memory.
 */
static int lose_pages(Vm *vm, const Slot &slot)
{
    uint64_t from = slot.gmem_offset, to = from + slot.size;
    uint64_t bytes = slot.gmem ? slot.gmem->loaded.count(from, to) : 0;
    if (!bytes || vm->type() != KVM_X86_TDX_VM) {
        return 0;
    }
    if (fallocate(slot.gmem->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(from),
                  static_cast<off_t>(slot.size)) != 0) {
        return -errno;
    }
    slot.gmem->loaded.remove(from, to);
    vm->killed = vm->killed || (vm->launched && !vm->has_run);
    log_event("pages_lost", vm->number())
        .number("gpa", static_cast<int64_t>(slot.gpa))
        .number("bytes", static_cast<int64_t>(bytes))
        .number("launched", vm->launched);
    return 0;
}

static int change_slot(Vm *vm, int fd, Slot *slot,
                       const kvm_userspace_memory_region2 &region)
{
    if (!region.memory_size) {
        int ret = real_slot(fd, *slot, 0);
        ret = ret ? ret : lose_pages(vm, *slot);
        if (ret == 0) {
            vm->slots.erase(region.slot);
        }
        return ret;
    }
    if ((region.flags & KVM_MEM_GUEST_MEMFD) || slot->private_slot ||
        region.userspace_addr != slot->host_address) {
        return -EINVAL;
    }
    Slot changed = *slot;
    changed.flags = region.flags;
    changed.gpa = region.guest_phys_addr;
    int ret = real_slot(fd, changed, region.memory_size);
    if (ret == 0) {
        *slot = changed;
    }
    return ret;
}

int set_memory_region(Vm *vm, int fd,
                      const kvm_userspace_memory_region2 &region)
{
    std::lock_guard lock(vm->lock);
    if (region.flags & KVM_MEM_GUEST_MEMFD) {
        if (!vm->has_private_memory() ||
            (region.flags & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)) ||
            !page_aligned(region.guest_memfd_offset) ||
            region.guest_memfd_offset + region.memory_size <
                region.guest_memfd_offset) {
            return -EINVAL;
        }
    }
    if (!page_aligned(region.memory_size) ||
        !page_aligned(region.userspace_addr)) {
        return -EINVAL;
    }
    auto it = vm->slots.find(region.slot);
    if (it != vm->slots.end()) {
        return change_slot(vm, fd, &it->second, region);
    }
    if (!region.memory_size) {
        return -EINVAL;
    }
    return add_slot(vm, fd, region);
}

int set_memory_attributes(Vm *vm, const kvm_memory_attributes &attributes)
{
    if (auto fault = step("SET_MEMORY_ATTRIBUTES", attributes.size / kPage)) {
        return -fault->error;
    }
    uint64_t supported = vm->has_private_memory() ? KVM_MEMORY_ATTRIBUTE_PRIVATE
                                                  : 0;
    uint64_t end = attributes.address + attributes.size;
    if (attributes.flags || (attributes.attributes & ~supported) ||
        !attributes.size || end < attributes.address ||
        !page_aligned(attributes.address) || !page_aligned(attributes.size)) {
        return -EINVAL;
    }
    std::lock_guard lock(vm->lock);
    if (attributes.attributes) {
        vm->private_pages.add(attributes.address, end);
        if (vm->has_run) {
            vm->populate(attributes.address, end);
        }
    } else {
        vm->private_pages.remove(attributes.address, end);
    }
    if (vm->has_run) {
        log_event("convert", vm->number())
            .number("gpa", static_cast<int64_t>(attributes.address))
            .number("size", static_cast<int64_t>(attributes.size))
            .text("to", attributes.attributes ? "private" : "shared");
    }
    return vm->show_guest_range(attributes.address, attributes.size);
}

int create_guest_memfd(const std::shared_ptr<Vm> &vm,
                       const kvm_create_guest_memfd &args)
{
    if (!vm->has_private_memory()) {
        return -EINVAL;
    }
    if (args.flags || !args.size || args.size >> 63 ||
        !page_aligned(args.size)) {
        return -EINVAL;
    }
    for (uint64_t reserved : args.reserved) {
        if (reserved) {
            return -EINVAL;
        }
    }
    if (auto fault = step("CREATE_GUEST_MEMFD")) {
        return -fault->error;
    }
    int own = host_memory::new_file("kvm-gmem", args.size);
    if (own < 0) {
        return own;
    }
    int fd = sys::dup(own);
    if (fd < 0) {
        int ret = -errno;
        sys::close(own);
        return ret;
    }
    auto file = std::make_shared<File>();
    file->kind = FileKind::Gmem;
    file->vm = vm;
    file->gmem = std::make_unique<Gmem>(vm.get(), own, args.size);
    files::put(fd, file);
    return fd;
}

/* A hole takes the pages, and what the launch put there, from the guest. */
int gmem_fallocate(Gmem *gmem, int mode, int64_t offset, int64_t length)
{
    if (!(mode & FALLOC_FL_KEEP_SIZE) ||
        (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))) {
        return -EOPNOTSUPP;
    }
    if (!page_aligned(static_cast<uint64_t>(offset)) ||
        !page_aligned(static_cast<uint64_t>(length)) || offset < 0 ||
        length <= 0) {
        return -EINVAL;
    }
    auto from = static_cast<uint64_t>(offset);
    uint64_t to = from + static_cast<uint64_t>(length);
    bool hole = mode & FALLOC_FL_PUNCH_HOLE;
    if (hole) {
        gmem->reclaim(from, std::min(to, gmem->size()));
    } else if (to > gmem->size()) {
        return -EINVAL;
    }
    std::lock_guard lock(gmem->vm()->lock);
    if (fallocate(gmem->fd(), mode, offset, length) != 0) {
        return -errno;
    }
    if (!hole) {
        return gmem->populate(from, to);
    }
    gmem->loaded.remove(from, to);
    gmem->filled.remove(from, to);
    for (auto &[id, slot] : gmem->vm()->slots) {
        uint64_t start = std::max(from, slot.gmem_offset);
        uint64_t end = std::min(to, slot.gmem_offset + slot.size);
        if (slot.gmem == gmem && start < end) {
            int ret = gmem->vm()->show(&slot, start - slot.gmem_offset,
                                       end - start);
            if (ret != 0) {
                return ret;
            }
        }
    }
    return 0;
}

} // namespace coco
