/*
 * A machine for the secure processor, made of arrays
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It does what sev-lab.h promises of the emulated one, less the CPU: a test
 * says what the CPUs did.
 */

#ifndef LAB_FAKE_HOST_H
#define LAB_FAKE_HOST_H

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

extern "C" {
#include "host.h"
}

namespace lab {

using Bytes = std::span<const uint8_t>;
using Key = std::array<uint8_t, PSP_KEY_SIZE>;

class FakeHost {
public:
    explicit FakeHost(size_t ram_size);
    ~FakeHost();
    FakeHost(const FakeHost &) = delete;
    FakeHost &operator=(const FakeHost &) = delete;

    PspHost interface();

    /* What a CPU without any key sees and writes. */
    std::vector<uint8_t> at(uint64_t spa, size_t size) const;
    void put(uint64_t spa, Bytes bytes);
    template <class T> void put_as(uint64_t spa, const T &value)
    {
        put(spa, {reinterpret_cast<const uint8_t *>(&value), sizeof(value)});
    }
    template <class T> T get_as(uint64_t spa) const
    {
        T value{};
        auto bytes = at(spa, sizeof(value));
        std::copy(bytes.begin(), bytes.end(),
                  reinterpret_cast<uint8_t *>(&value));
        return value;
    }
    /* What the guest with this ASID sees. */
    std::vector<uint8_t> seen_by(uint32_t asid, uint64_t spa, size_t size);

    PspRmp &rmp(uint64_t spa) { return rmp_[spa / 4096]; }
    bool logged(const std::string &words) const;

    std::span<uint8_t> ram;
    std::map<uint32_t, Key> keys;                   /* by ASID */
    std::set<uint32_t> dirty;                       /* ASIDs */
    std::map<uint64_t, std::vector<uint8_t>> vmsas; /* sealed, as plaintext */
    bool written_back = true;
    bool snp_enabled = true;
    bool rmp_alike = true;
    bool enforced = false;
    std::array<uint32_t, 4> cpuid = {0xffffffff, 0xffffffff, 0xffffffff,
                                     0xffffffff};
    std::vector<std::string> log;

private:
    friend struct FakeCalls;
    std::map<uint64_t, PspRmp> rmp_; /* by page's number */
    uint64_t random_ = 1;
};

} // namespace lab

#endif
