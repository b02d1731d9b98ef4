// SPDX-License-Identifier: GPL-2.0-or-later
//
// The four functions through which KVM ioctls go.

@@
identifier funnel =~ "^kvm_(vm_|vcpu_|device_)?ioctl$";
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
