/*
 * Naming a code address for a message
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_CODE_ADDRESS_H
#define KVM_RESET_CODE_ADDRESS_H

#include <string>

namespace kvm_reset {

/*
 * "function+0x1c" where the dynamic linker knows the function, else
 * "program+0x4f1a2c", which addr2line understands; empty for nullptr.
 */
std::string describe_code_address(const void *address);

} /* namespace kvm_reset */

#endif
