/*
 * A guest with two vCPUs on a fake KVM that keeps state, for the tests of what
 * becomes of that state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_STATEFUL_GUEST_H
#define KVM_RESET_STATEFUL_GUEST_H

#include <gtest/gtest.h>

#include "guest.h"

namespace kvm_reset {

class StatefulGuest : public ::testing::Test {
protected:
    Guest guest;
    std::vector<int> vcpus;
    void *page = nullptr; /* the last vCPU's run page */
    int eventfd = -1;

    void SetUp() override { guest.kernel.keeps_state = true; }

    void define()
    {
        guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP);
        guest.slot(0, 0x100000);
        for (unsigned id = 0; id < 2; id++) {
            vcpus.push_back(guest.vcpu(id));
            page = guest.map(vcpus.back());
        }
        eventfd = guest.kernel.eventfd();
        guest.irqfd(eventfd, 5);
    }

    /* Whether the VM in place has that state. */
    ::testing::AssertionResult is(const FakeState::Values &expected)
    {
        auto values = guest.kernel.state(guest.vm);
        for (const auto &[what, value] : expected) {
            if (values[what] != value) {
                return ::testing::AssertionFailure()
                    << what.second << " of " << what.first << " is another";
            }
        }
        return ::testing::AssertionSuccess();
    }

    Result<Durations> move()
    {
        Result<void> ready = guest.preserve.prepare();
        return ready ? guest.preserve.run() : std::unexpected(ready.error());
    }

    Result<Durations> detach(bool by_fd = false)
    {
        Result<void> ready = guest.detach.prepare(by_fd);
        return ready ? guest.detach.detach() : std::unexpected(ready.error());
    }
};

} /* namespace kvm_reset */

#endif
