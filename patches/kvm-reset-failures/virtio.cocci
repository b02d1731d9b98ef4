// SPDX-License-Identifier: GPL-2.0-or-later

@@
expression ret;
@@
 kvm_virtio_pci_irqfd_release(...)
 {
     ...
-    assert(ret == 0);
+    if (ret < 0) {
+        kvm_reset_report_failure("taking an irqfd away", ret);
+    }
 }
