// SPDX-License-Identifier: GPL-2.0-or-later

@@
expression err;
expression list es;
@@
 kvm_set_phys_mem(...)
 {
     <...
     if (err) {
         fprintf(es);
-        abort();
+        kvm_reset_report_slot_failure(err);
     }
     ...>
 }
