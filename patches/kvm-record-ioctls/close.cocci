// SPDX-License-Identifier: GPL-2.0-or-later
//
// All that this file closes are KVM's own fds.

@@
expression fd;
@@
- close(fd)
+ kvm_reset_close(fd)
