/*
 * A piece of a guest's volatile state: how it is read from one VM and put
 * into another
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One declarative row for each thing that KVM lets one read and write of a VM
 * or a vCPU that runs.  The table is the architecture's (arch.h) and is in the
 * order in which KVM wants the pieces put.
 */

#ifndef KVM_RESET_STATE_PIECE_H
#define KVM_RESET_STATE_PIECE_H

#include <cstdint>
#include <vector>

#include "argument.h"
#include "catalogue.h"
#include "error.h"
#include "journal.h"
#include "kernel.h"

namespace kvm_reset {

enum class PieceForm : uint8_t {
    Struct,    /* what one ioctl fills in, the other takes */
    Sized,     /* the same, and KVM_CHECK_EXTENSION says how many bytes */
    Attribute, /* KVM_GET_DEVICE_ATTR and KVM_SET_DEVICE_ATTR, 8 bytes */
    Registers, /* by index: KVM_GET_MSRS and KVM_SET_MSRS */
    Clock,     /* goes on while it is carried */
};

struct StatePiece {
    const char *name;
    FdClass on; /* Vm or Vcpu */
    PieceForm form;
    uint32_t get, set; /* ioctls */
    uint32_t size = 0; /* of the argument; the least, if it is Sized */
    /* What the argument says before it is filled in: which chip, which type. */
    Field selector{};
    uint64_t selected = 0;
    /* Sized: where the argument says how much room it has. */
    Field room{};
    uint32_t cap = 0;      /* only with this capability … */
    uint32_t unless = 0;   /* … and only without this one */
    uint32_t needs = 0;    /* only for a VM of whose definition this ioctl is */
    bool fallback = false; /* only if KVM has not the row before this one */
    bool first = false;    /* read before the others, which it changes */
    /*
     * Acts by itself, and in the guest's memory, which both VMs have: where it
     * was read it then gets what a new VM has.
     */
    bool autonomous = false;
    /* Put only if it differs from what a new VM has: KVM may refuse it. */
    bool if_differs = false;
    int none = 0; /* errno of @get: there is none, which is as it should be */
    /* Registers: which ones, in the order in which they are put. */
    Result<std::vector<uint32_t>> (*indices)(Kernel &kernel,
                                             int system) = nullptr;
    /* Adds what @get does not say, out of the guest's memory. */
    Result<void> (*amend)(Kernel &kernel, const Snapshot &snapshot,
                          std::vector<uint8_t> &value) = nullptr;
};

} /* namespace kvm_reset */

#endif
