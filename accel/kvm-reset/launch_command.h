/*
 * What a sub-command of KVM_MEMORY_ENCRYPT_OP says and does
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM_MEMORY_ENCRYPT_OP is a family of its own: its argument is a command of
 * 24 bytes with a number and, mostly, a pointer to the command's own argument,
 * which may point further.  Which numbers there are depends on the CPU's
 * vendor; target/ARCH/kvm-reset/ has them as a table of these.
 */

#ifndef KVM_RESET_LAUNCH_COMMAND_H
#define KVM_RESET_LAUNCH_COMMAND_H

#include <array>
#include <cstdint>

#include "catalogue.h"
#include "field_of.h"
#include "kvm_abi.h"

namespace kvm_reset {

enum class LaunchEffect : uint8_t {
    Query,   /* asks; never recorded */
    Define,  /* what the guest is; replayed where it was first said */
    Step,    /* a step of the launch; replayed after all definitions */
    Finish,  /* the last step: the guest is locked from now on */
    Secret,  /* the owner's secret; never kept, it must come again */
    Foreign, /* cannot be replayed */
};

const char *to_string(LaunchEffect effect);

enum class LaunchPointing : uint8_t {
    To,      /* the kernel reads what is there */
    InPlace, /* … and changes it there: guest memory that gets encrypted */
    From,    /* the kernel writes there */
};

/* A pointer in the command's argument. */
struct LaunchPointer {
    uint16_t offset = 0;
    Field length = {}; /* width 0: @unit bytes */
    uint32_t unit = 0; /* bytes per unit of length; 0: no pointer */
    Field when = {};   /* there only if this field … */
    bool equal = true; /* … equals, or does not equal, @is; */
    uint64_t is = 0;   /* width 0: always */
    LaunchPointing pointing = LaunchPointing::To;
    /* If this field equals that, the kernel may write over what it reads. */
    Field copy_when = {};
    uint64_t copy_is = 0;
};

/*
 * The answer by which the kernel says that it could not do it now.  It is no
 * failure, unless it comes @most times in a row.
 */
struct NotReady {
    int error = 0; /* 0: there is no such answer */
    unsigned most = 0;
    uint64_t pause = 0;           /* before it is asked again, in ns */
    bool firmware_silent = false; /* only with no error of the firmware's */
    const char *why = nullptr;    /* for who reads that it came too often */
};

struct LaunchCommand {
    const char *name = nullptr; /* as in <asm/kvm.h> */
    uint32_t id = 0;
    FdClass on = FdClass::Vm;
    LaunchEffect effect = LaunchEffect::Foreign;
    uint16_t size = 0; /* bytes of what data points to; 0: nothing */
    Tail tail = {};
    bool data_is_value = false; /* data is a number, not a pointer */
    bool no_ioctl = false;      /* to write where it points is all of it */
    std::array<LaunchPointer, 2> pointers = {};
    /*
     * The kernel may do a part, say how much is left here, and be called
     * again: with 0, EAGAIN or EINTR.
     */
    Field left = {};
    NotReady not_ready = {};
    Field error = {}; /* the firmware's own error, in the command */
    const char *note = nullptr;
};

/* Bytes of the command, and where the fields are that all have (x86). */
constexpr size_t launch_header_size = sizeof(abi::kvm_sev_cmd);
constexpr Field launch_id = field_of(&abi::kvm_sev_cmd::id);
constexpr Field launch_data = field_of(&abi::kvm_sev_cmd::data);
static_assert(launch_header_size == sizeof(abi::kvm_tdx_cmd) &&
              launch_id.offset == offset_of(&abi::kvm_tdx_cmd::id) &&
              launch_data.offset == offset_of(&abi::kvm_tdx_cmd::data));

} /* namespace kvm_reset */

#endif
