/*
 * The architecture that this program was linked with
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "arch.h"

namespace kvm_reset {

static const Arch *registered;

bool register_arch(const Arch *arch)
{
    registered = arch;
    return true;
}

const Arch *arch()
{
    return registered;
}

} /* namespace kvm_reset */
