/*
 * What KVM_GET_NESTED_STATE does not say of a nested guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "nested_state.h"

#include <cerrno>
#include <optional>
#include <span>

#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset {

using namespace abi;

/* Where a VMCB has what the hypervisor may use (Hyper-V TLFS, nested SVM). */
constexpr size_t enlightenments_at = 0x3e0;
constexpr size_t enlightenments_size = 32;

/* In this process, of memory that is one slot's. */
static std::optional<uint64_t> address_of(const Snapshot &snapshot,
                                          uint64_t gpa, size_t size)
{
    using Region = kvm_userspace_memory_region;

    for (const EntryPtr &entry : snapshot.entries) {
        if (entry->row->request != KVM_SET_USER_MEMORY_REGION &&
            entry->row->request != KVM_SET_USER_MEMORY_REGION2) {
            continue;
        }
        const uint64_t begin = entry->arg.read(
            field_of(&Region::guest_phys_addr));
        const uint64_t bytes = entry->arg.read(field_of(&Region::memory_size));
        if (gpa >= begin && gpa - begin < bytes &&
            size <= bytes - (gpa - begin)) {
            return entry->arg.read(field_of(&Region::userspace_addr)) + gpa -
                   begin;
        }
    }
    return std::nullopt;
}

Result<void> add_enlightenments(Kernel &kernel, const Snapshot &snapshot,
                                std::vector<uint8_t> &state)
{
    constexpr size_t head = sizeof(kvm_nested_state);
    constexpr Field vmcb = {.offset = offsetof(kvm_nested_state, hdr),
                            .width = 8};

    if (state.size() < head + enlightenments_at + enlightenments_size ||
        read_field(state, field_of(&kvm_nested_state::format)) !=
            KVM_STATE_NESTED_FORMAT_SVM ||
        !(read_field(state, field_of(&kvm_nested_state::flags)) &
          KVM_STATE_NESTED_GUEST_MODE)) {
        return {};
    }
    const auto from = address_of(snapshot,
                                 read_field(state, vmcb) + enlightenments_at,
                                 enlightenments_size);
    if (!from) {
        return {};
    }
    int ret = kernel.read_memory(
        *from, std::span(state).subspan(head + enlightenments_at,
                                        enlightenments_size));
    return ret < 0 ? fail(-ret, "reading the VMCB of a nested guest")
                   : Result<void>();
}

} /* namespace kvm_reset */
