// SPDX-License-Identifier: GPL-2.0-or-later
//
// VFIO sets the attributes of its KVM device by itself.

@@
expression request, arg;
@@
- ioctl(vfio_kvm_device_fd, request, arg)
+ kvm_reset_ioctl(vfio_kvm_device_fd, request, arg)
