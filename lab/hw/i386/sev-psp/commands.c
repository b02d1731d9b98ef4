/*
 * Each command of the secure processor, and what it asks before it acts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checks are made from left to right: the platform's state
 * (INVALID_PLATFORM_STATE), that the argument is in RAM (INVALID_ADDRESS), the
 * guest (INVALID_GUEST) and its state (INVALID_GUEST_STATE), then those listed.
 * What a handler refuses beyond them is in the handler. "Where" is the
 * chapter; the section in it is named for the command.
 */

#include "internal.h"

/* Platform states */
#define U (1u << PSP_UNINIT)
#define I (1u << PSP_INIT)
#define W (1u << PSP_WORKING)

/* Guest states */
#define NONE 0
#define LUPDATE (1u << PSP_GUEST_LUPDATE)
#define LSECRET (1u << PSP_GUEST_LSECRET)
#define RUNNING (1u << PSP_GUEST_RUNNING)
#define LAUNCHED                                                               \
    (LUPDATE | LSECRET | RUNNING | 1u << PSP_GUEST_SUPDATE |                   \
     1u << PSP_GUEST_RUPDATE)

#define SNP_RUNS (1u << PSP_SNP_RUNNING)
#define SNP_STARTED (1u << PSP_SNP_LAUNCH | SNP_RUNS)
#define SNP_ANY (1u << PSP_SNP_INIT | SNP_STARTED)

#define AT(type, member) offsetof(type, member), sizeof(((type *)NULL)->member)

#define ZERO(type, member, bits)                                               \
    {                                                                          \
        PSP_CHECK_ZERO, AT(type, member), bits, PSP_INVALID_PARAM, 0, 0, 0     \
    }
#define EQUAL(type, member, value, status)                                     \
    {                                                                          \
        PSP_CHECK_EQUAL, AT(type, member), value, status, 0, 0, 0              \
    }
#define ALIGNED(type, member, to)                                              \
    {                                                                          \
        PSP_CHECK_ALIGNED, AT(type, member), to, PSP_INVALID_ADDRESS, 0, 0, 0  \
    }
#define LENGTH(type, member, of)                                               \
    {                                                                          \
        PSP_CHECK_LENGTH, AT(type, member), of, PSP_INVALID_LENGTH, 0, 0, 0    \
    }
#define AT_LEAST(type, member, least)                                          \
    {                                                                          \
        PSP_CHECK_AT_LEAST, AT(type, member), least, PSP_INVALID_LENGTH, 0, 0, \
            0                                                                  \
    }
#define POLICY_NO(bits)                                                        \
    {                                                                          \
        PSP_CHECK_POLICY_NO, 0, 0, bits, PSP_POLICY_FAILURE, 0, 0, 0           \
    }
#define IS_ACTIVE                                                              \
    {                                                                          \
        PSP_CHECK_ACTIVE, 0, 0, 0, PSP_INACTIVE, 0, 0, 0                       \
    }
#define IS_INACTIVE                                                            \
    {                                                                          \
        PSP_CHECK_INACTIVE, 0, 0, 0, PSP_ACTIVE, 0, 0, 0                       \
    }
#define IS_ES                                                                  \
    {                                                                          \
        PSP_CHECK_POLICY, 0, 0, SEV_POLICY_ES, PSP_UNSUPPORTED, 0, 0, 0        \
    }
#define ASID_OK(type)                                                          \
    {PSP_CHECK_ASID, AT(type, asid), 0, PSP_INVALID_ASID, 0, 0, 0},            \
        {PSP_CHECK_ASID_FREE, AT(type, asid), 0, PSP_ASID_OWNED, 0, 0, 0},     \
    {                                                                          \
        PSP_CHECK_FLUSHED, AT(type, asid), 0, PSP_DFFLUSH_REQUIRED, 0, 0, 0    \
    }
#define SNP_DEBUGGABLE                                                         \
    {                                                                          \
        PSP_CHECK_POLICY, 0, 0, SNP_POLICY_DEBUG, PSP_POLICY_FAILURE, 0, 0, 0  \
    }
/* Pages that the command writes; its length is in another field. */
#define OUTPUT(type, member, length)                                           \
    {                                                                          \
        PSP_CHECK_OUTPUT, AT(type, member), offsetof(type, length),            \
            PSP_INVALID_PAGE_STATE, 0, 0, 0                                    \
    }

