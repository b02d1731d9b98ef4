/*
 * A few bytes of real-mode code for guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Enough to do to a VM what shows how it is defined.  A guest ends by writing
 * its result to port 0xf4, since with KVM's own interrupt controller HLT does
 * not leave the kernel.
 */

#ifndef TESTS_KVM_GUEST_CODE_H
#define TESTS_KVM_GUEST_CODE_H

#include <cstdint>
#include <initializer_list>
#include <vector>

class Code {
public:
    static constexpr uint16_t end_port = 0xf4;

    /* out %dx of one byte */
    Code &out(uint16_t port, uint8_t value)
    {
        return emit({0xba, low(port), high(port), 0xb0, value, 0xee});
    }

    /* A byte at @address, below 1 MiB; uses %ds. */
    Code &store(uint32_t address, uint8_t value)
    {
        segment(address);
        return emit({0xc6, 0x06, low(address & 15), 0, value});
    }

    /* The byte at @address goes to %eax. */
    Code &load(uint32_t address)
    {
        segment(address);
        return emit({0x66, 0x31, 0xc0, /* xor %eax, %eax */
                     0xa0, low(address & 15), 0});
    }

    /* Leaf @leaf's EAX goes to %eax. */
    Code &cpuid(uint32_t leaf)
    {
        emit({0x66, 0xb8}).emit32(leaf);
        return emit({0x66, 0x31, 0xc9, 0x0f, 0xa2});
    }

    /* The low half of the MSR goes to %eax. */
    Code &rdmsr(uint32_t index)
    {
        emit({0x66, 0xb9}).emit32(index);
        return emit({0x0f, 0x32});
    }

    /* Ends with %eax as the result. */
    Code &end() { return emit({0x66, 0xe7, uint8_t(end_port)}); }

    const std::vector<uint8_t> &bytes() const { return bytes_; }

private:
    static uint8_t low(uint32_t value) { return value & 0xff; }
    static uint8_t high(uint32_t value) { return value >> 8 & 0xff; }

    Code &emit(std::initializer_list<uint8_t> bytes)
    {
        for (uint8_t byte : bytes) {
            bytes_.push_back(byte);
        }
        return *this;
    }

    Code &emit32(uint32_t value)
    {
        return emit(
            {low(value), high(value), low(value >> 16), high(value >> 16)});
    }

    void segment(uint32_t address)
    {
        uint32_t ds = address >> 4;
        emit({0xb8, low(ds), high(ds), 0x8e, 0xd8});
    }

    std::vector<uint8_t> bytes_;
};

#endif
