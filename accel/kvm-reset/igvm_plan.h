/*
 * What an IGVM file asks for, and of which guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Neutral data, between the file and whoever launches the guest: on which
 * platform, and by which commands of KVM, is the launcher's business.
 */

#ifndef KVM_RESET_IGVM_PLAN_H
#define KVM_RESET_IGVM_PLAN_H

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "igvm_file.h"
#include "memory_range.h"

namespace kvm_reset {

/* The guest that a file is executed against. */
struct IgvmGuest {
    /* Ascending, and apart from each other; the memory map says the same. */
    std::vector<MemoryRange> ram;
    /* Below 4 GiB: what the file puts here is memory that it brings along. */
    MemoryRange firmware;
    uint32_t vcpus = 1;
    /*
     * What the host fills in where the file asks for it, as it is in the
     * guest's memory.  VP count, memory map and environment info need not be
     * here.
     */
    std::map<igvm::Type, std::vector<uint8_t>> parameters;
    /* Bytes that the file may ask for beyond the guest's RAM. */
    uint64_t most_memory = 64 << 20;
    /* Bytes that may be copied for it: what is filled in, and the areas that it
     * is filled into. */
    uint64_t most_filled = 4 << 20;
    /* Bytes that it may have launched: the time is the host's. */
    uint64_t most_launched = 512 << 20;
};

enum class IgvmPages {
    Normal,     /* private, and measured by their contents */
    Zero,       /* the same, of zeros */
    Unmeasured, /* private, and measured by their place alone */
    Secrets,    /* … filled by the platform */
    Cpuid,      /* … filled by the host, and checked by the platform */
    Shared,     /* memory that the host sees */
};

const char *to_string(IgvmPages kind);

/* Whole pages of one kind, side by side. */
struct IgvmRegion {
    IgvmPages kind;
    uint64_t gpa;
    uint64_t size;
    Bytes data; /* in the file, or in one of the plan's areas; empty: zeros */
};

struct IgvmContext {
    igvm::VpContext context;
    IgvmHeader header;
};

/* The file's bytes must outlive it. */
struct IgvmPlan {
    uint32_t mask = 0;                 /* the platform's */
    std::vector<IgvmRegion> regions;   /* in the order of the launch */
    std::vector<IgvmContext> contexts; /* in the file's order; a vCPU once */
    std::optional<uint64_t> policy;
    std::optional<igvm::SnpIdBlock> id_block;
    /* Where something was filled in; @regions point into it. */
    std::vector<std::vector<uint8_t>> areas;
};

} /* namespace kvm_reset */

#endif
