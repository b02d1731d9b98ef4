// SPDX-License-Identifier: GPL-2.0-or-later
//
// A parked vCPU has no CPUState, so its MSRs are set by its fd.

@@
expression msrs;
@@
- ioctl(kvm_fd, KVM_SET_MSRS, msrs)
+ kvm_reset_ioctl(kvm_fd, KVM_SET_MSRS, msrs)
