/*
 * <linux/kvm.h> for C++
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Debian 12's headers declare a flexible array beside an empty struct, which
 * has size 1 in C++: the sizes of the structs, and with them the ioctl
 * numbers, come out wrong.  So the macro that does it is replaced.  What is
 * newer than those headers is defined here.
 */

#ifndef TESTS_KVM_LINUX_KVM_H
#define TESTS_KVM_LINUX_KVM_H

#include <cstddef>
#include <cstdint>

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]
#include <linux/kvm.h>

static_assert(KVM_SET_CPUID2 == 0x4008ae90);
static_assert(KVM_SET_GSI_ROUTING == 0x4008ae6a);
static_assert(KVM_SET_MSRS == 0x4008ae89);
static_assert(KVM_SET_SIGNAL_MASK == 0x4004ae8b);

/* Linux 6.8 */
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#define KVM_CAP_GUEST_MEMFD 234
#define KVM_CAP_VM_TYPES 235
#define KVM_MEM_GUEST_MEMFD (1u << 2)
#define KVM_X86_SW_PROTECTED_VM 1
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ull << 3)

struct kvm_create_guest_memfd {
    uint64_t size;
    uint64_t flags;
    uint64_t reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

struct kvm_userspace_memory_region2 {
    uint32_t slot;
    uint32_t flags;
    uint64_t guest_phys_addr;
    uint64_t memory_size;
    uint64_t userspace_addr;
    uint64_t guest_memfd_offset;
    uint32_t guest_memfd;
    uint32_t pad1;
    uint64_t pad2[14];
};
#define KVM_SET_USER_MEMORY_REGION2                                            \
    _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)

struct kvm_memory_attributes {
    uint64_t address;
    uint64_t size;
    uint64_t attributes;
    uint64_t flags;
};
#define KVM_SET_MEMORY_ATTRIBUTES                                              \
    _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#endif

/* A struct with room for what follows it, on the heap and zero. */
#include <cstdlib>
#include <memory>

template <class T> struct FreeIt {
    void operator()(T *what) const { free(what); }
};

template <class T> using Flexible = std::unique_ptr<T, FreeIt<T>>;

template <class T> Flexible<T> flexible(size_t elements, size_t element)
{
    return Flexible<T>(
        static_cast<T *>(calloc(1, sizeof(T) + elements * element)));
}

#endif
