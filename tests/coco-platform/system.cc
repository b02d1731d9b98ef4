/*
 * ioctls of /dev/kvm, and those of a VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "platform.h"

#include <fcntl.h>

#include "config.h"
#include "fault.h"
#include "launch_work.h"
#include "log.h"
#include "sev.h"
#include "tdx.h"
#include "user.h"

namespace coco {

static int add_file(int fd, FileKind kind, std::shared_ptr<Vm> vm,
                    std::shared_ptr<Vcpu> vcpu = nullptr)
{
    if (fd >= 0) {
        auto file = std::make_shared<File>();
        file->kind = kind;
        file->vm = std::move(vm);
        file->vcpu = std::move(vcpu);
        files::put(fd, std::move(file));
    }
    return fd;
}

/*
 * Somebody else holds the VM, the real one too, until the process ends: as a
 * VFIO device does from its opening on, or an open file of its statistics.
 */
static void hold(int vm)
{
    constexpr uintptr_t kOutOfTheWay = 700;
    auto file = files::get(vm);
    int held = sys::fcntl(vm, F_DUPFD_CLOEXEC, kOutOfTheWay);
    if (held < 0) {
        refuse_to_start("KVM_RESET_COCO_HOLD: no fd for it");
    }
    log_event("held", file->vm->number());
    files::put(held, std::move(file));
}

static int create_vm(int fd, uintptr_t type)
{
    bool known = type == KVM_X86_DEFAULT_VM || type == KVM_X86_SEV_VM ||
                 type == KVM_X86_SEV_ES_VM || type == KVM_X86_SNP_VM ||
                 type == KVM_X86_TDX_VM;
    if (!known) {
        return real_ioctl(fd, KVM_CREATE_VM, type);
    }
    if (auto fault = step("CREATE_VM")) {
        return -fault->error;
    }
    int vm = real_ioctl(fd, KVM_CREATE_VM, uintptr_t(KVM_X86_DEFAULT_VM));
    if (vm < 0) {
        return vm;
    }
    add_file(vm, FileKind::Vm, std::make_shared<Vm>(type));
    if (files::get(vm)->vm->number() == config().hold) {
        hold(vm);
    }
    return vm;
}

/* KVM_CHECK_EXTENSION of /dev/kvm (no VM) and of a VM. */
static int check_extension(const Vm *vm, int fd, uintptr_t what)
{
    constexpr int kTypes = 1 << KVM_X86_SEV_VM | 1 << KVM_X86_SEV_ES_VM |
                           1 << KVM_X86_SNP_VM | 1 << KVM_X86_TDX_VM;
    int real = real_ioctl(fd, KVM_CHECK_EXTENSION, what);
    bool protects = vm && vm->refuses_locked();

    switch (what) {
    case KVM_CAP_VM_TYPES:
        return (real < 0 ? 1 : real | 1) | kTypes;
    case KVM_CAP_GUEST_MEMFD:
        return !vm || vm->has_private_memory();
    case KVM_CAP_USER_MEMORY2:
        return 1;
    case KVM_CAP_MEMORY_ATTRIBUTES:
        return !vm || vm->has_private_memory()
                 ? static_cast<int>(KVM_MEMORY_ATTRIBUTE_PRIVATE)
                 : 0;
    case KVM_CAP_MULTI_ADDRESS_SPACE:
        return vm && vm->has_private_memory() ? 1 : real;
    case KVM_CAP_X86_SMM:
    case KVM_CAP_SYNC_REGS:
        return protects ? 0 : real;
    case KVM_CAP_READONLY_MEM:
        return vm && vm->type() == KVM_X86_TDX_VM ? 0 : real;
    default:
        return real;
    }
}

/* What may be asked for; Linux 6.12 tells of the first alone. */
static int get_system_attribute(int fd, unsigned long request, uintptr_t arg)
{
    constexpr uint32_t kSev = 1;
    enum : uint64_t {
        VmsaFeatures,
        PolicyBits,
        RequestCerts
    };
    kvm_device_attr attr;
    uint64_t value;
    if (copy_in(&attr, arg) != 0) {
        return -EFAULT;
    }
    if (attr.group != kSev) {
        return real_ioctl(fd, request, arg);
    }
    if (attr.attr == VmsaFeatures) {
        value = sev_vmsa_features();
    } else if (attr.attr == PolicyBits && !config().linux_6_12) {
        value = kSnpPolicyKnown73;
    } else if (attr.attr == RequestCerts && !config().linux_6_12) {
        value = 1;
    } else {
        return -ENXIO;
    }
    return request == KVM_HAS_DEVICE_ATTR ? 0 : copy_out(attr.addr, value);
}

int system_ioctl(int fd, unsigned long request, uintptr_t arg)
{
    switch (request) {
    case KVM_CREATE_VM:
        return create_vm(fd, arg);
    case KVM_CHECK_EXTENSION:
        return check_extension(nullptr, fd, arg);
    case KVM_GET_DEVICE_ATTR:
    case KVM_HAS_DEVICE_ATTR:
        return get_system_attribute(fd, request, arg);
    default:
        return real_ioctl(fd, request, arg);
    }
}

