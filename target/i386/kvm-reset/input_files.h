/*
 * The files that a guest is made of, as the programs for owners read them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_INPUT_FILES_H
#define KVM_RESET_INPUT_FILES_H

#include <optional>
#include <string>
#include <vector>

#include "error.h"
#include "kernel_hashes.h"

namespace kvm_reset {

/* A file, by the option that named it: "--ovmf"; "": by none. */
struct InputFile {
    std::string option;
    std::string path;

    std::string describe() const
    {
        return option.empty() ? path : option + " " + path;
    }
};

/* All of it, but not much more than @most bytes, which somebody will refuse. */
Result<std::vector<uint8_t>> read_whole(const InputFile &file, size_t most);

/* Far more than a launch may take. */
constexpr size_t most_igvm_file = 1 << 30;

/* What QEMU gets by -kernel, -initrd and -append. */
struct KernelFiles {
    std::optional<std::string> kernel, initrd, append;
};

/* Would QEMU hash that kernel? */
Result<void> check_kernel_file(const KernelFiles &files);

/* Of a kernel that there is. */
Result<KernelHashes> hash_kernel(const KernelFiles &files);

} /* namespace kvm_reset */

#endif
