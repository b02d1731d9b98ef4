/*
 * The volatile state of a fake VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_state.h"

#include <algorithm>
#include <cstring>

#include "kvm_abi.h"
#include "state_pieces.h"
#include "user_memory.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

std::vector<uint32_t> fake_registers()
{
    return {0x10,  0x3a,       0x174,      0x6e0,     0x200,
            0x38f, 0xc0000102, 0x4b564d01, 0x40000000};
}

static uint8_t *at(uintptr_t address)
{
    return reinterpret_cast<uint8_t *>(address);
}

/* As KVM does, up to the first that it does not know. */
int FakeState::registers(const std::string &role, bool put, uintptr_t arg)
{
    std::vector<uint32_t> known = fake_registers();
    auto &msrs = user<kvm_msrs>(arg);

    for (uint32_t i = 0; i < msrs.nmsrs; i++) {
        kvm_msr_entry &msr = after<kvm_msr_entry>(msrs)[i];
        if (!put && std::ranges::find(known, msr.index) == known.end()) {
            return int(i);
        }
        auto &value = values_[{role, "register " + std::to_string(msr.index)}];
        value.resize(sizeof(msr.data));
        if (put) {
            memcpy(value.data(), &msr.data, sizeof(msr.data));
        } else {
            memcpy(&msr.data, value.data(), sizeof(msr.data));
        }
    }
    return int(msrs.nmsrs);
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
            from = user<kvm_device_attr>(arg).addr;
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
