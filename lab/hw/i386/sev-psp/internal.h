/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the secure processor share
 */
#ifndef SEV_PSP_INTERNAL_H
#define SEV_PSP_INTERNAL_H

#include <inttypes.h>

#include <glib.h>

#include "crypto.h"
#include "psp.h"
#include "rules.h"

/* A guest of either kind; SEV knows it by a handle, SNP by a page. */
typedef struct PspGuest {
    bool snp;
    uint32_t handle;
    uint64_t gctx;
    PspGuestState state;
    uint64_t policy;
    uint32_t asid; /* 0: not active */
    uint8_t vek[PSP_KEY_SIZE];
    uint32_t log_number; /* "vm" in the log */

    /* SEV */
    uint8_t tek[PSP_KEY_SIZE], tik[PSP_KEY_SIZE];
    PspSha256 *measuring;
    uint8_t digest[32], measurement[32];
    uint32_t vmsas;

    /* SNP */
    uint8_t snp_digest[48];
    bool imi;
    uint8_t vmpck[4][32];
    uint64_t sequence[4];
    uint8_t gosvw[16], report_id[32], host_data[32];
    SnpIdBlock id_block;
    uint8_t id_key_digest[48], author_key_digest[48];
    bool author_key, vcek_disabled;
    uint64_t launch_tcb;
} PspGuest;

/* SEV API chapter 2: a key pair with its certificate */
typedef struct PspIdentity {
    PspKeyPair key;
    SevCertificate certificate;
} PspIdentity;

struct Psp {
    PspHost host;
    PspConfig config;
    PspRules *rules;

    /* SEV */
    PspState state;
    bool es, flushed;
    GHashTable *guests; /* by handle, or by gctx */
    uint32_t last_handle, last_log_number;
    PspIdentity cek, oca, pek, pdh;
    bool external_owner;

    /* SNP */
    PspState snp_state;
    bool rmp_initialized;
    uint64_t reported_tcb;
    uint32_t config_flags;
};

#define PSP_ARGUMENT_MAX 64
#define PSP_SECRET_MAX 0x4000

typedef struct PspCommand PspCommand;

/* A command in execution. ARGUMENT is a copy that is written back. */
typedef struct PspCall {
    Psp *psp;
    const PspCommand *command;
    PspGuest *guest;
    uint64_t address;
    uint8_t argument[PSP_ARGUMENT_MAX];
    uint64_t pages; /* how many the command worked on */
} PspCall;

/*
 * What is asked, in this order, before a command does anything. FIELD is the
 * offset in the argument, WIDTH its bytes.
 */
typedef enum PspCheckKind {
    PSP_CHECK_END,
    PSP_CHECK_ZERO,      /* field has none of the bits of value */
    PSP_CHECK_EQUAL,     /* field is value */
    PSP_CHECK_AT_LEAST,  /* field is value or more */
    PSP_CHECK_ALIGNED,   /* field is a multiple of value */
    PSP_CHECK_LENGTH,    /* field is a multiple of value, and not 0 */
    PSP_CHECK_RAM,       /* field is the address of value bytes of RAM */
    PSP_CHECK_ACTIVE,    /* the guest has an ASID */
    PSP_CHECK_INACTIVE,  /* the guest has none */
    PSP_CHECK_POLICY_NO, /* the guest's policy has none of the bits */
    PSP_CHECK_POLICY,    /* the guest's policy has all of the bits */
    PSP_CHECK_ASID,      /* field is an ASID for a guest of this kind */
    PSP_CHECK_ASID_FREE, /* field is an ASID that no other guest has */
    PSP_CHECK_FLUSHED,   /* field is an ASID whose old lines are gone */
    PSP_CHECK_PAGE,      /* field is a page in this PspPageState */
    PSP_CHECK_OUTPUT,    /* once SNP is on: from field on, for as many bytes as
                          * the 4 at offset value say, pages are Firmware */
#define PSP_WHOLE_PAGE UINT64_MAX
} PspCheckKind;

