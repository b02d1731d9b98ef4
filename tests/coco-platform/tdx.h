/*
 * A TDX guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_TDX_H
#define COCO_TDX_H

#include <cstdint>
#include <memory>

#include "asid.h"
#include "digest.h"
#include "vm.h"

namespace coco {

/* What KVM and the TDX module know of one guest, from KVM_TDX_INIT_VM on. */
class TdxGuest {
public:
    std::unique_ptr<Asid> key_id;
    uint64_t attributes = 0;
    uint64_t xfam = 0;
    TdxDigest digest;
    bool finalized = false;
};

/** KVM_MEMORY_ENCRYPT_OP of a VM and of a vCPU: 0 or -errno. */
int tdx_vm_op(Vm *vm, int fd, uintptr_t arg);
int tdx_vcpu_op(Vm *vm, Vcpu *vcpu, int fd, uintptr_t arg);

/** KVM_CREATE_VCPU's own checks: 0 or -errno. */
int tdx_may_create_vcpu(const Vm &vm);

} // namespace coco

#endif
