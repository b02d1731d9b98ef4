// SPDX-License-Identifier: GPL-2.0-or-later
//
// The four functions through which KVM ioctls go. (A list, since the language of
// regular expressions depends on how Coccinelle was built.)

@@
identifier funnel = { kvm_ioctl, kvm_vm_ioctl, kvm_vcpu_ioctl,
                      kvm_device_ioctl };
expression fd;
identifier type, arg;
@@
 funnel(...)
 {
 <...
- ioctl(fd, type, arg)
+ kvm_reset_ioctl(fd, type, arg)
 ...>
 }
