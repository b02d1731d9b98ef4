// SPDX-License-Identifier: GPL-2.0-or-later

@@
expression block;
@@
- close(block->guest_memfd)
+ kvm_reset_close(block->guest_memfd)
