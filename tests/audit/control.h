/*
 * What the audit asks of the recorder while QEMU runs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef AUDIT_CONTROL_H
#define AUDIT_CONTROL_H

#include "recorder.h"

namespace audit {

/*
 * Listens, on a thread of its own, on the fd that KVM_AUDIT_CONTROL numbers.
 * Each line is "mark NAME", when the guest is stopped: the record gets a mark
 * of that name and what can be read back of the VM in use; or "note NAME",
 * when it is not: only the mark.  The answer is "ok".  The recorder must live
 * as long as the process.
 */
void start_control(Recorder &recorder);

} /* namespace audit */

#endif
