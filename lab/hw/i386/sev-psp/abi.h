/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers and layouts of AMD's SEV API (55766) and SEV-SNP firmware ABI
 * (56860): commands, statuses, states, and what lies in memory.
 *
 * All integers are little-endian, as is each host that the lab runs on.
 */
#ifndef SEV_PSP_ABI_H
#define SEV_PSP_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* They are laid over bytes of memory. */
#ifdef __cplusplus
#define PSP_PACKED __attribute__((packed))
#else
#define PSP_PACKED __attribute__((packed, may_alias))
#endif

#define PSP_API_MAJOR 1
#define PSP_API_MINOR 55
#define PSP_BUILD 39

#define PSP_PAGE 4096u
#define PSP_PAGE_2M 0x200000u

/* SEV API 4.4, SNP ABI 3.8: the mailbox's status field */
typedef enum PspStatus {
    PSP_SUCCESS = 0x00,
    PSP_INVALID_PLATFORM_STATE = 0x01,
    PSP_INVALID_GUEST_STATE = 0x02,
    PSP_INVALID_CONFIG = 0x03,
    PSP_INVALID_LENGTH = 0x04,
    PSP_ALREADY_OWNED = 0x05,
    PSP_INVALID_CERTIFICATE = 0x06,
    PSP_POLICY_FAILURE = 0x07,
    PSP_INACTIVE = 0x08,
    PSP_INVALID_ADDRESS = 0x09,
    PSP_BAD_SIGNATURE = 0x0a,
    PSP_BAD_MEASUREMENT = 0x0b,
    PSP_ASID_OWNED = 0x0c,
    PSP_INVALID_ASID = 0x0d,
    PSP_WBINVD_REQUIRED = 0x0e,
    PSP_DFFLUSH_REQUIRED = 0x0f,
    PSP_INVALID_GUEST = 0x10,
    PSP_INVALID_COMMAND = 0x11,
    PSP_ACTIVE = 0x12,
    PSP_HWERROR_PLATFORM = 0x13,
    PSP_HWERROR_UNSAFE = 0x14,
    PSP_UNSUPPORTED = 0x15,
    PSP_INVALID_PARAM = 0x16,
    PSP_RESOURCE_LIMIT = 0x17,
    PSP_SECURE_DATA_INVALID = 0x18,
    PSP_INVALID_PAGE_SIZE = 0x19,
    PSP_INVALID_PAGE_STATE = 0x1a,
    PSP_INVALID_MDATA_ENTRY = 0x1b,
    PSP_INVALID_PAGE_OWNER = 0x1c,
    PSP_AEAD_OFLOW = 0x1d,
    PSP_RMP_INIT_REQUIRED = 0x20,
    PSP_BAD_SVN = 0x21,
    PSP_BAD_VERSION = 0x22,
    PSP_SHUTDOWN_REQUIRED = 0x23,
    PSP_INVALID_KEY = 0x27,
} PspStatus;

/* SEV API 5.1.2 and SNP ABI 5.2 have the same three */
typedef enum PspState {
    PSP_UNINIT,
    PSP_INIT,
    PSP_WORKING,
} PspState;

/* SEV API 6.1.1 */
typedef enum PspGuestState {
    PSP_GUEST_UNINIT,
    PSP_GUEST_LUPDATE,
    PSP_GUEST_LSECRET,
    PSP_GUEST_RUNNING,
    PSP_GUEST_SUPDATE,
    PSP_GUEST_RUPDATE,
    /* SNP ABI 4.1: GSTATE, reported as 0, 1, 2 */
    PSP_SNP_INIT,
    PSP_SNP_LAUNCH,
    PSP_SNP_RUNNING,
} PspGuestState;

/* SEV API chapter 3 */
#define SEV_POLICY_NODBG (1u << 0)
#define SEV_POLICY_NOKS (1u << 1)
#define SEV_POLICY_ES (1u << 2)
#define SEV_POLICY_NOSEND (1u << 3)
#define SEV_POLICY_RESERVED 0xffc0u

