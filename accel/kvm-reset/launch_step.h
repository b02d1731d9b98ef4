/*
 * One step of a confidential launch, kept to be taken again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A step is copied before the kernel sees it, because the kernel encrypts
 * some of it in place.  It is immutable then, and held once.
 */

#ifndef KVM_RESET_LAUNCH_STEP_H
#define KVM_RESET_LAUNCH_STEP_H

#include <array>
#include <memory>

#include "error.h"
#include "kernel.h"
#include "launch_command.h"
#include "secret_memory.h"
#include "sub_command.h"

namespace kvm_reset {

class LaunchStep final : public SubCommand {
public:
    /*
     * Copies what @command says that lies at @arg, the third argument of the
     * ioctl.  ENOMEM; EFAULT, where the kernel would say so too.
     */
    static Result<LaunchStep> copy(Kernel &kernel, const LaunchCommand &command,
                                   uintptr_t arg);

    /* No argument: only that there was such a step. */
    static LaunchStep mark(const LaunchCommand &command);

    /* What its first pointer points to goes to @address when it is taken. */
    void put_at(uint64_t address) { addresses_[0] = address; }

    const LaunchCommand &command() const { return *command_; }

    /*
     * Cuts the step down to what the kernel did of it, which it has written
     * to @arg.  Returns whether it did anything.
     */
    bool keep_done(Kernel &kernel, uintptr_t arg);

    /* Fields of the argument; what a pointer of it pointed to. */
    uint64_t read(Field field) const;
    std::span<const uint8_t> argument() const { return argument_.bytes(); }
    std::span<const uint8_t> pointed(unsigned index = 0) const
    {
        return pointed_[index].bytes();
    }
    /* The command's own fields: @flags of a TDX command. */
    uint64_t read_header(Field field) const;

    /* What is encrypted in place is put back there first. */
    Result<void> take(Kernel &kernel, int fd, Answer *answer) const override;
    const char *name() const override { return command_->name; }
    size_t footprint() const override;

private:
    using Header = std::array<uint8_t, launch_header_size>;

    explicit LaunchStep(const LaunchCommand &command) : command_(&command) {}

    Result<SecretMemory> read_pointed(Kernel &kernel);
    Result<void> restore(Kernel &kernel) const;
    Result<void> issue(Kernel &kernel, int fd, Header &header,
                       SecretMemory &argument) const;

    const LaunchCommand *command_;
    Header header_{};
    SecretMemory argument_;
    std::array<SecretMemory, 2> pointed_;
    std::array<uint64_t, 2> addresses_{}; /* where userspace had it */
};

using LaunchStepPtr = std::shared_ptr<const LaunchStep>;

} /* namespace kvm_reset */

#endif
