/*
 * ioctls of a vCPU: what is locked, and what the guest must not see
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Once LAUNCH_UPDATE_VMSA took the registers, Linux 6.12 refuses access with
 * EINVAL for VMs of the types SEV-ES, SNP and TDX; for SEV-ES guests in a VM
 * of the default type it says 0 and does nothing (x86.c, has_protected_state).
 */

#include "platform.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "guest_cpuid.h"
#include "launch_work.h"
#include "sev.h"
#include "tdx.h"
#include "user.h"

namespace coco {

/* MSRs that the guest has without an exit, so that they are in its VMSA. */
static bool is_guests_msr(uint32_t msr)
{
    switch (msr) {
    case 0xc0000081: /* STAR */
    case 0xc0000082: /* LSTAR */
    case 0xc0000083: /* CSTAR */
    case 0xc0000084: /* SYSCALL_MASK */
    case 0xc0000100: /* FS_BASE */
    case 0xc0000101: /* GS_BASE */
    case 0xc0000102: /* KERNEL_GS_BASE */
    case 0x00000174: /* SYSENTER_CS */
    case 0xc0000080: /* EFER */
    case 0x00000277: /* PAT */
    case 0xc0010130: /* GHCB */
        return true;
    default:
        return false;
    }
}

static bool is_locked(const File &file, unsigned long request)
{
    switch (request) {
    case KVM_GET_REGS:
    case KVM_SET_REGS:
    case KVM_GET_SREGS:
    case KVM_SET_SREGS:
    case KVM_GET_SREGS2:
    case KVM_SET_SREGS2:
    case KVM_GET_FPU:
    case KVM_SET_FPU:
    case KVM_GET_XSAVE:
    case KVM_SET_XSAVE:
    case KVM_GET_XSAVE2:
    case KVM_GET_XCRS:
    case KVM_SET_XCRS:
    case KVM_GET_DEBUGREGS:
    case KVM_SET_DEBUGREGS:
        return file.vcpu->locked;
    default:
        return false;
    }
}

/*
 * Linux stops at the first MSR that it refuses and says how many it did; for
 * VMs of the default type it passes over those of the guest.
 */
static int access_msrs(const File &file, int fd, unsigned long request,
                       uintptr_t arg)
{
    kvm_msrs head;
    if (!file.vcpu->locked || copy_in(&head, arg) != 0 || head.nmsrs > 1024) {
        return real_ioctl(fd, request, arg);
    }
    std::vector<kvm_msr_entry> wanted(head.nmsrs);
    uint64_t entries = arg + sizeof(head);
    if (copy_in(wanted.data(), entries,
                wanted.size() * sizeof(kvm_msr_entry)) != 0) {
        return -EFAULT;
    }
    int done = 0;
    for (kvm_msr_entry &entry : wanted) {
        kvm_msrs_of<1> one = {.entries = {entry}};
        if (!is_guests_msr(entry.index)) {
            int ret = real_ioctl(fd, request, &one);
            if (ret != 1) {
                return ret < 0 && !done ? ret : done;
            }
            entry = one.entries[0];
        } else if (file.vm->refuses_locked()) {
            return done;
        } else {
            entry.data = 0;
        }
        if (request == KVM_GET_MSRS) {
            copy_out(entries + static_cast<uint64_t>(done) * sizeof(entry),
                     entry);
        }
        done++;
    }
    return done;
}

/* Gives the real KVM what the guest may see, and remembers the whole. */
static int set_cpuid(const File &file, int fd, uintptr_t arg)
{
    kvm_cpuid2 head;
    if (copy_in(&head, arg) != 0) {
        return -EFAULT;
    }
    if ((!file.vm->sev && file.vm->type() == KVM_X86_DEFAULT_VM) ||
        head.nent > 256) {
        return real_ioctl(fd, KVM_SET_CPUID2, arg);
    }
    size_t size = head.nent * sizeof(kvm_cpuid_entry2);
    std::vector<uint64_t> room((sizeof(head) + size) / 8 + 1);
    auto *cpuid = reinterpret_cast<kvm_cpuid2 *>(room.data());
    if (copy_in(cpuid, arg, sizeof(head) + size) != 0) {
        return -EFAULT;
    }
    std::span<kvm_cpuid_entry2> entries(cpuid->entries, head.nent);
    std::vector<kvm_cpuid_entry2> whole(entries.begin(), entries.end());
    show_to_guest(entries, file.vm->type() == KVM_X86_TDX_VM);
    int ret = real_ioctl(fd, KVM_SET_CPUID2, cpuid);
    if (ret == 0) {
        file.vcpu->cpuid = std::move(whole);
    }
    return ret;
}

/* What was set; an unusual KVM may answer with the processor's own. */
int get_cpuid(const Vcpu &vcpu, int fd, uintptr_t arg)
{
    const std::vector<kvm_cpuid_entry2> &whole = vcpu.cpuid;
    kvm_cpuid2 head;
    if (whole.empty()) {
        return real_ioctl(fd, KVM_GET_CPUID2, arg);
    }
    if (copy_in(&head, arg) != 0) {
        return -EFAULT;
    }
    bool room = head.nent >= whole.size();
    head.nent = static_cast<uint32_t>(whole.size());
    if (!room) {
        return -E2BIG;
    }
    if (copy_out(arg, head) != 0 ||
        copy_out(arg + sizeof(head), whole.data(),
                 whole.size() * sizeof(kvm_cpuid_entry2)) != 0) {
        return -EFAULT;
    }
    return 0;
}

static int set_guest_debug(const File &file, int fd, uintptr_t arg)
{
    kvm_guest_debug debug;
    if (file.vcpu->locked) {
        return -EINVAL;
    }
    if (copy_in(&debug, arg) != 0) {
        return -EFAULT;
    }
    int ret = real_ioctl(fd, KVM_SET_GUEST_DEBUG, arg);
    if (ret == 0) {
        file.vcpu->debugged = debug.control & KVM_GUESTDBG_ENABLE;
    }
    return ret;
}

int vcpu_ioctl(const std::shared_ptr<File> &file, int fd, unsigned long request,
               uintptr_t arg)
{
    if (request == KVM_RUN) {
        return run_vcpu(*file, fd, file->vcpu->run);
    }
    if (is_locked(*file, request)) {
        return file->vm->refuses_locked() ? -EINVAL : 0;
    }
    switch (request) {
    case KVM_GET_LAPIC:
    case KVM_SET_LAPIC:
    case KVM_SET_TSC_KHZ:
        return file->vm->type() == KVM_X86_TDX_VM
                 ? -EINVAL
                 : real_ioctl(fd, request, arg);
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return access_msrs(*file, fd, request, arg);
    case KVM_SET_CPUID2:
        return set_cpuid(*file, fd, arg);
    case KVM_GET_CPUID2:
        return get_cpuid(*file->vcpu, fd, arg);
    case KVM_SET_GUEST_DEBUG:
        return set_guest_debug(*file, fd, arg);
    case KVM_MEMORY_ENCRYPT_OP: {
        LaunchWork work(file->vm.get(), arg);
        return file->vm->type() == KVM_X86_TDX_VM
                 ? tdx_vcpu_op(file->vm.get(), file->vcpu.get(), fd, arg)
                 : -ENOTTY;
    }
    case KVM_GET_STATS_FD: {
        int stats = real_ioctl(fd, request, arg);
        if (stats >= 0) {
            auto other = std::make_shared<File>();
            other->kind = FileKind::Other;
            other->vm = file->vm;
            files::put(stats, std::move(other));
        }
        return stats;
    }
    default:
        return real_ioctl(fd, request, arg);
    }
}

} // namespace coco
