/*
 * KVM's ABI for confidential guests, as far as the platform speaks it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Written out here because the headers of Debian 12 are older than most of
 * it.  Sources: Documentation/virt/kvm/api.rst and
 * Documentation/virt/kvm/x86/amd-memory-encryption.rst of Linux 6.12; the
 * numbers of firmware errors are those of AMD's SEV API (55766).
 */

#ifndef COCO_ABI_H
#define COCO_ABI_H

#include <cstddef>
#include <cstdint>

#include <linux/stddef.h>
/* An empty struct has size 1 in C++, and ioctl numbers hold sizes. */
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]
#include <linux/kvm.h>

static_assert(KVM_SET_CPUID2 == 0x4008ae90 && KVM_SET_MSRS == 0x4008ae89 &&
              KVM_GET_XSAVE == 0x9000aea4);

namespace coco {

constexpr size_t kPage = 4096;

constexpr uint64_t page_down(uint64_t address)
{
    return address & ~(kPage - 1);
}

constexpr uint64_t page_up(uint64_t address)
{
    return page_down(address + kPage - 1);
}

constexpr bool page_aligned(uint64_t value)
{
    return value % kPage == 0;
}

/* --- KVM ------------------------------------------------------------- */

enum VmType : uint32_t {
    kDefaultVm = 0,
    kSevVm = 2,
    kSevEsVm = 3,
    kSnpVm = 4,
    kTdxVm = 5,
};

constexpr uint32_t kCapUserMemory2 = 231;
constexpr uint32_t kCapMemoryAttributes = 233;
constexpr uint32_t kCapGuestMemfd = 234;
constexpr uint32_t kCapVmTypes = 235;

constexpr uint32_t kMemGuestMemfd = 1u << 2;
constexpr uint64_t kAttributePrivate = 1ull << 3;

struct CreateGuestMemfd {
    uint64_t size;
    uint64_t flags;
    uint64_t reserved[6];
};

struct UserMemoryRegion2 {
    uint32_t slot;
    uint32_t flags;
    uint64_t guest_phys_addr;
    uint64_t memory_size;
    uint64_t userspace_addr;
    uint64_t guest_memfd_offset;
    uint32_t guest_memfd;
    uint32_t pad1;
    uint64_t pad2[14];
};

struct MemoryAttributes {
    uint64_t address;
    uint64_t size;
    uint64_t attributes;
    uint64_t flags;
};

constexpr unsigned long kCreateGuestMemfd = _IOWR(KVMIO, 0xd4,
                                                  CreateGuestMemfd);
constexpr unsigned long kSetUserMemoryRegion2 = _IOW(KVMIO, 0x49,
                                                     UserMemoryRegion2);
constexpr unsigned long kSetMemoryAttributes = _IOW(KVMIO, 0xd2,
                                                    MemoryAttributes);
constexpr unsigned long kGetSregs2 = _IOR(KVMIO, 0xcc, uint8_t[320]);
constexpr unsigned long kSetSregs2 = _IOW(KVMIO, 0xcd, uint8_t[320]);
constexpr unsigned long kGetXsave2 = _IOR(KVMIO, 0xcf, uint8_t[4096]);

/* A kvm_msrs with room for one. */
struct OneMsr {
    uint32_t nmsrs;
    uint32_t pad;
    kvm_msr_entry entry;
};

constexpr uint32_t kSystemEventSevTerm = KVM_SYSTEM_EVENT_SEV_TERM;
constexpr uint32_t kSystemEventTdxFatal = 7;
constexpr uint64_t kMapGpaRange = 12;
constexpr uint64_t kMapGpaEncrypted = 1 << 4;

/* --- KVM_MEMORY_ENCRYPT_OP of kvm_amd -------------------------------- */

enum SevCommand : uint32_t {
    kSevInit = 0,
    kSevEsInit = 1,
    kSevLaunchStart = 2,
    kSevLaunchUpdateData = 3,
    kSevLaunchUpdateVmsa = 4,
    kSevLaunchSecret = 5,
    kSevLaunchMeasure = 6,
    kSevLaunchFinish = 7,
    kSevGuestStatus = 16,
    kSevDbgDecrypt = 17,
    kSevDbgEncrypt = 18,
    kSevGetAttestationReport = 20,
    kSevInit2 = 22,
    kSnpLaunchStart = 100,
    kSnpLaunchUpdate = 101,
    kSnpLaunchFinish = 102,
};

struct SevCmd {
    uint32_t id;
    uint32_t pad;
    uint64_t data;
    uint32_t error;
    uint32_t sev_fd;
};

struct SevInit2 {
    uint64_t vmsa_features;
    uint32_t flags;
    uint16_t ghcb_version;
    uint16_t pad1;
    uint32_t pad2[8];
};

struct SevLaunchStart {
    uint32_t handle;
    uint32_t policy;
    uint64_t dh_uaddr;
    uint32_t dh_len;
    uint32_t pad0;
    uint64_t session_uaddr;
    uint32_t session_len;
    uint32_t pad1;
};

struct SevLaunchUpdateData {
    uint64_t uaddr;
    uint32_t len;
    uint32_t pad;
};

struct SevLaunchMeasure {
    uint64_t uaddr;
    uint32_t len;
    uint32_t pad;
};

struct SevLaunchSecret {
    uint64_t hdr_uaddr;
    uint32_t hdr_len;
    uint32_t pad0;
    uint64_t guest_uaddr;
    uint32_t guest_len;
    uint32_t pad1;
    uint64_t trans_uaddr;
    uint32_t trans_len;
    uint32_t pad2;
};

struct SevGuestStatus {
    uint32_t handle;
    uint32_t policy;
    uint32_t state;
};

struct SnpLaunchStart {
    uint64_t policy;
    uint8_t gosvw[16];
    uint16_t flags;
    uint8_t pad0[6];
    uint64_t pad1[4];
};

enum SnpPageType : uint8_t {
    kSnpNormal = 1,
    kSnpVmsa = 2, /* of the firmware; KVM_SEV_SNP_LAUNCH_UPDATE refuses it */
    kSnpZero = 3,
    kSnpUnmeasured = 4,
    kSnpSecrets = 5,
    kSnpCpuid = 6,
};

struct SnpLaunchUpdate {
    uint64_t gfn_start;
    uint64_t uaddr;
    uint64_t len;
    uint8_t type;
    uint8_t pad0;
    uint16_t flags;
    uint32_t pad1;
    uint64_t pad2[4];
};

struct SnpLaunchFinish {
    uint64_t id_block_uaddr;
    uint64_t id_auth_uaddr;
    uint8_t id_block_en;
    uint8_t auth_key_en;
    uint8_t vcek_disabled;
    uint8_t host_data[32];
    uint8_t pad0[3];
    uint16_t flags;
    uint64_t pad1[4];
};

static_assert(sizeof(SevCmd) == 24 && sizeof(SevInit2) == 48 &&
              sizeof(SevLaunchStart) == 40 && sizeof(SevLaunchSecret) == 48 &&
              sizeof(SnpLaunchStart) == 64 && sizeof(SnpLaunchUpdate) == 64 &&
              sizeof(SnpLaunchFinish) == 88);

/* SEV guest policy */
constexpr uint32_t kSevPolicyEs = 1u << 2;

/* SNP guest policy */
constexpr uint64_t kSnpPolicySmt = 1ull << 16;
constexpr uint64_t kSnpPolicyOne = 1ull << 17;
constexpr uint64_t kSnpPolicyDebug = 1ull << 19;
constexpr uint64_t kSnpPolicySingleSocket = 1ull << 20;
constexpr uint64_t kSnpPolicyKnown = 0xffff | kSnpPolicySmt | kSnpPolicyOne |
                                     kSnpPolicyDebug | kSnpPolicySingleSocket;

/* sev_features of a VMSA */
constexpr uint64_t kSevFeatureSnp = 1;

/* --- the firmware ----------------------------------------------------- */

enum FwError : uint32_t {
    kFwSuccess = 0,
    kFwInvalidPlatformState = 1,
    kFwInvalidGuestState = 2,
    kFwInvalidLength = 4,
    kFwInvalidCertificate = 6,
    kFwPolicyFailure = 7,
    kFwInvalidAddress = 9,
    kFwBadSignature = 10,
    kFwBadMeasurement = 11,
    kFwAsidOwned = 12,
    kFwInvalidAsid = 13,
    kFwInvalidGuest = 16,
    kFwUnsupported = 21,
    kFwInvalidParam = 22,
    kFwResourceLimit = 23,
    kFwInvalidPageState = 41,
};

/* States of a SEV guest, as GUEST_STATUS says them. */
enum GuestState : uint32_t {
    kStateUninit = 0,
    kStateUpdate = 1,
    kStateSecret = 2,
    kStateRunning = 3,
};

/* /dev/sev */
struct SevIssueCmd {
    uint32_t cmd;
    uint64_t data;
    uint32_t error;
} __attribute__((packed));

constexpr unsigned long kSevIssueCmd = _IOWR('S', 0x0, SevIssueCmd);

enum SevPlatformCommand : uint32_t {
    kSevPlatformStatus = 1,
    kSevPdhCertExport = 5,
    kSevGetId2 = 8,
    kSnpPlatformStatus = 9,
};

/* --- KVM_MEMORY_ENCRYPT_OP of kvm_intel -------------------------------- */

enum TdxCommand : uint32_t {
    kTdxCapabilities = 0,
    kTdxInitVm = 1,
    kTdxInitVcpu = 2,
    kTdxInitMemRegion = 3,
    kTdxFinalizeVm = 4,
    kTdxGetCpuid = 5,
};

struct TdxCmd {
    uint32_t id;
    uint32_t flags;
    uint64_t data;
    uint64_t hw_error;
};

/* Both are followed by a kvm_cpuid2. */
struct TdxCapabilities {
    uint64_t supported_attributes;
    uint64_t supported_xfam;
    uint64_t tdvmcall_info[4];
    uint64_t reserved[250];
};

struct TdxInitVm {
    uint64_t attributes;
    uint64_t xfam;
    uint64_t mr_config_id[6];
    uint64_t mr_owner[6];
    uint64_t mr_owner_config[6];
    uint64_t reserved[12];
};

struct TdxInitMemRegion {
    uint64_t source;
    uint64_t gpa;
    uint64_t pages;
};

constexpr uint32_t kTdxMeasure = 1u << 0;

static_assert(sizeof(TdxCapabilities) == 2048 && sizeof(TdxInitVm) == 256);

/* TD attributes */
constexpr uint64_t kTdxDebug = 1ull << 0;
constexpr uint64_t kTdxSeptVeDisable = 1ull << 28;

/* What the simulated firmware calls itself. */
constexpr uint8_t kFwMajor = 1;
constexpr uint8_t kFwMinor = 55;
constexpr uint8_t kFwBuild = 21;

} // namespace coco

#endif