/* SNP ABI 4.3 */
#define SNP_POLICY_SMT (1ull << 16)
#define SNP_POLICY_ONE (1ull << 17)
#define SNP_POLICY_MIGRATE_MA (1ull << 18)
#define SNP_POLICY_DEBUG (1ull << 19)
#define SNP_POLICY_SINGLE_SOCKET (1ull << 20)
#define SNP_POLICY_RESERVED (~0ull << 21)

/* ---- SEV: arguments of commands (SEV API 5 and 6) ---- */

#define SEV_INIT_ES 1u
#define SEV_TMR_SIZE 0x100000u
#define SEV_NV_SIZE 0x8000u

typedef struct PSP_PACKED SevInit {
    uint32_t flags, reserved;
    uint64_t tmr;
    uint32_t tmr_length;
} SevInit;

typedef struct PSP_PACKED SevInitEx {
    uint32_t length, flags;
    uint64_t tmr;
    uint32_t tmr_length, reserved;
    uint64_t nv;
    uint32_t nv_length;
} SevInitEx;

typedef struct PSP_PACKED SevPlatformStatus {
    uint8_t api_major, api_minor, state, owner;
    uint16_t config;
    uint8_t reserved, build;
    uint32_t guest_count;
} SevPlatformStatus;

/* PEK_CSR, GET_ID, DOWNLOAD_FIRMWARE */
typedef struct PSP_PACKED SevBuffer {
    uint64_t address;
    uint32_t length;
} SevBuffer;

typedef struct PSP_PACKED SevPekCertImport {
    uint64_t pek;
    uint32_t pek_length, reserved;
    uint64_t oca;
    uint32_t oca_length;
} SevPekCertImport;

typedef struct PSP_PACKED SevPdhCertExport {
    uint64_t pdh;
    uint32_t pdh_length, reserved;
    uint64_t chain;
    uint32_t chain_length;
} SevPdhCertExport;

/* DECOMMISSION, DEACTIVATE, LAUNCH_FINISH, SEND_FINISH, … */
typedef struct PSP_PACKED SevHandle {
    uint32_t handle;
} SevHandle;

typedef struct PSP_PACKED SevActivate {
    uint32_t handle, asid;
} SevActivate;

typedef struct PSP_PACKED SevGuestStatus {
    uint32_t handle, policy, asid;
    uint8_t state;
} SevGuestStatus;

typedef struct PSP_PACKED SevCopy {
    uint32_t handle, length;
    uint64_t source, target;
} SevCopy;

typedef struct PSP_PACKED SevLaunchStart {
    uint32_t handle, policy;
    uint64_t dh_cert;
    uint32_t dh_cert_length, reserved;
    uint64_t session;
    uint32_t session_length;
} SevLaunchStart;

/* LAUNCH_UPDATE_DATA, LAUNCH_UPDATE_VMSA, LAUNCH_MEASURE */
typedef struct PSP_PACKED SevGuestBuffer {
    uint32_t handle, reserved;
    uint64_t address;
    uint32_t length;
} SevGuestBuffer;

typedef struct PSP_PACKED SevLaunchSecret {
    uint32_t handle, reserved1;
    uint64_t header;
    uint32_t header_length, reserved2;
    uint64_t guest;
    uint32_t guest_length, reserved3;
    uint64_t packet;
    uint32_t packet_length;
} SevLaunchSecret;

typedef struct PSP_PACKED SevSecretHeader {
    uint32_t flags;
    uint8_t iv[16], mac[32];
} SevSecretHeader;

typedef struct PSP_PACKED SevDebug {
    uint32_t handle, reserved;
    uint64_t source, target;
    uint32_t length;
} SevDebug;

typedef struct PSP_PACKED SevAttestation {
    uint32_t handle, reserved;
    uint64_t address;
    uint8_t nonce[16];
    uint32_t length;
} SevAttestation;

/* SEV API 6.8: what ATTESTATION writes */
typedef struct PSP_PACKED SevReport {
    uint8_t nonce[16], digest[32];
    uint32_t policy, signature_usage, signature_algorithm, reserved;
    uint8_t r[72], s[72];
} SevReport;