static int create_vcpu(const std::shared_ptr<File> &file, int fd, uintptr_t id)
{
    int ret = tdx_may_create_vcpu(*file->vm);
    int vcpu_fd = ret ? ret : real_ioctl(fd, KVM_CREATE_VCPU, id);
    if (vcpu_fd < 0) {
        return vcpu_fd;
    }
    auto vcpu = std::make_shared<Vcpu>();
    /* A TD's registers are never the host's. */
    vcpu->locked = file->vm->type() == KVM_X86_TDX_VM;
    vcpu->id = static_cast<uint32_t>(id);
    {
        std::lock_guard lock(file->vm->lock);
        file->vm->vcpus.push_back(vcpu);
    }
    return add_file(vcpu_fd, FileKind::Vcpu, file->vm, std::move(vcpu));
}

static int create_device(const std::shared_ptr<File> &file, int fd,
                         uintptr_t arg)
{
    int ret = real_ioctl(fd, KVM_CREATE_DEVICE, arg);
    kvm_create_device device;
    if (ret == 0 && copy_in(&device, arg) == 0 &&
        !(device.flags & KVM_CREATE_DEVICE_TEST)) {
        add_file(static_cast<int>(device.fd), FileKind::Other, file->vm);
    }
    return ret;
}

static int set_region(Vm *vm, int fd, unsigned long request, uintptr_t arg)
{
    kvm_userspace_memory_region2 region = {};
    size_t size = request == KVM_SET_USER_MEMORY_REGION2
                    ? sizeof(region)
                    : sizeof(kvm_userspace_memory_region);
    if (copy_in(&region, arg, size) != 0) {
        return -EFAULT;
    }
    return set_memory_region(vm, fd, region);
}

static int memory_encrypt(const std::shared_ptr<File> &file, int fd,
                          uintptr_t arg)
{
    LaunchWork work(file->vm.get(), arg);
    if (file->vm->type() == KVM_X86_TDX_VM) {
        return tdx_vm_op(file->vm.get(), fd, arg);
    }
    return sev_memory_encrypt_op(file->vm.get(), arg);
}

static int enable_cap(Vm *vm, int fd, uintptr_t arg)
{
    kvm_enable_cap cap;
    int ret = real_ioctl(fd, KVM_ENABLE_CAP, arg);
    if (ret == 0 && copy_in(&cap, arg) == 0 &&
        cap.cap == KVM_CAP_SPLIT_IRQCHIP) {
        vm->split_irqchip = true;
    }
    return ret;
}

int vm_ioctl(const std::shared_ptr<File> &file, int fd, unsigned long request,
             uintptr_t arg)
{
    Vm *vm = file->vm.get();
    kvm_memory_attributes attributes;
    kvm_create_guest_memfd memfd;
    kvm_enc_region region;

    switch (request) {
    case KVM_CHECK_EXTENSION:
        return check_extension(vm, fd, arg);
    case KVM_CREATE_VCPU:
        return create_vcpu(file, fd, arg);
    case KVM_CREATE_DEVICE:
        return create_device(file, fd, arg);
    case KVM_GET_STATS_FD:
        return add_file(real_ioctl(fd, request, arg), FileKind::Other,
                        file->vm);
    case KVM_SET_USER_MEMORY_REGION:
    case KVM_SET_USER_MEMORY_REGION2:
        return set_region(vm, fd, request, arg);
    case KVM_SET_MEMORY_ATTRIBUTES:
        return copy_in(&attributes, arg) == 0
                 ? set_memory_attributes(vm, attributes)
                 : -EFAULT;
    case KVM_CREATE_GUEST_MEMFD:
        return copy_in(&memfd, arg) == 0 ? create_guest_memfd(file->vm, memfd)
                                         : -EFAULT;
    case KVM_MEMORY_ENCRYPT_OP:
        return memory_encrypt(file, fd, arg);
    case KVM_MEMORY_ENCRYPT_REG_REGION:
        return copy_in(&region, arg) == 0 ? sev_register_region(vm, region)
                                          : -EFAULT;
    case KVM_MEMORY_ENCRYPT_UNREG_REGION:
        return copy_in(&region, arg) == 0 ? sev_unregister_region(vm, region)
                                          : -EFAULT;
    case KVM_CREATE_IRQCHIP:
        /* Ends of interrupts are not seen, so no IOAPIC can be in KVM. */
        return vm->type() == KVM_X86_TDX_VM ? -ENOTTY
                                            : real_ioctl(fd, request, arg);
    case KVM_ENABLE_CAP:
        return enable_cap(vm, fd, arg);
    default:
        return real_ioctl(fd, request, arg);
    }
}

} // namespace coco