typedef struct PspCheck {
    PspCheckKind kind;
    uint8_t field, width;
    uint64_t value;
    PspStatus status;
    /* With a width: asked only if the field there has one of these bits. */
    uint8_t when, when_width;
    uint64_t when_bits;
} PspCheck;

typedef enum PspFinds {
    PSP_NO_GUEST,
    PSP_BY_HANDLE, /* the argument begins with it */
    PSP_BY_GCTX,
} PspFinds;

#define PSP_CHECKS_MAX 9

struct PspCommand {
    uint16_t number;
    const char *name;
    uint8_t states;  /* bit N: allowed in PspState N of the family's */
    uint16_t guests; /* bit N: allowed in PspGuestState N */
    PspFinds finds;
    uint8_t size;                        /* of the argument */
    bool writes;                         /* the argument is written back */
    PspStatus (*execute)(PspCall *call); /* NULL: refused by name */
    const char *where;
    PspCheck checks[PSP_CHECKS_MAX];
};

extern const PspCommand psp_commands[];
extern const size_t psp_command_count;

const PspCommand *psp_find_command(uint32_t number);
/* Numbers from 0x81 on are of the SNP ABI. */
bool psp_is_snp(const PspCommand *command);
/* One check of a command's; PSP_SUCCESS if it holds. */
PspStatus psp_check(PspCall *call, const PspCheck *check);

/* memory.c: like the host's, of any address and length, C-bit or not */
uint64_t psp_address(uint64_t address);
bool psp_read(Psp *psp, uint64_t spa, void *data, size_t len);
bool psp_write(Psp *psp, uint64_t spa, const void *data, size_t len);

/* guest.c */
PspGuest *psp_guest_new(Psp *psp, bool snp);
PspGuest *psp_guest_find(Psp *psp, PspFinds how, uint64_t key);
void psp_guest_add(Psp *psp, PspGuest *guest);
void psp_guest_drop(Psp *psp, PspGuest *guest);
void psp_guests_drop(Psp *psp, bool snp);
uint32_t psp_guest_count(Psp *psp, bool snp);
bool psp_asid_owned(Psp *psp, uint32_t asid, const PspGuest *but);
bool psp_asid_valid(Psp *psp, uint32_t asid, bool es);
void psp_guest_activate(Psp *psp, PspGuest *guest, uint32_t asid);
void psp_guest_deactivate(Psp *psp, PspGuest *guest);
const char *psp_guest_tee(const PspGuest *guest);

/* execute.c: the host's random(), as crypto.h wants it */
void psp_random(void *psp, size_t size, uint8_t *data);

/* log.c: psp_log(psp, guest, "launch", "\"digest\": \"%s\"", …) */
void psp_log(Psp *psp, const PspGuest *guest, const char *event,
             const char *format, ...) G_GNUC_PRINTF(4, 5);
/* Into one of the caller's; enough for 48 bytes. */
typedef struct PspHex {
    char text[2 * 48 + 1];
} PspHex;
PspHex psp_hex(const void *bytes, size_t size);

/* certificates.c */
/* Before the first use of a key or certificate of psp. */
void psp_certificates_need(Psp *psp);
/* FACTORY_RESET and PEK_GEN; with the PEK goes the PDH. */
void psp_certificates_new_pek(Psp *psp);
void psp_certificates_new_pdh(Psp *psp);
/* The key for a purpose, always the same for this chip. */
void psp_derive(const Psp *psp, const char *purpose, const void *context,
                size_t size, uint8_t *key, size_t key_size);

/* session.c: takes the guest's TEK and TIK from what the owner sent */
PspStatus psp_session_open(Psp *psp, PspGuest *guest,
                           const SevCertificate *owner,
                           const SevSession *session);

