/*
 * What of a TDX firmware image goes where in a TD
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Intel TDX Virtual Firmware Design Guide, "TDVF metadata".
 */

#ifndef KVM_RESET_TDVF_H
#define KVM_RESET_TDVF_H

#include <cstdint>
#include <vector>

#include "error.h"
#include "ovmf.h"

namespace kvm_reset {

struct TdvfSection {
    enum Type : uint32_t {
        BootFirmware = 0,
        Configuration = 1,
        Hob = 2, /* what QEMU writes there is not measured */
        TemporaryMemory = 3,
    };

    uint32_t type;
    bool measured;    /* MR.EXTEND: by its contents too */
    uint64_t address; /* in the guest */
    uint64_t size;    /* whole pages */
    Bytes data;       /* in the image; empty: zeros */
};

/* In the order in which they are launched; the image stays the caller's. */
Result<std::vector<TdvfSection>> tdvf_sections(const Ovmf &ovmf);

} /* namespace kvm_reset */

#endif
