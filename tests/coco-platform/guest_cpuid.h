/*
 * CPUID: what a guest is shown, which is not what the program said
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_GUEST_CPUID_H
#define COCO_GUEST_CPUID_H

#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

#include "abi.h"
#include "user.h"

namespace coco {

/* A kvm_cpuid2 with room for whatever the real KVM answers. */
class CpuidList {
public:
    static constexpr uint32_t kMax = 256;

    CpuidList() : room_((sizeof(kvm_cpuid2) + kMax * kEntry) / 8 + 1)
    {
        list()->nent = kMax;
    }

    kvm_cpuid2 *list() { return reinterpret_cast<kvm_cpuid2 *>(room_.data()); }
    std::span<kvm_cpuid_entry2> entries()
    {
        return {list()->entries, list()->nent};
    }

    /** KVM_GET_SUPPORTED_CPUID of the real KVM: 0 or -errno. */
    int get_supported();

    /** Hands it to a program that has room for so many: 0 or -errno. */
    int give(uint64_t to)
    {
        kvm_cpuid2 wanted;
        if (copy_in(&wanted, to) != 0) {
            return -EFAULT;
        }
        if (wanted.nent < list()->nent) {
            return -E2BIG;
        }
        return copy_out(to, list(), sizeof(kvm_cpuid2) + list()->nent * kEntry);
    }

private:
    static constexpr size_t kEntry = sizeof(kvm_cpuid_entry2);
    std::vector<uint64_t> room_;
};

/**
 * Makes of what the program said what the guest is shown.  Not that it is
 * encrypted, since the CPU underneath does not do that; to a TD, no feature
 * that this CPU has not, though QEMU gives it those that each CPU with TDX
 * has, and KVM's clock.
 */
void show_to_guest(std::span<kvm_cpuid_entry2> entries, bool td);

} // namespace coco

#endif
