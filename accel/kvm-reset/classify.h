/*
 * Classifiers: which arguments of an ioctl define, and which are volatile
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Some ioctls are a family of their own behind one number: what a call means
 * depends on a capability's number, an attribute's type, an MSR's index.  The
 * catalogue's rows name a classifier for these.  What is not known here is
 * Foreign, so that a newer kernel's addition makes the VM not restartable
 * until somebody adds a line.
 */

#ifndef KVM_RESET_CLASSIFY_H
#define KVM_RESET_CLASSIFY_H

#include "catalogue.h"

namespace kvm_reset {

/* One value that a classifier knows. */
struct ArgumentRule {
    const char *name = nullptr; /* as in <linux/kvm.h> */
    uint64_t value = 0;
    Effect effect = Effect::Foreign;
    const char *note = nullptr;
    bool adds_up = false; /* a second call adds to the first one */
};

/* What each classifier knows: for tests and for the documentation's tables. */
std::span<const ArgumentRule> vm_cap_rules();
std::span<const ArgumentRule> vcpu_cap_rules();
std::span<const ArgumentRule> xen_hvm_rules();
std::span<const ArgumentRule> xen_vcpu_rules();

/* KVM_ENABLE_CAP, by capability. */
Effect classify_vm_cap(std::span<const uint8_t> arg, uint64_t value,
                       const ClassifyContext &context);
Effect classify_vcpu_cap(std::span<const uint8_t> arg, uint64_t value,
                         const ClassifyContext &context);

/* Whether a second KVM_ENABLE_CAP of @arg's capability adds to the first. */
bool vm_cap_adds_up(std::span<const uint8_t> arg);

/* KVM_XEN_HVM_SET_ATTR and KVM_XEN_VCPU_SET_ATTR, by type. */
Effect classify_xen_hvm(std::span<const uint8_t> arg, uint64_t value,
                        const ClassifyContext &context);
Effect classify_xen_vcpu(std::span<const uint8_t> arg, uint64_t value,
                         const ClassifyContext &context);

/* KVM_SET_MSRS (one element) and KVM_SET_ONE_REG, by MSR index. */
Effect classify_msr(std::span<const uint8_t> arg, uint64_t value,
                    const ClassifyContext &context);
Effect classify_one_reg(std::span<const uint8_t> arg, uint64_t value,
                        const ClassifyContext &context);

/* KVM_SET_DEVICE_ATTR, by group and attribute. */
Effect classify_device_attr(std::span<const uint8_t> arg, uint64_t value,
                            const ClassifyContext &context);
Effect classify_vcpu_attr(std::span<const uint8_t> arg, uint64_t value,
                          const ClassifyContext &context);

/* KVM_CREATE_DEVICE: a test creates nothing. */
Effect classify_create_device(std::span<const uint8_t> arg, uint64_t value,
                              const ClassifyContext &context);

/* KVM_CREATE_GUEST_MEMFD: flags that make it what a new one cannot be. */
Effect classify_create_guest_memfd(std::span<const uint8_t> arg, uint64_t value,
                                   const ClassifyContext &context);

/* KVM_SET_MEMORY_ATTRIBUTES: the guest's own doing once it is launched. */
Effect classify_memory_attributes(std::span<const uint8_t> arg, uint64_t value,
                                  const ClassifyContext &context);

/* KVM_MEMORY_ENCRYPT_OP: without an argument it is a question. */
Effect classify_encrypt_op(std::span<const uint8_t> arg, uint64_t value,
                           const ClassifyContext &context);

} /* namespace kvm_reset */

#endif
