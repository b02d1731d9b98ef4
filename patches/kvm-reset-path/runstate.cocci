// SPDX-License-Identifier: GPL-2.0-or-later
//
// The new VM comes after the vCPUs were read and before devices are reset. A
// guest that keeps its old VM keeps the slots that were launched into.

@@
typedef ResetType, KvmResetOutcome;
symbol reason;
@@
 qemu_system_reset(...)
 {
     ...
     ResetType type;
+    KvmResetOutcome vm;
     ...
     kvm_reset_failures_begin(reason);
+    vm = kvm_reset_begin(reason);
+    if (vm == KVM_RESET_REFUSED) {
+        return;
+    }
     ...
 }
