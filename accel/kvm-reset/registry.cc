/*
 * The registry of hooks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "registry.h"

#include <algorithm>
#include <cerrno>

namespace kvm_reset {

const char *to_string(Phase phase)
{
    switch (phase) {
    case Phase::Quiesce:
        return "quiesce";
    case Phase::NewVm:
        return "new-vm";
    case Phase::BeforeRun:
        return "before-run";
    case Phase::Aborted:
        return "aborted";
    }
    return "unknown";
}

std::string Hook::full_name() const
{
    return owner_name.empty() ? name : name + " (" + owner_name + ")";
}

/* Whether a hook of @hooks has to run before @hook. */
static bool must_wait(const Hook &hook, const std::vector<Hook> &hooks)
{
    return std::ranges::any_of(hooks, [&hook](const Hook &other) {
        return std::ranges::find(hook.after, other.name) != hook.after.end();
    });
}

/*
 * Moves hooks from @waiting to the result, the first that is free each time,
 * so that hooks without a constraint keep the order of registration.  What
 * is left in @waiting is in a cycle or behind one.
 */
static std::vector<Hook> put_in_order(std::vector<Hook> &waiting)
{
    std::vector<Hook> ordered;

    while (true) {
        auto free = std::ranges::find_if(waiting, [&](const Hook &hook) {
            return !must_wait(hook, waiting);
        });
        if (free == waiting.end()) {
            return ordered;
        }
        ordered.push_back(std::move(*free));
        waiting.erase(free);
    }
}

Result<void> Registry::add(Hook hook)
{
    if (hook.name.empty() || hook.phases.empty() || !hook.run) {
        return with_hint(fail(EINVAL,
                              "hook '%s' has no name, no phase or nothing to "
                              "run",
                              hook.full_name().c_str()),
                         "Fill in all three members of the hook.");
    }
    if (std::ranges::any_of(hooks_, [&hook](const Hook &other) {
            return other.name == hook.name && other.owner == hook.owner;
        })) {
        return with_hint(fail(EEXIST, "hook '%s' is registered already",
                              hook.full_name().c_str()),
                         "Register it once, or give the second one another "
                         "name or owner.");
    }

    std::string name = hook.full_name();
    std::vector<Hook> waiting = hooks_;
    waiting.push_back(std::move(hook));
    std::vector<Hook> ordered = put_in_order(waiting);

    if (!waiting.empty()) {
        std::string cycle;
        for (const Hook &stuck : waiting) {
            cycle += (cycle.empty() ? "" : ", ") + stuck.full_name();
        }
        return with_hint(fail(ELOOP,
                              "hook '%s' would wait for itself, among: %s",
                              name.c_str(), cycle.c_str()),
                         "Take a name out of the `after` of one of them.");
    }
    hooks_ = std::move(ordered);
    return {};
}

bool Registry::remove_owned(const void *owner)
{
    return std::erase_if(
        hooks_, [owner](const Hook &hook) { return hook.owner == owner; });
}

bool Registry::wants(const Hook &hook, Phase phase) const
{
    return std::ranges::find(hook.phases, phase) != hook.phases.end() &&
           (hook.preserves || !preserving_);
}

Result<void> Registry::run_one(const Hook &hook, Phase phase)
{
    Result<void> done = hook.run(phase);

    if (!done) {
        done.error().what = format("hook '%s' failed in phase %s: %s",
                                   hook.full_name().c_str(), to_string(phase),
                                   done.error().what.c_str());
    }
    return done;
}

Result<void> Registry::run(Phase phase, bool preserving)
{
    preserving_ = preserving;
    for (size_t i = 0; i < hooks_.size(); i++) {
        if (!wants(hooks_[i], phase)) {
            continue;
        }
        if (Result<void> done = run_one(hooks_[i], phase); !done) {
            undo_first(i, phase);
            return done;
        }
    }
    return {};
}

Result<void> Registry::tell_aborted(bool preserving)
{
    Result<void> all;

    preserving_ = preserving;
    for (const Hook &hook : hooks_) {
        if (!wants(hook, Phase::Aborted)) {
            continue;
        }
        Result<void> told = run_one(hook, Phase::Aborted);
        if (!told && all) {
            all = told;
        } else if (!told) {
            all.error().what += "; " + told.error().what;
        }
    }
    return all;
}

void Registry::undo(Phase phase, bool preserving)
{
    preserving_ = preserving;
    undo_first(hooks_.size(), phase);
}

void Registry::undo_first(size_t count, Phase phase)
{
    while (count-- > 0) {
        const Hook &hook = hooks_[count];
        if (wants(hook, phase) && hook.undo) {
            hook.undo(phase);
        }
    }
}

} /* namespace kvm_reset */
