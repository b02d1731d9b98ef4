/*
 * Which calls an audit writes down, by the ioctl's name alone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On purpose this does not ask the catalogue what an ioctl means: an audit is
 * there to find what the catalogue has wrong.
 */

#ifndef AUDIT_INTEREST_H
#define AUDIT_INTEREST_H

#include <string_view>

namespace audit {

enum class Interest {
    Count,  /* changes nothing, or is over when it returns */
    Record, /* all others, and every ioctl without a name */
};

/* @name: as in <linux/kvm.h>; empty for an ioctl that nobody knows. */
Interest interest(std::string_view name);

/*
 * Whether only a VMM that runs a vCPU issues it, never one that prepares a VM
 * from a record: says which of several VMs is in use.
 */
bool shows_use(std::string_view name);

} /* namespace audit */

#endif
