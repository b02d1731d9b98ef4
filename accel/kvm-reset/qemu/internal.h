/*
 * kvm-reset in QEMU: what its C files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_QEMU_INTERNAL_H
#define KVM_RESET_QEMU_INTERNAL_H

/* Whether an ordinary guest asked for a new VM at each reset. */
bool kvm_reset_wanted(void);
void kvm_reset_set_wanted(bool wanted);

/* Registers what QEMU itself caches of the kernel's state. */
void kvm_reset_add_qemu_hooks(void);


#endif
