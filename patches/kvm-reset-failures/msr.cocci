// SPDX-License-Identifier: GPL-2.0-or-later
//
// KVM says how many MSRs it took. Fewer is no errno.

@@
expression ret;
@@
 kvm_put_apicbase(...)
 {
     ...
-    assert(ret == 1);
+    if (ret != 1) {
+        kvm_reset_report_failure("MSR_IA32_APICBASE", ret);
+    }
 }

@@
identifier put = { kvm_put_tscdeadline_msr, kvm_put_msr_feature_control };
expression ret;
@@
 put(...)
 {
     ...
-    assert(ret == 1);
-    return 0;
+    return ret == 1 ? 0 : -EINVAL;
 }

@@
identifier all = { kvm_buf_set_msrs, kvm_get_msrs };
expression ret, n;
@@
 all(...)
 {
     <...
-    assert(ret == n);
+    if (ret != n) {
+        return -EINVAL;
+    }
     ...>
 }
