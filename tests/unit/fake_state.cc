/*
 * The volatile state of a fake VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_state.h"

#include <algorithm>
#include <cstring>

#include "state_pieces.h"

using namespace kvm_reset;

std::vector<uint32_t> fake_registers()
{
    return {0x10, 0x3a, 0x174, 0x6e0, 0x200, 0x38f, 0xc0000102, 0x4b564d01};
}

static uint8_t *at(uintptr_t address)
{
    return reinterpret_cast<uint8_t *>(address);
}

/* As KVM does, up to the first that it does not know. */
int FakeState::registers(const std::string &role, bool put, uintptr_t arg)
{
    std::vector<uint32_t> known = fake_registers();
    uint32_t count;

    memcpy(&count, at(arg), 4);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = at(arg) + 8 + i * 16;
        uint32_t index;
        memcpy(&index, entry, 4);
        if (!put && std::ranges::find(known, index) == known.end()) {
            return int(i);
        }
        auto &value = values_[{role, "register " + std::to_string(index)}];
        value.resize(8);
        if (put) {
            value.assign(entry + 8, entry + 16);
        } else {
            memcpy(entry + 8, value.data(), 8);
        }
    }
    return int(count);
}

std::optional<int> FakeState::ioctl(const std::string &role, uint32_t request,
                                    uintptr_t arg)
{
    FdClass on = role == "vm" ? FdClass::Vm : FdClass::Vcpu;

    for (const StatePiece &piece : x86_state_pieces()) {
        bool put = request == piece.set;
        if (piece.on != on || (!put && request != piece.get)) {
            continue;
        }
        if (piece.form == PieceForm::Registers) {
            return registers(role, put, arg);
        }
        uintptr_t from = arg;
        if (piece.form == PieceForm::Attribute) {
            memcpy(&from, at(arg) + 16, 8);
        }
        uint64_t selected = read_field({at(arg), piece.size}, piece.selector);
        if (piece.selector.width && selected != piece.selected) {
            continue;
        }
        auto &value = values_[{role, piece.name}];
        value.resize(piece.size);
        if (put) {
            value.assign(at(from), at(from) + piece.size);
        } else {
            write_field(value, piece.selector, piece.selected);
            memcpy(at(from), value.data(), piece.size);
        }
        return 0;
    }
    return std::nullopt;
}
