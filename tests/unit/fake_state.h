/*
 * The volatile state of a fake VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keeps what it is told and tells it again, piece by piece, of each object;
 * what a piece means it does not know.
 */

#ifndef TESTS_UNIT_FAKE_STATE_H
#define TESTS_UNIT_FAKE_STATE_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

class FakeState {
public:
    /* nullopt: @request is none that reads or puts a piece of state. */
    std::optional<int> ioctl(const std::string &role, uint32_t request,
                             uintptr_t arg);

    /* By object and piece, or register. */
    using Values =
        std::map<std::pair<std::string, std::string>, std::vector<uint8_t>>;
    const Values &values() const { return values_; }

private:
    int registers(const std::string &role, bool put, uintptr_t arg);

    Values values_;
};

/* The registers that a fake vCPU has. */
std::vector<uint32_t> fake_registers();

#endif
