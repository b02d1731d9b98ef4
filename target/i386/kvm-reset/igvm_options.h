/*
 * kvm-reset-igvm: what its command line asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_I386_KVM_RESET_IGVM_OPTIONS_H
#define TARGET_I386_KVM_RESET_IGVM_OPTIONS_H

#include <optional>
#include <span>
#include <string>

#include "igvm_model.h"
#include "igvm_wrap.h"
#include "input_files.h"

namespace kvm_reset {

struct IgvmOptions {
    enum class Command {
        Help,
        Inspect,
        Check,
        Wrap,
    };

    Command command = Command::Help;
    std::string file; /* read; by Wrap, written */
    /* Check; without a platform, each that the file is for. */
    std::optional<igvm::Platform> platform;
    IgvmModel model;
    /* Wrap; without firmware and kernel, whose files are these. */
    IgvmWrap wrap;
    std::string ovmf;
    KernelFiles kernel;
};

/* @arguments as main() has them, without the program's name. */
Result<IgvmOptions> parse_igvm_options(std::span<char *const> arguments);

/* A text of several lines. */
extern const char igvm_help[];

} /* namespace kvm_reset */

#endif
