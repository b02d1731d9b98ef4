/*
 * The fake kernel: what each of KVM's ioctls does
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_kernel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fake_kernel_objects.h"
#include "kvm_abi.h"
#include "user_memory.h"

using namespace kvm_reset::abi;

int FakeKernel::ioctl(int fd, uint32_t request, uintptr_t arg)
{
    if (before_ioctl) {
        before_ioctl(fd, request);
    }
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Ioctl, request)) {
        return -code;
    }
    FilePtr file = find(fd);
    if (!file) {
        return -EBADF;
    }
    if (file->role != "kvm" && !file->vm) {
        return -ENOTTY;
    }
    if (!arg && ((request >> 16) & 0x3fff) && request != KVM_SET_SIGNAL_MASK) {
        return -EFAULT;
    }

    IssuedIoctl issued;
    if (remembers) {
        issued = describe_call(*file, request, arg);
    }
    int ret = perform(*file, request, arg);
    if (ret >= 0 && remembers) {
        times_[request]++;
        std::shared_ptr<Vm> vm = file->vm;
        if (request == KVM_CREATE_VM && file->role == "kvm") {
            vm = find(ret)->vm;
        }
        if (vm) {
            vm->ioctls.push_back(std::move(issued));
        }
    }
    return ret;
}

int FakeKernel::perform(File &file, uint32_t request, uintptr_t arg)
{
    if (file.role == "kvm") {
        return on_system(request, arg);
    }
    if (keeps_state && (file.role == "vm" || in_vcpu(file.role))) {
        auto ret = file.vm->state.ioctl(file.role, request, arg);
        if (ret) {
            return *ret;
        }
    }
    if (file.role == "vm") {
        return on_vm(file.vm, request, arg);
    } else if (file.role.starts_with("device")) {
        return on_device(*file.vm, request, arg);
    } else if (!in_vcpu(file.role)) {
        return -ENOTTY;
    } else if (request == KVM_MEMORY_ENCRYPT_OP) {
        file.vm->coco.most_pages = most_pages;
        return file.vm->coco.command(file.role, arg);
    } else if (request == KVM_SET_REGS) {
        return file.vm->coco.set_regs(file.role, arg);
    } else if (request == KVM_SET_MSRS) {
        return std::min<int>(user<kvm_msrs>(arg).nmsrs, takes_msrs);
    } else if (request == KVM_GET_STATS_FD) {
        return install(
            make("anon_inode:kvm-vcpu-stats:0", file.vm, file.role + " stats"));
    }
    return 0;
}

static int list_msrs(const std::vector<uint32_t> &indices, uintptr_t arg)
{
    auto &list = user<kvm_msr_list>(arg);

    if (std::exchange(list.nmsrs, indices.size()) < indices.size()) {
        return -E2BIG;
    }
    std::ranges::copy(indices, after<uint32_t>(list));
    return 0;
}

int FakeKernel::on_system(uint32_t request, uintptr_t arg)
{
    if (request == KVM_GET_API_VERSION) {
        return int(KVM_API_VERSION);
    }
    if (request == KVM_CREATE_VM) {
        auto vm = std::make_shared<Vm>();
        vms_.push_back(vm);
        vm->coco.vm_type = arg;
        vm->coco.not_ready = &not_ready;
        vm->coco.slots = &vm->slots;
        vm->slots.strict = arg != 0;
        vm->coco.key = uint8_t(serial_ % 255 + 1);
        return install(make("anon_inode:kvm-vm", vm, "vm"));
    }
    if (request == KVM_GET_SUPPORTED_CPUID) {
        return list_cpuid(arg);
    }
    if (request == KVM_CHECK_EXTENSION) {
        return !lacks_caps.contains(arg);
    }
    if (request == KVM_GET_MSR_INDEX_LIST) {
        std::vector<uint32_t> all = fake_registers();
        std::erase_if(all, [this](uint32_t index) {
            return lacks_registers.contains(index);
        });
        return list_msrs(all, arg);
    }
    if (request == KVM_GET_MSR_FEATURE_INDEX_LIST) {
        return list_msrs(feature_msrs, arg);
    }
    return 0;
}

int FakeKernel::list_cpuid(uintptr_t arg)
{
    constexpr uint32_t kvm_cpuid_entry2::*registers[] = {
        &kvm_cpuid_entry2::eax, &kvm_cpuid_entry2::ebx, &kvm_cpuid_entry2::ecx,
        &kvm_cpuid_entry2::edx};
    auto &list = user<kvm_cpuid2>(arg);

    if (list.nent < supported_cpuid.size()) {
        return -E2BIG;
    }
    list.nent = supported_cpuid.size();
    auto entry = after<kvm_cpuid_entry2>(list);
    for (auto &[where, value] : supported_cpuid) {
        entry->function = where.first;
        entry->*registers[where.second] = value;
        entry++;
    }
    return 0;
}

int FakeKernel::on_vm(std::shared_ptr<Vm> vm, uint32_t request, uintptr_t arg)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return arg == KVM_CAP_NR_MEMSLOTS ? int(FakeSlots::count) : keeps_state;
    case KVM_GET_DIRTY_LOG:
    case KVM_CLEAR_DIRTY_LOG:
        return vm->slots.logs_dirty_pages(user<uint32_t>(arg)) ? 0 : -ENOENT;
    case KVM_CREATE_VCPU: {
        if (!vm->vcpus.insert(arg).second) {
            return -EEXIST;
        }
        std::string id = std::to_string(arg);
        vm->coco.vcpus.insert("vcpu " + id);
        return install(
            make(("anon_inode:kvm-vcpu:" + id).c_str(), vm, "vcpu " + id));
    }
    case KVM_CREATE_IRQCHIP:
        if (vm->irqchip) {
            return -EEXIST;
        }
        if (!vm->vcpus.empty()) {
            return -EINVAL;
        }
        vm->irqchip = true;
        return 0;
    case KVM_IRQFD:
        return assign_irqfd(*vm, arg);
    case KVM_IOEVENTFD:
        return assign_ioeventfd(*vm, arg);
    case KVM_SET_USER_MEMORY_REGION:
    case KVM_SET_USER_MEMORY_REGION2:
        return set_slot(*vm, request, arg);
    case KVM_CREATE_DEVICE:
        return create_device(vm, arg);
    case KVM_CREATE_GUEST_MEMFD: {
        std::string role = "memfd " + std::to_string(vm->memfds++);
        return install(make("anon_inode:[kvm-gmem]", vm, role));
    }
    case KVM_GET_STATS_FD:
        return install(make("anon_inode:kvm-vm-stats", vm, "vm stats"));
    case KVM_SET_MEMORY_ATTRIBUTES:
        return vm->coco.set_attributes(arg);
    case KVM_MEMORY_ENCRYPT_OP:
        vm->coco.most_pages = most_pages;
        vm->coco.free_asid = size_t(
                                 std::ranges::count_if(living(), [](auto &any) {
                                     return any->coco.has_asid;
                                 })) < asids;
        return vm->coco.command("vm", arg);
    case KVM_RUN:
        return -ENOTTY;
    default:
        return 0;
    }
}

int FakeKernel::assign_irqfd(Vm &vm, uintptr_t arg)
{
    const auto &irqfd = user<kvm_irqfd>(arg);
    FilePtr file = find(int(irqfd.fd));

    if (!file) {
        return -EBADF;
    }
    if (file->role != "eventfd") {
        return -EINVAL;
    }
    if (irqfd.flags & KVM_IRQFD_FLAG_DEASSIGN) {
        vm.irqfds.erase({file->serial, irqfd.gsi});
        return 0;
    }
    if (irqfd.flags & KVM_IRQFD_FLAG_RESAMPLE && !find(int(irqfd.resamplefd))) {
        return -EBADF;
    }
    for (auto &any : living()) {
        for (auto &[taken, other_gsi] : any->irqfds) {
            if (taken == file->serial) {
                return -EBUSY;
            }
        }
    }
    vm.irqfds.insert({file->serial, irqfd.gsi});
    return 0;
}

int FakeKernel::assign_ioeventfd(Vm &vm, uintptr_t arg)
{
    const auto &ioeventfd = user<kvm_ioeventfd>(arg);
    FilePtr file = find(ioeventfd.fd);

    if (!file) {
        return -EBADF;
    }
    std::vector<uint64_t> key = {ioeventfd.addr, ioeventfd.len,
                                 ioeventfd.flags & ~KVM_IOEVENTFD_FLAG_DEASSIGN,
                                 ioeventfd.datamatch};
    if (ioeventfd.flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
        return vm.ioeventfds.erase(key) ? 0 : -ENOENT;
    }
    return vm.ioeventfds.insert(key).second ? 0 : -EEXIST;
}

int FakeKernel::set_slot(Vm &vm, uint32_t request, uintptr_t arg)
{
    kvm_userspace_memory_region2 region;
    std::optional<FakeSlots::Slot> gone;
    uint64_t serial = 0;

    memcpy(&region, reinterpret_cast<const void *>(arg),
           request == KVM_SET_USER_MEMORY_REGION2
               ? sizeof(region)
               : sizeof(kvm_userspace_memory_region));
    if (region.memory_size && region.flags & KVM_MEM_GUEST_MEMFD) {
        FilePtr memfd = find(int(region.guest_memfd));
        if (!memfd) {
            return -EBADF;
        }
        if (memfd->vm.get() != &vm || !memfd->role.starts_with("memfd")) {
            return -EINVAL;
        }
        serial = memfd->serial;
    }
    int ret = vm.slots.set(region, serial, gone);
    if (gone && gone->memfd) {
        vm.coco.lose_pages(gone->region.guest_phys_addr,
                           gone->region.memory_size);
    }
    return ret;
}

int FakeKernel::create_device(std::shared_ptr<Vm> vm, uintptr_t arg)
{
    auto &device = user<kvm_create_device>(arg);

    if (device.flags & KVM_CREATE_DEVICE_TEST) {
        return 0;
    }
    if (std::exchange(vm->vfio, true)) {
        return -EBUSY;
    }
    int fd = install(make("anon_inode:kvm-vfio", vm, "device 0"));
    if (fd < 0) {
        return fd;
    }
    device.fd = uint32_t(fd);
    return 0;
}

int FakeKernel::on_device(Vm &vm, uint32_t request, uintptr_t arg)
{
    return request == KVM_SET_DEVICE_ATTR ? change_vfio(vm, arg) : 0;
}

int FakeKernel::change_vfio(Vm &vm, uintptr_t arg)
{
    const auto &attr = user<kvm_device_attr>(arg);

    if (attr.group != KVM_DEV_VFIO_FILE || !attr.addr) {
        return -ENXIO;
    }
    FilePtr file = find(user<int32_t>(attr.addr));
    if (!file) {
        return -EBADF;
    }
    if (attr.attr == KVM_DEV_VFIO_FILE_DEL) {
        return vm.vfio_files.erase(file->serial) ? 0 : -ENOENT;
    }
    for (auto &any : living()) {
        if (any->vfio_files.contains(file->serial)) {
            return -EBUSY;
        }
    }
    vm.vfio_files.insert(file->serial);
    return 0;
}

/* --- What a test may ask -------------------------------------------------- */

std::vector<std::string> FakeKernel::launched(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->coco.log : std::vector<std::string>();
}

std::map<uint32_t, FakeSlots::Slot> FakeKernel::slots(int fd) const
{
    std::unique_lock lock(mutex_);

    return find(fd)->vm->slots.all();
}

std::set<std::pair<uint64_t, uint32_t>> FakeKernel::irqfds(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && file->vm ? file->vm->irqfds
                            : std::set<std::pair<uint64_t, uint32_t>>();
}

FakeState::Values FakeKernel::state(int fd) const
{
    std::unique_lock lock(mutex_);
    return find(fd)->vm->state.values();
}
