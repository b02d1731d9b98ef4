// SPDX-License-Identifier: GPL-2.0-or-later

@@
expression ret;
expression list es;
@@
 kvm_set_irq(...)
 {
     ...
     if (ret < 0) {
         perror(es);
-        abort();
+        kvm_reset_report_failure("KVM_IRQ_LINE", ret);
+        return ret;
     }
     ...
 }

@@
expression ret;
@@
 kvm_irqchip_commit_routes(...)
 {
     ...
-    assert(ret == 0);
+    if (ret < 0) {
+        kvm_reset_report_failure("KVM_SET_GSI_ROUTING", ret);
+    }
 }
