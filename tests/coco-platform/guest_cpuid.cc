/*
 * CPUID: what a guest is shown, which is not what the program said
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest_cpuid.h"

#include <fcntl.h>

#include "platform.h"

namespace coco {

namespace {

/* The leaf in which QEMU tells the guest that it is encrypted. */
constexpr uint32_t kSevLeaf = 0x8000001f;

/* KVM's own features; of these, its clock. */
constexpr uint32_t kKvmLeaf = 0x40000001;
constexpr uint32_t kKvmClock = 1u << 0 | 1u << 3 | 1u << 24;

enum Register : uint8_t {
    kEax,
    kEbx,
    kEcx,
    kEdx
};

/* A register that is feature bits, and those of them that KVM does not name
 * as supported though a guest may have them. */
struct Features {
    uint32_t leaf, index;
    Register reg;
    uint32_t always;
};

constexpr Features kFeatures[] = {
    /* x2APIC, TSC deadline, OSXSAVE, "hypervisor" */
    {1, 0, kEcx, 1u << 21 | 1u << 24 | 1u << 27 | 1u << 31},
    {1, 0, kEdx, 1u << 28}, /* HTT is topology */
    {7, 0, kEbx, 0},
    {7, 0, kEcx, 1u << 4}, /* OSPKE */
    {7, 0, kEdx, 0},
    {7, 1, kEax, 0},
    {7, 1, kEdx, 0},
    {7, 2, kEdx, 0},
    {0xd, 0, kEax, 0},
    {0xd, 0, kEdx, 0},
    {0xd, 1, kEax, 0},
    {0xd, 1, kEcx, 0},
    {0xd, 1, kEdx, 0},
    {0x80000001, 0, kEcx, 1u << 1 | 1u << 22}, /* topology */
    {0x80000001, 0, kEdx, 0},
    {0x80000007, 0, kEdx, 0},
    {0x80000008, 0, kEbx, 0},
};

uint32_t *register_of(kvm_cpuid_entry2 *entry, Register reg)
{
    uint32_t *all[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};
    return all[reg];
}

uint32_t supported(CpuidList *host, uint32_t leaf, uint32_t index, Register reg)
{
    for (kvm_cpuid_entry2 &entry : host->entries()) {
        if (entry.function == leaf && entry.index == index) {
            return *register_of(&entry, reg);
        }
    }
    return 0;
}

/*
 * A TD is told the frequency of its TSC in leaf 0x15 and needs no other
 * clock: QEMU gives it neither PIC nor kvmclock.  The CPU underneath has no
 * such leaf, so a Linux guest would wait for a timer for ever.
 */
void show_td(CpuidList *host, kvm_cpuid_entry2 *entry)
{
    if (entry->function == kKvmLeaf) {
        entry->eax |= supported(host, kKvmLeaf, 0, kEax) & kKvmClock;
    }
    for (const Features &known : kFeatures) {
        if (entry->function == known.leaf && entry->index == known.index) {
            *register_of(entry, known.reg) &= supported(host, known.leaf,
                                                        known.index,
                                                        known.reg) |
                                              known.always;
        }
    }
}

} // namespace

int CpuidList::get_supported()
{
    int kvm = sys::openat(AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC, 0);
    if (kvm < 0) {
        return -errno;
    }
    int ret = real_ioctl(kvm, KVM_GET_SUPPORTED_CPUID, list());
    sys::close(kvm);
    return ret;
}

void show_to_guest(std::span<kvm_cpuid_entry2> entries, bool td)
{
    CpuidList host;
    bool known = td && host.get_supported() == 0;
    for (kvm_cpuid_entry2 &entry : entries) {
        if (entry.function == kSevLeaf) {
            entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
        }
        if (known) {
            show_td(&host, &entry);
        }
    }
}

} // namespace coco