/* The same, but only if there are these bits in a field. */
#define IF(type, member, bits) AT(type, member), bits
#define TMR_CHECKS(type)                                                       \
    ZERO(type, flags, ~(uint64_t)SEV_INIT_ES), ZERO(type, reserved, ~0ull),    \
        {PSP_CHECK_ALIGNED, AT(type, tmr), SEV_TMR_SIZE, PSP_INVALID_ADDRESS,  \
         IF(type, flags, SEV_INIT_ES)},                                        \
        {PSP_CHECK_AT_LEAST, AT(type, tmr_length), SEV_TMR_SIZE,               \
         PSP_INVALID_LENGTH, IF(type, flags, SEV_INIT_ES)},                    \
        {PSP_CHECK_RAM, AT(type, tmr), SEV_TMR_SIZE, PSP_INVALID_ADDRESS,      \
         IF(type, flags, SEV_INIT_ES)},                                        \
    {                                                                          \
        PSP_CHECK_OUTPUT, AT(type, tmr), offsetof(type, tmr_length),           \
            PSP_INVALID_PAGE_STATE, IF(type, flags, SEV_INIT_ES)               \
    }

#define DEBUG_CHECKS                                                           \
    POLICY_NO(SEV_POLICY_NODBG), IS_ACTIVE, LENGTH(SevDebug, length, 16),      \
        ALIGNED(SevDebug, source, 16), ALIGNED(SevDebug, target, 16),          \
        OUTPUT(SevDebug, target, length)

/* A page that the command writes. Before SNP is on, Linux 7.3 gives any buffer
 * of the right size. */
#define OUTPUT_PAGE(type, member)                                              \
    {                                                                          \
        PSP_CHECK_OUTPUT, AT(type, member), PSP_WHOLE_PAGE,                    \
            PSP_INVALID_PAGE_STATE, 0, 0, 0                                    \
    }
#define FIRMWARE_PAGE(type, member)                                            \
    ALIGNED(type, member, PSP_PAGE),                                           \
    {                                                                          \
        PSP_CHECK_PAGE, AT(type, member), PSP_PAGE_FIRMWARE,                   \
            PSP_INVALID_PAGE_STATE, 0, 0, 0                                    \
    }

#define PLATFORM "SEV API 5"
#define GUEST "SEV API 6"
#define DEBUG "SEV API 7"
#define SNP "SNP ABI 8"