typedef struct PSP_PACKED SevMeasurement {
    uint8_t mac[32], nonce[16];
} SevMeasurement;

/* SEV API 6.2: what the guest's owner sends with LAUNCH_START */
typedef struct PSP_PACKED SevSession {
    uint8_t nonce[16], wrapped_keys[32], iv[16], wrap_mac[32], policy_mac[32];
} SevSession;

/* ---- SEV: certificates (SEV API appendix C) ---- */

#define SEV_USAGE_NONE 0x1000u
#define SEV_USAGE_OCA 0x1001u
#define SEV_USAGE_PEK 0x1002u
#define SEV_USAGE_PDH 0x1003u
#define SEV_USAGE_CEK 0x1004u

#define SEV_ALGORITHM_NONE 0x000u
#define SEV_ALGORITHM_ECDSA_SHA256 0x002u
#define SEV_ALGORITHM_ECDH_SHA256 0x003u
#define SEV_ALGORITHM_ECDSA_SHA384 0x102u
#define SEV_ALGORITHM_ECDH_SHA384 0x103u

#define PSP_CURVE_P384 2u

/* Coordinates and signatures are little-endian and padded to 72 bytes. */
typedef struct PSP_PACKED PspPublicKey {
    uint32_t curve;
    uint8_t x[72], y[72];
    uint8_t reserved[880];
} PspPublicKey;

typedef struct PSP_PACKED PspSignature {
    uint8_t r[72], s[72];
    uint8_t reserved[368];
} PspSignature;

typedef struct PSP_PACKED SevSignature {
    uint32_t usage, algorithm;
    PspSignature value;
} SevSignature;

typedef struct PSP_PACKED SevCertificate {
    uint32_t version;
    uint8_t api_major, api_minor, reserved[2];
    uint32_t usage, algorithm;
    PspPublicKey key;
    SevSignature signature[2];
} SevCertificate;

typedef struct PSP_PACKED SevCertificateChain {
    SevCertificate pek, oca, cek;
} SevCertificateChain;

/* ---- SNP: arguments of commands (SNP ABI 8) ---- */

/* PLATFORM_STATUS, GCTX_CREATE, DECOMMISSION, PAGE_RECLAIM, PAGE_UNSMASH */
typedef struct PSP_PACKED SnpAddress {
    uint64_t address;
} SnpAddress;

#define SNP_INIT_RMP 1u
#define SNP_INIT_LIST 2u

typedef struct PSP_PACKED SnpInitEx {
    uint32_t flags, reserved1;
    uint64_t list;
    uint8_t reserved2[48];
} SnpInitEx;

typedef struct PSP_PACKED SnpRange {
    uint64_t base;
    uint32_t pages, reserved;
} SnpRange;

typedef struct PSP_PACKED SnpRangeList {
    uint32_t count, reserved;
    SnpRange range[(PSP_PAGE - 8) / sizeof(SnpRange)];
} SnpRangeList;

typedef struct PSP_PACKED SnpShutdownEx {
    uint32_t length, flags;
} SnpShutdownEx;

typedef struct PSP_PACKED SnpCommit {
    uint32_t length;
} SnpCommit;

typedef struct PSP_PACKED SnpPlatformStatus {
    uint8_t api_major, api_minor, state, rmp_initialized;
    uint32_t build, flags, guest_count;
    uint64_t current_tcb, reported_tcb;
} SnpPlatformStatus;

#define SNP_MASK_CHIP_ID 1u
#define SNP_MASK_CHIP_KEY 2u

typedef struct PSP_PACKED SnpConfig {
    uint64_t reported_tcb;
    uint32_t flags;
    uint8_t reserved[52];
} SnpConfig;

typedef struct PSP_PACKED SnpFeatureInfo {
    uint32_t length, ecx;
    uint64_t address;
} SnpFeatureInfo;

typedef struct PSP_PACKED SnpActivate {
    uint64_t gctx;
    uint32_t asid;
} SnpActivate;

#define SNP_START_MA 1u
#define SNP_START_IMI 2u

