/*
 * The ABI of confidential guests beside KVM's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM's own is in kvm_abi.h and launch_abi.h.  The numbers of firmware errors
 * are those of AMD's SEV API (55766).
 */

#ifndef COCO_ABI_H
#define COCO_ABI_H

#include <cstddef>
#include <cstdint>

#include <linux/ioctl.h>

#include "launch_abi.h"

namespace coco {

using namespace kvm_reset::abi;

constexpr uint32_t KVMIO = 0xae;

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

/* --- hypercalls -------------------------------------------------------- */

constexpr uint64_t KVM_HC_MAP_GPA_RANGE = 12;
constexpr uint64_t kMapGpaEncrypted = 1 << 4;

enum SnpPageType : uint8_t {
    kSnpNormal = KVM_SEV_SNP_PAGE_TYPE_NORMAL,
    kSnpVmsa = 2, /* of the firmware; KVM_SEV_SNP_LAUNCH_UPDATE refuses it */
    kSnpZero = KVM_SEV_SNP_PAGE_TYPE_ZERO,
    kSnpUnmeasured = KVM_SEV_SNP_PAGE_TYPE_UNMEASURED,
    kSnpSecrets = KVM_SEV_SNP_PAGE_TYPE_SECRETS,
    kSnpCpuid = KVM_SEV_SNP_PAGE_TYPE_CPUID,
};

/* SEV guest policy */
constexpr uint32_t kSevPolicyEs = 1u << 2;

/* SNP guest policy */
constexpr uint64_t kSnpPolicySmt = 1ull << 16;
constexpr uint64_t kSnpPolicyOne = 1ull << 17;
constexpr uint64_t kSnpPolicyDebug = 1ull << 19;
constexpr uint64_t kSnpPolicySingleSocket = 1ull << 20;
constexpr uint64_t kSnpPolicyKnown = 0xffff | kSnpPolicySmt | kSnpPolicyOne |
                                     kSnpPolicyDebug | kSnpPolicySingleSocket;
/* Linux 7.3 also lets CXL, AES-XTS, RAPL, ciphertext hiding and swap by. */
constexpr uint64_t kSnpPolicyKnown73 = kSnpPolicyKnown | 0x1full << 21;

/* sev_features of a VMSA */
constexpr uint64_t kSevFeatureSnp = 1;
constexpr uint64_t kSevFeatureDebugSwap = 1 << 5;
constexpr uint64_t kSevFeatureSecureTsc = 1 << 9;

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

/* TD attributes */
/* KVM_EXIT_TDX, of a TDVMCALL that userspace answers; no older header has it. */
constexpr uint32_t kExitTdx = 40;
constexpr uint64_t kTdvmcallGetQuote = 0x10002;
struct TdxExit {
    uint64_t flags;
    uint64_t nr;
    uint64_t ret; /* the answer */
    uint64_t gpa;
    uint64_t size;
};

constexpr uint64_t kTdxDebug = 1ull << 0;
constexpr uint64_t kTdxSeptVeDisable = 1ull << 28;

/* What the simulated firmware calls itself. */
constexpr uint8_t kFwMajor = 1;
constexpr uint8_t kFwMinor = 55;
constexpr uint8_t kFwBuild = 21;

} // namespace coco

#endif
