/*
 * The MSRs that define an x86 vCPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM lists the MSRs that say what a CPU can do (KVM API, section 4.3:
 * KVM_GET_MSR_FEATURE_INDEX_LIST): VMX capabilities, ARCH_CAPABILITIES, the
 * microcode revision, …  QEMU sets them once, when it makes a vCPU, and never
 * at a reset; every other MSR it sets at each reset.
 */

#include <algorithm>
#include <cerrno>

#include "arch.h"
#include "kvm_abi.h"
#include "kvm_of_vmsa.h"
#include "launch_of_igvm.h"
#include "launch_commands.h"
#include "plan_digest.h"
#include "state_pieces.h"
#include "x86_host_features.h"

namespace kvm_reset {

static std::vector<uint32_t> feature_msrs(Kernel &kernel, int system)
{
    /* struct kvm_msr_list: the count, then the indices. */
    std::vector<uint32_t> list(1);

    int ret = kernel.ioctl(system, abi::KVM_GET_MSR_FEATURE_INDEX_LIST,
                           uintptr_t(list.data()));
    if (ret == -E2BIG) {
        list.resize(1 + list[0]);
        ret = kernel.ioctl(system, abi::KVM_GET_MSR_FEATURE_INDEX_LIST,
                           uintptr_t(list.data()));
    }
    if (ret < 0) {
        return {};
    }
    list.resize(1 + std::min<size_t>(list[0], list.size() - 1));
    list.erase(list.begin());
    std::ranges::sort(list);
    return list;
}

static constexpr Arch x86{
    .name = "x86",
    .defining_msrs = feature_msrs,
    .launch_command = x86_launch_command,
    .measure = x86_measure,
    .launch_of_igvm = x86_launch_of_igvm,
    .start_vcpu = x86_start_vcpu,
    .state_pieces = x86_state_pieces,
    .host_features = x86_host_features,
    .missing_features = x86_missing_features,
};

[[maybe_unused]] static const bool registered = register_arch(&x86);

} /* namespace kvm_reset */