typedef struct PSP_PACKED SnpLaunchStart {
    uint64_t gctx, policy, ma_gctx;
    uint32_t flags, tsc_khz;
    uint8_t gosvw[16];
} SnpLaunchStart;

typedef enum SnpPageType {
    SNP_PAGE_NORMAL = 1,
    SNP_PAGE_VMSA = 2,
    SNP_PAGE_ZERO = 3,
    SNP_PAGE_UNMEASURED = 4,
    SNP_PAGE_SECRETS = 5,
    SNP_PAGE_CPUID = 6,
} SnpPageType;

/* what: bit 0 a page of 2 MiB, bits 3:1 the type, bit 4 IMI */
typedef struct PSP_PACKED SnpLaunchUpdate {
    uint64_t gctx;
    uint32_t what, reserved1;
    uint64_t address;
    uint8_t reserved2, perms[3]; /* of VMPL1, 2, 3 */
    uint32_t reserved3;
} SnpLaunchUpdate;

#define SNP_FINISH_ID_BLOCK 1ull
#define SNP_FINISH_AUTHOR_KEY 2ull
#define SNP_FINISH_VCEK_DISABLED 4ull

typedef struct PSP_PACKED SnpLaunchFinish {
    uint64_t gctx, id_block, id_auth, flags;
    uint8_t host_data[32];
} SnpLaunchFinish;

typedef struct PSP_PACKED SnpIdBlock {
    uint8_t digest[48], family_id[16], image_id[16];
    uint32_t version, guest_svn;
    uint64_t policy;
} SnpIdBlock;

#define SNP_ID_ALGORITHM_P384_SHA384 1u

typedef struct PSP_PACKED SnpIdAuth {
    uint32_t id_algorithm, author_algorithm;
    uint8_t reserved1[56];
    PspSignature block_signature;
    PspPublicKey id_key;
    uint8_t reserved2[60];
    PspSignature id_key_signature;
    PspPublicKey author_key;
    uint8_t reserved3[892];
} SnpIdAuth;

/* GUEST_STATUS: a page's address; and what is written there */
typedef struct PSP_PACKED SnpGuestStatus {
    uint64_t gctx, address;
} SnpGuestStatus;

typedef struct PSP_PACKED SnpGuestStatusPage {
    uint64_t policy;
    uint32_t asid;
    uint8_t state, reserved[3];
} SnpGuestStatusPage;

typedef struct PSP_PACKED SnpPageSetState {
    uint32_t length, reserved;
    uint64_t list;
} SnpPageSetState;

typedef struct PSP_PACKED SnpDebug {
    uint64_t gctx, source, target;
} SnpDebug;

typedef struct PSP_PACKED SnpGuestRequest {
    uint64_t gctx, request, response;
} SnpGuestRequest;

/* ---- SNP: measured launch, secrets, CPUID (SNP ABI 7 and 8.17) ---- */

#define SNP_VMSA_GPA 0xfffffffff000ull

typedef struct PSP_PACKED SnpPageInfo {
    uint8_t digest[48], contents[48];
    uint16_t length;
    uint8_t type, imi, perms[3] /* of VMPL3, 2, 1 */, reserved;
    uint64_t gpa;
} SnpPageInfo;

typedef struct PSP_PACKED SnpSecrets {
    uint32_t version, imi, fms, reserved;
    uint8_t gosvw[16], vmpck[4][32];
    uint8_t guest[96], vmsa_tweaks[64], svsm[32];
    uint32_t tsc_factor;
    uint8_t rest[PSP_PAGE - 356];
} SnpSecrets;

#define SNP_CPUID_MAX 64u

typedef struct PSP_PACKED SnpCpuidFunction {
    uint32_t eax_in, ecx_in;
    uint64_t xcr0_in, xss_in;
    uint32_t out[4];
    uint64_t reserved;
} SnpCpuidFunction;

typedef struct PSP_PACKED SnpCpuidPage {
    uint32_t count, reserved1;
    uint64_t reserved2;
    SnpCpuidFunction function[SNP_CPUID_MAX];
    uint8_t rest[PSP_PAGE - 16 - SNP_CPUID_MAX * 48];
} SnpCpuidPage;

