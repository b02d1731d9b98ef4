/*
 * Everything that KVM lets one read of a VM and its vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef AUDIT_READBACK_H
#define AUDIT_READBACK_H

#include "objects.h"

namespace audit {

/*
 * Writes a "read" line for each thing that can be read of @vm.  The guest
 * must be stopped.  On a thread of the process that owns the VM.
 */
void read_back(Objects &objects, unsigned vm);

} /* namespace audit */

#endif
