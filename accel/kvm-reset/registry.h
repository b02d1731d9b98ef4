/*
 * The registry of hooks: what devices and subsystems do at a rebirth because
 * their state is in no ioctl
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A hook names itself, its owner, the phases it wants and the hooks it must
 * come after.  It returns an error, it does not exit: a failing hook aborts the
 * rebirth, and those that have run are undone in reverse.
 */

#ifndef KVM_RESET_REGISTRY_H
#define KVM_RESET_REGISTRY_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "error.h"

namespace kvm_reset {

enum class Phase : uint8_t {
    Quiesce,   /* the guest is stopped, the old VM is still in place */
    NewVm,     /* the new VM is in place, with its vCPUs */
    BeforeRun, /* devices are reset, the guest is about to run; no way back */
    Aborted,   /* the old VM is in place again, or still */
};

constexpr unsigned phase_count = 4;
const char *to_string(Phase phase);

struct Hook {
    std::string name; /* unique for each owner */
    /* Whose it is, compared and not looked into, and what to call that. */
    const void *owner = nullptr;
    std::string owner_name{};
    std::vector<std::string> after{};
    std::vector<Phase> phases{};
    /*
     * Whether it also runs at a rebirth that preserves the guest: one that no
     * reset of devices follows.
     */
    bool preserves = false;
    std::function<Result<void>(Phase)> run;
    /* Puts back what run() did in that phase; may be empty. */
    std::function<void(Phase)> undo{};

    /* Its name, and the owner's. */
    std::string full_name() const;
};

/* Used under QEMU's big lock, or by one thread. */
class Registry {
public:
    /*
     * EINVAL: no name, no phase or nothing to run; EEXIST: its owner has one
     * of that name; ELOOP: the hooks could not be put in order, and @hook is
     * not added.  A name in @after that nobody has is no error: that subsystem
     * is not there.
     */
    Result<void> add(Hook hook);
    /* Whether there was one. */
    bool remove_owned(const void *owner);

    /*
     * Runs the hooks of @phase in order.  On failure those of this phase
     * that ran are undone, and the error names the hook.
     */
    Result<void> run(Phase phase, bool preserving = false);
    /*
     * Runs the hooks of Phase::Aborted.  Each of them hears that the VM was
     * put back, whatever an earlier one says; none is undone; the error has
     * what all of them said.
     */
    Result<void> tell_aborted(bool preserving = false);
    /* Undoes @phase, in reverse, where run() had succeeded. */
    void undo(Phase phase, bool preserving = false);

    /* For a hook that runs: whether the guest is preserved. */
    bool preserving() const { return preserving_; }

    /* In the order in which they run. */
    const std::vector<Hook> &hooks() const { return hooks_; }

private:
    static Result<void> run_one(const Hook &hook, Phase phase);
    bool wants(const Hook &hook, Phase phase) const;
    void undo_first(size_t count, Phase phase);

    std::vector<Hook> hooks_;
    bool preserving_ = false; /* as those that ran last were told */
};

} /* namespace kvm_reset */

#endif