/* ---- SNP: guest messages (SNP ABI 7) ---- */

typedef enum SnpMessageType {
    SNP_MSG_CPUID_REQ = 1,
    SNP_MSG_CPUID_RSP = 2,
    SNP_MSG_KEY_REQ = 3,
    SNP_MSG_KEY_RSP = 4,
    SNP_MSG_REPORT_REQ = 5,
    SNP_MSG_REPORT_RSP = 6,
} SnpMessageType;

#define SNP_AEAD_AES_256_GCM 1

typedef struct PSP_PACKED SnpMessageHeader {
    uint8_t tag[32];
    uint64_t sequence;
    uint8_t reserved1[8];
    /* From here to the end it is authenticated. */
    uint8_t algorithm, header_version;
    uint16_t header_size;
    uint8_t type, version;
    uint16_t size;
    uint32_t reserved2;
    uint8_t vmpck, reserved3[35];
} SnpMessageHeader;

typedef struct PSP_PACKED SnpMessage {
    SnpMessageHeader header;
    uint8_t payload[PSP_PAGE - sizeof(SnpMessageHeader)];
} SnpMessage;

typedef struct PSP_PACKED SnpReportRequest {
    uint8_t data[64];
    uint32_t vmpl, key;
    uint8_t reserved[24];
} SnpReportRequest;

typedef struct PSP_PACKED SnpReport {
    uint32_t version, guest_svn;
    uint64_t policy;
    uint8_t family_id[16], image_id[16];
    uint32_t vmpl, signature_algorithm;
    uint64_t current_tcb, platform_info;
    uint32_t key_info, reserved1;
    uint8_t report_data[64], measurement[48], host_data[32];
    uint8_t id_key_digest[48], author_key_digest[48];
    uint8_t report_id[32], report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t family, model, stepping, reserved2[21];
    uint8_t chip_id[64];
    uint64_t committed_tcb;
    uint8_t current_build, current_minor, current_major, reserved3;
    uint8_t committed_build, committed_minor, committed_major, reserved4;
    uint64_t launch_tcb;
    uint8_t reserved5[168];
    PspSignature signature;
} SnpReport;

typedef struct PSP_PACKED SnpReportResponse {
    uint32_t status, size;
    uint8_t reserved[24];
    SnpReport report;
} SnpReportResponse;

typedef struct PSP_PACKED SnpKeyRequest {
    uint32_t root, reserved;
    uint64_t fields;
    uint32_t vmpl, guest_svn;
    uint64_t tcb;
} SnpKeyRequest;

typedef struct PSP_PACKED SnpKeyResponse {
    uint32_t status;
    uint8_t reserved[28], key[32];
} SnpKeyResponse;

/* Sizes that the documents give. */
static_assert(sizeof(SevInitEx) == 0x24, "INIT_EX");
static_assert(sizeof(SevCertificate) == 0x824, "certificate");
static_assert(sizeof(SevSession) == 128, "session");
static_assert(sizeof(SevReport) == 208, "ATTESTATION");
static_assert(sizeof(SnpInitEx) == 64, "SNP_INIT_EX");
static_assert(sizeof(SnpLaunchFinish) == 64, "SNP_LAUNCH_FINISH");
static_assert(sizeof(SnpPageInfo) == 0x70, "PAGE_INFO");
static_assert(sizeof(SnpIdBlock) == 96, "ID block");
static_assert(offsetof(SnpIdAuth, id_key_signature) == 0x680, "ID auth");
static_assert(sizeof(SnpIdAuth) == PSP_PAGE, "ID auth");
static_assert(sizeof(SnpSecrets) == PSP_PAGE, "secrets");
static_assert(sizeof(SnpCpuidPage) == PSP_PAGE, "CPUID");
static_assert(sizeof(SnpMessageHeader) == 96, "message");
static_assert(sizeof(SnpReportRequest) == 96, "MSG_REPORT_REQ");
static_assert(sizeof(SnpReport) == 0x4a0, "report");
static_assert(offsetof(SnpReport, signature) == 0x2a0, "report");

#endif
