/*
 * A call whose argument no row can describe
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_MEMORY_ENCRYPT_OP is a family of its own: the argument has the number of
 * a sub-command, which says what lies where.  An entry of such a call has the
 * sub-command in place of an argument, and has it issue itself.
 */

#ifndef KVM_RESET_SUB_COMMAND_H
#define KVM_RESET_SUB_COMMAND_H

#include <array>
#include <cstddef>
#include <memory>

#include "error.h"
#include "kernel.h"
#include "secret_memory.h"

namespace kvm_reset {

/* What KVM wrote as it took a sub-command. */
struct Answer {
    const char *name = nullptr;            /* the sub-command's */
    SecretMemory argument;                 /* as KVM left it */
    std::array<SecretMemory, 2> pointed{}; /* … where it wrote */
};

/* Immutable, and held once. */
class SubCommand {
public:
    virtual ~SubCommand() = default;

    /* "KVM_SEV_SNP_LAUNCH_UPDATE": for people. */
    virtual const char *name() const = 0;

    /*
     * Issues it on @fd, the VM or vCPU that stands for the one it was issued
     * on.  Nothing is copied out for @answer unless it is there.
     */
    virtual Result<void> take(Kernel &kernel, int fd, Answer *answer) const = 0;

    /* Bytes of memory held. */
    virtual size_t footprint() const = 0;
};

using SubCommandPtr = std::shared_ptr<const SubCommand>;

} /* namespace kvm_reset */

#endif
