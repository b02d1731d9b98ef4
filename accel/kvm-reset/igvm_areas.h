/*
 * The parameter areas of an IGVM file while it is executed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An area is memory of the host's.  The file says what the host fills in, and
 * where; then it inserts the area into the guest, and the area is gone.
 */

#ifndef KVM_RESET_IGVM_AREAS_H
#define KVM_RESET_IGVM_AREAS_H

#include "igvm_plan.h"

namespace kvm_reset {

/* How much memory beyond the guest's RAM a file has asked for so far. */
class IgvmMemory {
public:
    explicit IgvmMemory(uint64_t most) : most_(most) {}

    /* EFBIG: with what came before, it is more than a file may have. */
    Result<void> ask_for(const IgvmHeader &header, uint64_t bytes);

private:
    uint64_t most_, asked_ = 0;
};

class IgvmAreas {
public:
    struct Area {
        uint64_t size = 0;
        Bytes initial{};               /* in the file; empty: zeros */
        std::vector<uint8_t> filled{}; /* all of it, once something is */
        bool inserted = false;
        /* Parameters of other platforms may be in it, so it is told at last. */
        std::optional<Error> fault{};
    };

    /* All of these must outlive it. */
    IgvmAreas(const IgvmFile &file, const IgvmGuest &guest, IgvmMemory &memory)
        : file_(file), guest_(guest), memory_(memory)
    {}

    /* EINVAL: no whole pages, a number that is taken; EFBIG: too large. */
    Result<void> add(const IgvmHeader &header);

    /* EINVAL: no such area, or no such place in it; EFBIG: too much in all. */
    Result<void> fill(const IgvmHeader &header);

    /*
     * The area that @header inserts.  EINVAL: there is no such area any more,
     * or something of it could not be filled in.
     */
    Result<Area> take(const IgvmHeader &header);

private:
    Result<void> count(const IgvmHeader &header, uint64_t bytes);
    Result<Area *> find(const IgvmHeader &header, uint32_t index);

    const IgvmFile &file_;
    const IgvmGuest &guest_;
    IgvmMemory &memory_;
    std::map<uint32_t, Area> areas_;
    uint64_t filled_ = 0;
};

/* The contents of the memory map: an entry for each range, and the last. */
std::vector<uint8_t> igvm_memory_map(const IgvmGuest &guest);

} /* namespace kvm_reset */

#endif
