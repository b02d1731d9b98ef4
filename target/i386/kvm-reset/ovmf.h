/*
 * The tables at the end of an OVMF image that a confidential launch needs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OVMF ends in a table of entries that are named by GUIDs and are read from
 * the end (edk2, OvmfPkg/ResetVector; QEMU, docs/specs/sev-guest-firmware.rst):
 * data, its length, its name; data, its length, its name; …
 * Nothing in a file is taken on trust: each function checks what it reads.
 */

#ifndef KVM_RESET_OVMF_H
#define KVM_RESET_OVMF_H

#include <cstdint>
#include <optional>
#include <vector>

#include "error.h"
#include "guid.h"
#include "launch_digest.h"

namespace kvm_reset {

constexpr uint64_t four_gib = uint64_t(1) << 32;

/* QEMU takes no larger one by -bios. */
constexpr size_t most_firmware = 16 << 20;

/* An image, which stays the caller's, and what its table names. */
class Ovmf {
public:
    /*
     * The image may have no table at all: plain SEV needs none.
     * EINVAL: no firmware can be like that: not whole pages, more than 16 MiB
     * (QEMU's own limit), or a table that reaches out of itself.
     */
    static Result<Ovmf> parse(Bytes image);

    Bytes image() const { return image_; }

    /* The image ends at 4 GiB. */
    uint64_t address() const { return four_gib - image_.size(); }

    /* The data of the entry @name, without its length and name. */
    std::optional<Bytes> find(const Guid &name) const;

private:
    struct Entry {
        Guid name;
        Bytes data;
    };

    Bytes image_;
    std::vector<Entry> entries_;
};

/* Where the vCPUs of an SEV-ES or SEV-SNP guest but the first start. */
Result<uint32_t> sev_es_reset_address(const Ovmf &ovmf);

/* Where OVMF looks for the table of kernel hashes. */
struct HashTableArea {
    uint32_t address;
    uint32_t size;
};

Result<HashTableArea> hash_table_area(const Ovmf &ovmf);

/* A piece of memory that OVMF wants to have validated for it. */
struct SevSection {
    enum Type : uint32_t {
        Memory = 1,
        Secrets = 2,
        Cpuid = 3,
        SvsmCallingArea = 4,
        KernelHashes = 0x10,
    };

    uint32_t address;
    uint32_t size; /* both are whole pages; 0 in firmware made for TDX */
    uint32_t type; /* Type, or a newer one */
};

/* In the order in which they are launched. */
Result<std::vector<SevSection>> sev_sections(const Ovmf &ovmf);

} /* namespace kvm_reset */

#endif
