/*
 * The ioctls that the platform answers, by the kind of file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each takes what the program gave to ioctl() and returns what the kernel's
 * system call does: ≥ 0, or -errno.  What is not the platform's business is
 * handed to the real KVM.
 */

#ifndef COCO_PLATFORM_H
#define COCO_PLATFORM_H

#include <cerrno>
#include <cstdint>
#include <memory>

#include "files.h"
#include "sys.h"

namespace coco {

/** The real ioctl, as -errno. */
inline int real_ioctl(int fd, unsigned long request, uintptr_t arg)
{
    int ret = sys::ioctl(fd, request, arg);
    return ret < 0 ? -errno : ret;
}

inline int real_ioctl(int fd, unsigned long request, const void *arg)
{
    return real_ioctl(fd, request, reinterpret_cast<uintptr_t>(arg));
}

int system_ioctl(int fd, unsigned long request, uintptr_t arg);
int vm_ioctl(const std::shared_ptr<File> &file, int fd, unsigned long request,
             uintptr_t arg);
int vcpu_ioctl(const std::shared_ptr<File> &file, int fd, unsigned long request,
               uintptr_t arg);

/* --- memory (slots.cc) ------------------------------------------------ */

int set_memory_region(Vm *vm, int fd,
                      const kvm_userspace_memory_region2 &region);
int set_memory_attributes(Vm *vm, const kvm_memory_attributes &attributes);
int create_guest_memfd(const std::shared_ptr<Vm> &vm,
                       const kvm_create_guest_memfd &args);
/** fallocate() on a guest_memfd. */
int gmem_fallocate(Gmem *gmem, int mode, int64_t offset, int64_t length);

/* --- vCPUs (vcpu.cc, run.cc) ------------------------------------------- */

/** KVM_GET_CPUID2: all that the program said, also what is hidden. */
int get_cpuid(const Vcpu &vcpu, int fd, uintptr_t arg);
/** KVM_RUN, with what the guest asks of the platform on the way. */
int run_vcpu(const File &file, int fd, kvm_run *run);

} // namespace coco

#endif
