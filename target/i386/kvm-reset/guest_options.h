/*
 * The options by which a user says what a guest is made of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_GUEST_OPTIONS_H
#define KVM_RESET_GUEST_OPTIONS_H

#include <optional>

#include "igvm_model.h"
#include "input_files.h"
#include "option_words.h"

namespace kvm_reset {

/*
 * The signature, by --vcpu-type, by --vcpu-sig, or by --vcpu-family,
 * --vcpu-model and --vcpu-stepping; none: none of them was said.  EINVAL: two
 * of the three ways; a model or a number that is not known.
 */
Result<std::optional<uint32_t>> signature_option(const OptionWords &said);

/* --kernel, --initrd and --append.  EINVAL: one of these without --kernel. */
Result<KernelFiles> kernel_options(const OptionWords &said);

/*
 * --vcpus, --memory, --reset-vcpus and the signature: the guest that an IGVM
 * file is tried for, but for its platform.
 */
Result<void> model_options(const OptionWords &said, IgvmModel &model);

} /* namespace kvm_reset */

#endif
