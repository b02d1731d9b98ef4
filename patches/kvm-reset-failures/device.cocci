// SPDX-License-Identifier: GPL-2.0-or-later
//
// Interrupt controllers and timers in the kernel. What comes after the ioctl is
// of use only when that worked.

@@
expression ret, request, object;
expression list args, es;
@@
 ret = kvm_vm_ioctl(object, request, args);
 if (ret < 0) {
     fprintf(es);
-    abort();
+    kvm_reset_report_ioctl_failure(request, ret);
+    return;
 }

@@
expression ret, request, object;
expression list args, es;
@@
 ret = kvm_vcpu_ioctl(object, request, args);
 if (ret < 0) {
     fprintf(es);
-    abort();
+    kvm_reset_report_ioctl_failure(request, ret);
+    return;
 }
