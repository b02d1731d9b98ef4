/*
 * CRC-32, as Ethernet, zip and IGVM have it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_CRC32_H
#define KVM_RESET_CRC32_H

#include <array>
#include <cstdint>
#include <span>

namespace kvm_reset {

/* A checksum that is fed piece by piece. */
class Crc32 {
public:
    void update(std::span<const uint8_t> bytes)
    {
        uint32_t state = state_;
        for (uint8_t byte : bytes) {
            state = table[(state ^ byte) & 0xff] ^ state >> 8;
        }
        state_ = state;
    }

    uint32_t value() const { return ~state_; }

private:
    static constexpr std::array<uint32_t, 256> table = [] {
        std::array<uint32_t, 256> rows{};
        for (uint32_t i = 0; i < rows.size(); i++) {
            uint32_t row = i;
            for (int bit = 0; bit < 8; bit++) {
                row = row >> 1 ^ (row & 1 ? 0xedb88320 : 0);
            }
            rows[i] = row;
        }
        return rows;
    }();

    uint32_t state_ = ~0u;
};

} /* namespace kvm_reset */

#endif