/* snp_page.c */
typedef enum PspPageState {
    PSP_PAGE_HYPERVISOR,
    PSP_PAGE_HV_FIXED,
    PSP_PAGE_RECLAIM,
    PSP_PAGE_FIRMWARE,
    PSP_PAGE_CONTEXT,
    PSP_PAGE_METADATA,
    PSP_PAGE_PRE_GUEST,
    PSP_PAGE_PRE_SWAP,
    PSP_PAGE_GUEST_INVALID,
    PSP_PAGE_GUEST_VALID,
    PSP_PAGE_NONE, /* not covered by the RMP */
} PspPageState;

PspPageState psp_page_state(Psp *psp, uint64_t spa);
bool psp_page_set(Psp *psp, uint64_t spa, PspPageState state);
/* Pages of a SnpRangeList become HV-Fixed: all, or none. */
PspStatus psp_pages_fix(Psp *psp, uint64_t list);

/* snp_cpuid.c: false if something had to be put right, and it was */
bool snp_cpuid_correct(Psp *psp, SnpCpuidPage *page);

/* snp_report.c: from the payload of a guest's message to that of its answer */
void snp_answer_report(Psp *psp, const PspGuest *guest, uint8_t vmpck,
                       const void *question, void *answer);
void snp_answer_key(Psp *psp, const PspGuest *guest, uint8_t vmpck,
                    const void *question, void *answer);

/* Some part of one version is newer than that of the other. */
bool psp_tcb_newer(uint64_t tcb, uint64_t than);

/* The version of all parts of the firmware, SNP ABI 2.2 */
#define PSP_TCB 0x4614000000000004ull

/* What the table of commands names */
PspStatus sev_init(PspCall *call);
PspStatus sev_init_ex(PspCall *call);
PspStatus sev_shutdown(PspCall *call);
PspStatus sev_factory_reset(PspCall *call);
PspStatus sev_platform_status(PspCall *call);
PspStatus sev_pek_gen(PspCall *call);
PspStatus sev_pek_csr(PspCall *call);
PspStatus sev_pek_cert_import(PspCall *call);
PspStatus sev_pdh_gen(PspCall *call);
PspStatus sev_pdh_cert_export(PspCall *call);
PspStatus sev_df_flush(PspCall *call);
PspStatus sev_get_id(PspCall *call);
PspStatus sev_decommission(PspCall *call);
PspStatus sev_activate(PspCall *call);
PspStatus sev_deactivate(PspCall *call);
PspStatus sev_guest_status(PspCall *call);
PspStatus sev_copy(PspCall *call);
PspStatus sev_launch_start(PspCall *call);
PspStatus sev_launch_update_data(PspCall *call);
PspStatus sev_launch_update_vmsa(PspCall *call);
PspStatus sev_launch_measure(PspCall *call);
PspStatus sev_launch_secret(PspCall *call);
PspStatus sev_launch_finish(PspCall *call);
PspStatus sev_attestation(PspCall *call);
PspStatus sev_dbg_decrypt(PspCall *call);
PspStatus sev_dbg_encrypt(PspCall *call);
PspStatus snp_init(PspCall *call);
PspStatus snp_shutdown(PspCall *call);
PspStatus snp_platform_status(PspCall *call);
PspStatus snp_df_flush(PspCall *call);
PspStatus snp_init_ex(PspCall *call);
PspStatus snp_decommission(PspCall *call);
PspStatus snp_activate(PspCall *call);
PspStatus snp_guest_status(PspCall *call);
PspStatus snp_gctx_create(PspCall *call);
PspStatus snp_guest_request(PspCall *call);
PspStatus snp_launch_start(PspCall *call);
PspStatus snp_launch_update(PspCall *call);
PspStatus snp_launch_finish(PspCall *call);
PspStatus snp_dbg_decrypt(PspCall *call);
PspStatus snp_dbg_encrypt(PspCall *call);
PspStatus snp_page_set_state(PspCall *call);
PspStatus snp_page_reclaim(PspCall *call);
PspStatus snp_config(PspCall *call);
PspStatus snp_commit(PspCall *call);
PspStatus snp_feature_info(PspCall *call);

#endif
