// SPDX-License-Identifier: GPL-2.0-or-later

@@
identifier listener = { kvm_mem_ioeventfd_add, kvm_mem_ioeventfd_del,
                        kvm_io_ioeventfd_add, kvm_io_ioeventfd_del };
expression r;
expression list es;
@@
 listener(...)
 {
     <...
     if (r < 0) {
         fprintf(es);
-        abort();
+        kvm_reset_report_failure("KVM_IOEVENTFD", r);
     }
     ...>
 }
