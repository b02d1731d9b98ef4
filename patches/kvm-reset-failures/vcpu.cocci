// SPDX-License-Identifier: GPL-2.0-or-later
//
// On the vCPU's own thread, to stop is to ask for it: a guest that is paused
// would be left as it is, and could be continued.

@@
@@
 do_kvm_cpu_synchronize_post_reset(...)
 {
     <...
-    vm_stop(RUN_STATE_INTERNAL_ERROR);
+    kvm_reset_report_vcpu_failure();
     ...>
 }
