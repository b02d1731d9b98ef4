/*
 * GUIDs as firmware tables have them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_GUID_H
#define KVM_RESET_GUID_H

#include <array>
#include <cstdint>
#include <cstring>

namespace kvm_reset {

/*
 * The 16 bytes in memory: of the text's five groups the first three are
 * numbers in little endian (UEFI specification, appendix A).
 */
struct Guid {
    std::array<uint8_t, 16> bytes{};

    /* @text as in "96b582de-1fb2-45f7-baea-a366c55a082d". */
    static consteval Guid of(const char (&text)[37])
    {
        constexpr uint8_t order[16] = {3, 2, 1,  0,  5,  4,  7,  6,
                                       8, 9, 10, 11, 12, 13, 14, 15};
        Guid guid;
        unsigned digits = 0;

        for (unsigned i = 0; i < 36; i++) {
            if (text[i] == '-') {
                continue;
            }
            uint8_t &byte = guid.bytes[order[digits / 2]];
            byte = uint8_t(byte << 4 | digit(text[i]));
            digits++;
        }
        return guid;
    }

    static Guid at(const uint8_t *from)
    {
        Guid guid;
        memcpy(guid.bytes.data(), from, guid.bytes.size());
        return guid;
    }

    bool operator==(const Guid &) const = default;

private:
    static consteval unsigned digit(char c)
    {
        return c <= '9' ? c - '0' : c - 'a' + 10;
    }
};

} /* namespace kvm_reset */

#endif