/* clang-format off */
const PspCommand psp_commands[] = {
    /* number, name, platform, guest, found by, argument, written, handler */
    {0x01, "INIT", U, NONE, PSP_NO_GUEST, sizeof(SevInit), false, sev_init,
     PLATFORM, {TMR_CHECKS(SevInit)}},
    {0x02, "SHUTDOWN", I | W, NONE, PSP_NO_GUEST, 0, false, sev_shutdown,
     PLATFORM, {}},
    {0x03, "FACTORY_RESET", U, NONE, PSP_NO_GUEST, 0, false, sev_factory_reset,
     PLATFORM, {}},
    {0x04, "PLATFORM_STATUS", U | I | W, NONE, PSP_NO_GUEST,
     sizeof(SevPlatformStatus), true, sev_platform_status, PLATFORM, {}},
    {0x05, "PEK_GEN", I, NONE, PSP_NO_GUEST, 0, false, sev_pek_gen, PLATFORM,
     {}},
    {0x06, "PEK_CSR", I, NONE, PSP_NO_GUEST, sizeof(SevBuffer), true,
     sev_pek_csr, PLATFORM, {OUTPUT(SevBuffer, address, length)}},
    {0x07, "PEK_CERT_IMPORT", I, NONE, PSP_NO_GUEST, sizeof(SevPekCertImport),
     false, sev_pek_cert_import, PLATFORM,
     {AT_LEAST(SevPekCertImport, pek_length, sizeof(SevCertificate)),
      AT_LEAST(SevPekCertImport, oca_length, sizeof(SevCertificate))}},
    {0x08, "PDH_CERT_EXPORT", I | W, NONE, PSP_NO_GUEST,
     sizeof(SevPdhCertExport), true, sev_pdh_cert_export, PLATFORM,
     {OUTPUT(SevPdhCertExport, pdh, pdh_length),
      OUTPUT(SevPdhCertExport, chain, chain_length)}},
    {0x09, "PDH_GEN", I | W, NONE, PSP_NO_GUEST, 0, false, sev_pdh_gen,
     PLATFORM, {}},
    {0x0a, "DF_FLUSH", I | W, NONE, PSP_NO_GUEST, 0, false, sev_df_flush,
     PLATFORM, {}},
    {0x0b, "DOWNLOAD_FIRMWARE", U, NONE, PSP_NO_GUEST, sizeof(SevBuffer),
     false, NULL, PLATFORM, {LENGTH(SevBuffer, length, 16),
                             ALIGNED(SevBuffer, address, 16)}},
    {0x0c, "GET_ID", U | I | W, NONE, PSP_NO_GUEST, sizeof(SevBuffer), true,
     sev_get_id, PLATFORM, {OUTPUT(SevBuffer, address, length)}},
    {0x0d, "INIT_EX", U, NONE, PSP_NO_GUEST, sizeof(SevInitEx), false,
     sev_init_ex, PLATFORM,
     {EQUAL(SevInitEx, length, sizeof(SevInitEx), PSP_INVALID_LENGTH),
      TMR_CHECKS(SevInitEx),
      EQUAL(SevInitEx, nv_length, SEV_NV_SIZE, PSP_INVALID_LENGTH)}},

    {0x20, "DECOMMISSION", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevHandle),
     false, sev_decommission, GUEST, {IS_INACTIVE}},
    {0x21, "ACTIVATE", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevActivate), false,
     sev_activate, GUEST, {IS_INACTIVE, ASID_OK(SevActivate)}},
    {0x22, "DEACTIVATE", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevHandle), false,
     sev_deactivate, GUEST, {}},
    {0x23, "GUEST_STATUS", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevGuestStatus),
     true, sev_guest_status, GUEST, {}},
    {0x24, "COPY", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevCopy), false,
     sev_copy, GUEST,
     {IS_ACTIVE, LENGTH(SevCopy, length, 16), ALIGNED(SevCopy, source, 16),
      ALIGNED(SevCopy, target, 16), OUTPUT(SevCopy, target, length)}},
    {0x25, "ACTIVATE_EX", W, LAUNCHED, PSP_NO_GUEST, 0, false, NULL, GUEST, {}},

    {0x30, "LAUNCH_START", I | W, NONE, PSP_NO_GUEST, sizeof(SevLaunchStart),
     true, sev_launch_start, GUEST,
     {{PSP_CHECK_ZERO, AT(SevLaunchStart, policy), SEV_POLICY_RESERVED,
       PSP_POLICY_FAILURE, 0, 0, 0}}},
    {0x31, "LAUNCH_UPDATE_DATA", W, LUPDATE, PSP_BY_HANDLE,
     sizeof(SevGuestBuffer), false, sev_launch_update_data, GUEST,
     {IS_ACTIVE, LENGTH(SevGuestBuffer, length, 16),
      ALIGNED(SevGuestBuffer, address, 16),
      OUTPUT(SevGuestBuffer, address, length)}},
    {0x32, "LAUNCH_UPDATE_VMSA", W, LUPDATE, PSP_BY_HANDLE,
     sizeof(SevGuestBuffer), false, sev_launch_update_vmsa, GUEST,
     {IS_ES, IS_ACTIVE,
      EQUAL(SevGuestBuffer, length, PSP_PAGE, PSP_INVALID_LENGTH),
      ALIGNED(SevGuestBuffer, address, PSP_PAGE),
      OUTPUT(SevGuestBuffer, address, length)}},
    {0x33, "LAUNCH_MEASURE", W, LUPDATE, PSP_BY_HANDLE, sizeof(SevGuestBuffer),
     true, sev_launch_measure, GUEST,
     {OUTPUT(SevGuestBuffer, address, length)}},
    {0x34, "LAUNCH_UPDATE_SECRET", W, LSECRET, PSP_BY_HANDLE,
     sizeof(SevLaunchSecret), false, sev_launch_secret, GUEST,
     {IS_ACTIVE,
      EQUAL(SevLaunchSecret, header_length, sizeof(SevSecretHeader),
            PSP_INVALID_LENGTH),
      LENGTH(SevLaunchSecret, guest_length, 16),
      LENGTH(SevLaunchSecret, packet_length, 16),
      ALIGNED(SevLaunchSecret, guest, 16),
      OUTPUT(SevLaunchSecret, guest, guest_length)}},
    {0x35, "LAUNCH_FINISH", W, LSECRET, PSP_BY_HANDLE, sizeof(SevHandle),
     false, sev_launch_finish, GUEST, {}},
    {0x36, "ATTESTATION", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevAttestation),
     true, sev_attestation, GUEST, {OUTPUT(SevAttestation, address, length)}},

    /* Moving a guest to another machine: not simulated. */
    {0x40, "SEND_START", W, RUNNING, PSP_BY_HANDLE, sizeof(SevHandle), false,
     NULL, GUEST, {POLICY_NO(SEV_POLICY_NOSEND)}},
    {0x41, "SEND_UPDATE_DATA", W, 1u << PSP_GUEST_SUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x42, "SEND_UPDATE_VMSA", W, 1u << PSP_GUEST_SUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x43, "SEND_FINISH", W, 1u << PSP_GUEST_SUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x44, "SEND_CANCEL", W, 1u << PSP_GUEST_SUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x50, "RECEIVE_START", I | W, NONE, PSP_NO_GUEST, 0, false, NULL, GUEST,
     {}},
    {0x51, "RECEIVE_UPDATE_DATA", W, 1u << PSP_GUEST_RUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x52, "RECEIVE_UPDATE_VMSA", W, 1u << PSP_GUEST_RUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},
    {0x53, "RECEIVE_FINISH", W, 1u << PSP_GUEST_RUPDATE, PSP_BY_HANDLE,
     sizeof(SevHandle), false, NULL, GUEST, {}},

    {0x60, "DBG_DECRYPT", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevDebug), false,
     sev_dbg_decrypt, DEBUG, {DEBUG_CHECKS}},
    {0x61, "DBG_ENCRYPT", W, LAUNCHED, PSP_BY_HANDLE, sizeof(SevDebug), false,
     sev_dbg_encrypt, DEBUG, {DEBUG_CHECKS}},

    {0x81, "SNP_INIT", U, NONE, PSP_NO_GUEST, 0, false, snp_init, SNP, {}},
    {0x82, "SNP_SHUTDOWN", I | W, NONE, PSP_NO_GUEST, 0, false, snp_shutdown,
     SNP, {}},
    {0x83, "SNP_PLATFORM_STATUS", U | I | W, NONE, PSP_NO_GUEST,
     sizeof(SnpAddress), false, snp_platform_status, SNP,
     {OUTPUT_PAGE(SnpAddress, address)}},
    {0x84, "SNP_DF_FLUSH", I | W, NONE, PSP_NO_GUEST, 0, false, snp_df_flush,
     SNP, {}},
    {0x85, "SNP_INIT_EX", U, NONE, PSP_NO_GUEST, sizeof(SnpInitEx), false,
     snp_init_ex, SNP,
     {ZERO(SnpInitEx, flags, ~3u), ZERO(SnpInitEx, reserved1, ~0u)}},
    {0x86, "SNP_SHUTDOWN_EX", I | W, NONE, PSP_NO_GUEST, sizeof(SnpShutdownEx),
     false, snp_shutdown, SNP,
     {EQUAL(SnpShutdownEx, length, sizeof(SnpShutdownEx), PSP_INVALID_LENGTH),
      ZERO(SnpShutdownEx, flags, ~3u)}},
    {0x90, "SNP_DECOMMISSION", W, SNP_ANY, PSP_BY_GCTX, sizeof(SnpAddress),
     false, snp_decommission, SNP, {}},
    {0x91, "SNP_ACTIVATE", W, SNP_STARTED, PSP_BY_GCTX, sizeof(SnpActivate),
     false, snp_activate, SNP, {IS_INACTIVE, ASID_OK(SnpActivate)}},
    {0x92, "SNP_GUEST_STATUS", W, SNP_ANY, PSP_BY_GCTX, sizeof(SnpGuestStatus),
     false, snp_guest_status, SNP, {FIRMWARE_PAGE(SnpGuestStatus, address)}},
    {0x93, "SNP_GCTX_CREATE", I | W, NONE, PSP_NO_GUEST, sizeof(SnpAddress),
     false, snp_gctx_create, SNP, {FIRMWARE_PAGE(SnpAddress, address)}},
    {0x94, "SNP_GUEST_REQUEST", W, SNP_RUNS, PSP_BY_GCTX,
     sizeof(SnpGuestRequest), false, snp_guest_request, SNP,
     {ALIGNED(SnpGuestRequest, request, PSP_PAGE),
      FIRMWARE_PAGE(SnpGuestRequest, response)}},
    {0x95, "SNP_ACTIVATE_EX", W, SNP_STARTED, PSP_BY_GCTX, sizeof(SnpAddress),
     false, NULL, SNP, {}},
    {0xa0, "SNP_LAUNCH_START", W, 1u << PSP_SNP_INIT, PSP_BY_GCTX,
     sizeof(SnpLaunchStart), false, snp_launch_start, SNP,
     {ZERO(SnpLaunchStart, flags, ~3u)}},
    {0xa1, "SNP_LAUNCH_UPDATE", W, 1u << PSP_SNP_LAUNCH, PSP_BY_GCTX,
     sizeof(SnpLaunchUpdate), false, snp_launch_update, SNP,
     {IS_ACTIVE, ZERO(SnpLaunchUpdate, what, ~0xfu),
      ZERO(SnpLaunchUpdate, reserved1, ~0u),
      ZERO(SnpLaunchUpdate, reserved2, 0xff),
      ZERO(SnpLaunchUpdate, reserved3, ~0u)}},
    {0xa2, "SNP_LAUNCH_FINISH", W, 1u << PSP_SNP_LAUNCH, PSP_BY_GCTX,
     sizeof(SnpLaunchFinish), false, snp_launch_finish, SNP,
     {IS_ACTIVE, ZERO(SnpLaunchFinish, flags, ~7ull)}},
    {0xb0, "SNP_DBG_DECRYPT", W, SNP_STARTED, PSP_BY_GCTX, sizeof(SnpDebug),
     false, snp_dbg_decrypt, SNP,
     {SNP_DEBUGGABLE, IS_ACTIVE, ALIGNED(SnpDebug, source, PSP_PAGE),
      FIRMWARE_PAGE(SnpDebug, target)}},
    {0xb1, "SNP_DBG_ENCRYPT", W, SNP_STARTED, PSP_BY_GCTX, sizeof(SnpDebug),
     false, snp_dbg_encrypt, SNP,
     {SNP_DEBUGGABLE, IS_ACTIVE, ALIGNED(SnpDebug, source, PSP_PAGE),
      ALIGNED(SnpDebug, target, PSP_PAGE)}},

    /* Guests' pages in the host's swap, and elsewhere: not simulated. */
    {0xc0, "SNP_PAGE_SWAP_OUT", W, SNP_STARTED, PSP_BY_GCTX,
     sizeof(SnpAddress), false, NULL, SNP, {}},
    {0xc1, "SNP_PAGE_SWAP_IN", W, SNP_STARTED, PSP_BY_GCTX,
     sizeof(SnpAddress), false, NULL, SNP, {}},
    {0xc2, "SNP_PAGE_MOVE", W, SNP_STARTED, PSP_BY_GCTX, sizeof(SnpAddress),
     false, NULL, SNP, {}},
    {0xc3, "SNP_PAGE_MD_INIT", I | W, NONE, PSP_NO_GUEST, 0, false, NULL, SNP,
     {}},

    {0xc6, "SNP_PAGE_SET_STATE", I | W, NONE, PSP_NO_GUEST,
     sizeof(SnpPageSetState), false, snp_page_set_state, SNP,
     {EQUAL(SnpPageSetState, length, sizeof(SnpPageSetState),
            PSP_INVALID_LENGTH),
      ZERO(SnpPageSetState, reserved, ~0u)}},
    {0xc7, "SNP_PAGE_RECLAIM", I | W, NONE, PSP_NO_GUEST, sizeof(SnpAddress),
     false, snp_page_reclaim, SNP, {}},
    {0xc8, "SNP_PAGE_UNSMASH", I | W, NONE, PSP_NO_GUEST, sizeof(SnpAddress),
     false, NULL, SNP, {}},
    {0xc9, "SNP_CONFIG", I | W, NONE, PSP_NO_GUEST, sizeof(SnpConfig), false,
     snp_config, SNP, {ZERO(SnpConfig, flags, ~3u)}},
    {0xca, "SNP_DOWNLOAD_FIRMWARE_EX", U | I | W, NONE, PSP_NO_GUEST, 0, false,
     NULL, SNP, {}},
    {0xcb, "SNP_COMMIT", U | I | W, NONE, PSP_NO_GUEST, sizeof(SnpCommit),
     false, snp_commit, SNP,
     {EQUAL(SnpCommit, length, sizeof(SnpCommit), PSP_INVALID_LENGTH)}},
    {0xcd, "SNP_VLEK_LOAD", I | W, NONE, PSP_NO_GUEST, 0, false, NULL, SNP,
     {}},
    {0xce, "SNP_FEATURE_INFO", U | I | W, NONE, PSP_NO_GUEST,
     sizeof(SnpFeatureInfo), false, snp_feature_info, SNP,
     {EQUAL(SnpFeatureInfo, length, sizeof(SnpFeatureInfo),
            PSP_INVALID_LENGTH),
      ZERO(SnpFeatureInfo, ecx, ~0u), OUTPUT_PAGE(SnpFeatureInfo, address)}},
};
/* clang-format on */

const size_t psp_command_count = G_N_ELEMENTS(psp_commands);
