/*
 * A guest that gets a new VM at a reset is launched again on it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "relaunch.h"

#include <cerrno>

#include "measuring.h"

namespace kvm_reset {

bool is_full(const Error &error)
{
    return error.code == ENOSPC || error.code == EBUSY || error.code == ENOMEM;
}

Result<void> Relaunch::ahead()
{
    PreparedVm &vm = transaction_.vm();

    plan_ = transaction_.definition().plan.without_owner();
    if (vm.measured()) {
        return compare(*vm.measured());
    }
    Measuring measuring(transaction_.definition());
    Result<void> done;
    if (!plan_.in_place() && plan_.state() != LaunchState::None) {
        Timer timer(generations_.recorder(), "launch",
                    transaction_.timing().launch);
        done = vm.launch(generations_.recorder().kernel(), plan_);
        outcome_.refused = !done && !is_full(done.error());
    }
    if (done) {
        done = compare(measuring.wait());
    }
    return done;
}

Result<void> Relaunch::check()
{
    return compare(Measuring(transaction_.definition()).wait());
}

Result<void> Relaunch::compare(const Result<LaunchMeasurement> &now)
{
    std::optional<LaunchMeasurement> expected =
        transaction_.frozen().expected_measurement();

    outcome_.measured = now ? std::optional(*now) : std::nullopt;
    if (!expected || !generations_.same_measurement_required() ||
        outcome_.measured == expected) {
        return {};
    }
    if (auto plugged = plugged_vcpu(transaction_.definition())) {
        return refuse(EBADMSG,
                      "%s came after the guest was launched, and the next "
                      "launch would measure that vCPU, too: start QEMU with "
                      "all that the guest is to have",
                      plugged->c_str());
    }
    return fail(EBADMSG,
                "the guest was measured as %s when %s, and would now be as %s",
                expected->digest.c_str(),
                transaction_.definition().other ? "its next launch was brought"
                                                : "it was launched first",
                now ? now->digest.c_str() : now.error().what.c_str());
}

Result<void> Relaunch::finish()
{
    if (plan_.in_place()) {
        if (Result<void> done = launch_in_place(); !done) {
            return done;
        }
    }
    transaction_.frozen().launched(std::move(plan_));
    return {};
}

/*
 * What the old VM has encrypted is written over.  Its regions were taken away
 * by then, since what its vCPUs left in the caches could reach the memory later
 * than what is written now.
 */
Result<void> Relaunch::launch_in_place()
{
    Timer timer(generations_.recorder(), "launch",
                transaction_.timing().launch);
    Result<void> done = plan_.take(generations_.recorder().kernel(),
                                   transaction_.definition().fd_of(),
                                   generations_.answers());

    if (!done) {
        outcome_.lost = true;
        outcome_.refused = !is_full(done.error());
        done.error().what += "; guest memory is encrypted in place, so the "
                             "old VM had to go before that";
    }
    return done;
}

} /* namespace kvm_reset */
