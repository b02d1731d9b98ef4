/*
 * IGVM: the numbers and structures of the format
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An IGVM file says how a guest is launched: which pages go where, what of
 * them is measured, how its vCPUs start. It has a fixed header, variable
 * headers in three sections (platforms, initialization, directives), and the
 * data that these point to. All numbers are little endian. They are those of
 * Microsoft's crate igvm_defs; docs/igvm.md says what is made of them.
 */

#ifndef KVM_RESET_IGVM_FORMAT_H
#define KVM_RESET_IGVM_FORMAT_H

#include <cstddef>
#include <cstdint>

namespace kvm_reset::igvm {

constexpr uint32_t magic = 0x4d564749; /* "IGVM" */
constexpr uint64_t page_size = 4096;
constexpr uint64_t large_page_size = 2 << 20;

/* The data of a page that is zero. */
constexpr uint32_t no_data = 0;

struct FixedHeader {
    uint32_t magic = igvm::magic;
    uint32_t version = 1;
    uint32_t headers_offset = 0; /* of the variable headers */
    uint32_t headers_size = 0;
    uint32_t file_size = 0;
    uint32_t checksum = 0; /* CRC-32 of both kinds of header, this being 0 */
    /* Version 2: */
    uint32_t architecture = 0; /* 0: x64, 1: AArch64 */
    uint32_t page_size = igvm::page_size;
};

constexpr size_t fixed_size_1 = offsetof(FixedHeader, architecture);
constexpr size_t fixed_size_2 = sizeof(FixedHeader);
static_assert(fixed_size_1 == 24 && fixed_size_2 == 32);

/* Each begins with its type and length, at a multiple of 8. */
constexpr size_t header_alignment = 8;
constexpr size_t header_prefix = 8;
constexpr uint32_t may_be_skipped = 1u << 31;

enum class Type : uint32_t {
    SupportedPlatform = 0x001,
    GuestPolicy = 0x101,
    RelocatableRegion = 0x102,
    PageTableRelocation = 0x103,
    ParameterArea = 0x301,
    PageData = 0x302,
    ParameterInsert = 0x303,
    VpContext = 0x304,
    RequiredMemory = 0x305,
    VpCount = 0x307,
    Srat = 0x308,
    Madt = 0x309,
    MmioRanges = 0x30a,
    SnpIdBlock = 0x30b,
    MemoryMap = 0x30c,
    ErrorRange = 0x30d,
    CommandLine = 0x30e,
    Slit = 0x30f,
    Pptt = 0x310,
    DeviceTree = 0x312,
    EnvironmentInfo = 0x313,
};

enum class Platform : uint8_t {
    Native = 0,
    Vsm = 1,
    SevSnp = 2,
    Tdx = 3,
    Sev = 4,
    SevEs = 5,
};

/* Of what follows, @mask says for which platforms it is. */

struct SupportedPlatform {
    uint32_t mask; /* the one bit by which the others name it */
    uint8_t highest_vtl;
    Platform platform;
    uint16_t version;
    uint64_t shared_gpa_boundary;
};

struct GuestPolicy {
    uint64_t policy;
    uint32_t mask;
    uint32_t reserved;
};

struct ParameterArea {
    uint64_t size;
    uint32_t index;
    uint32_t data; /* offset in the file of what it has at first, or no_data */
};

enum class PageType : uint16_t {
    Normal = 0,
    Secrets = 1,
    Cpuid = 2,
    CpuidXfem = 3,
};

enum PageFlags : uint32_t {
    LargePage = 1 << 0,
    Unmeasured = 1 << 1,
    Shared = 1 << 2,
};

struct PageData {
    uint64_t gpa;
    uint32_t mask;
    uint32_t data; /* offset in the file, or no_data */
    uint32_t flags;
    PageType type;
    uint16_t reserved;
};

struct ParameterInsert {
    uint64_t gpa;
    uint32_t mask;
    uint32_t area;
};

struct VpContext {
    uint64_t gpa;
    uint32_t mask;
    uint32_t data; /* offset in the file */
    uint16_t vp;
    uint16_t reserved;
};

constexpr size_t vp_context_length = 20;

struct RequiredMemory {
    uint64_t gpa;
    uint32_t mask;
    uint32_t size;
    uint32_t flags;
    uint32_t reserved;
};

/* Something that the host fills in, in an area. */
struct Parameter {
    uint32_t area;
    uint32_t offset;
};

struct ErrorRange {
    uint64_t gpa;
    uint32_t mask;
    uint32_t size;
};

struct IdSignature {
    uint8_t r[72];
    uint8_t s[72];
};

struct IdKey {
    uint32_t curve;
    uint32_t reserved;
    uint8_t x[72];
    uint8_t y[72];
};

struct SnpIdBlock {
    uint32_t mask;
    uint8_t author_key_enabled;
    uint8_t reserved[3];
    uint8_t digest[48];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version;
    uint32_t guest_svn;
    uint32_t id_key_algorithm;
    uint32_t author_key_algorithm;
    IdSignature id_signature;
    IdKey id_key;
    IdSignature author_signature;
    IdKey author_key;
};

static_assert(sizeof(SnpIdBlock) == 696);

/* The contents of Type::MemoryMap; an entry of no pages is the last. */
struct MemoryMapEntry {
    uint64_t first_page;
    uint64_t pages;
    uint16_t type; /* 0: memory */
    uint16_t flags;
    uint32_t reserved;
};

static_assert(sizeof(MemoryMapEntry) == 24);

/* What a native VP context has, on x64. */
constexpr size_t native_context_size = 232;

} /* namespace kvm_reset::igvm */

#endif
