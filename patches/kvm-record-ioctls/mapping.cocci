// SPDX-License-Identifier: GPL-2.0-or-later
//
// What is mapped of a vCPU fd: struct kvm_run and the dirty ring. A new VM's
// pages are put at the same addresses.

@@
expression cpu;
identifier member = { kvm_run, kvm_dirty_gfns };
expression list args;
@@
 cpu->member =
- mmap(args)
+ kvm_reset_mmap(args)

@@
expression cpu, size;
identifier member = { kvm_run, kvm_dirty_gfns };
@@
- munmap(cpu->member, size)
+ kvm_reset_munmap(cpu->member, size)
