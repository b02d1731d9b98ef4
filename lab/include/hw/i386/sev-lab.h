/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An emulated AMD host with SEV, SEV-ES and SEV-SNP: what its CPU and its
 * secure processor know of each other.
 *
 * RAM always holds what DRAM would hold: of encrypted pages, the ciphertext.
 * A guest that touches a page privately has that page turned, in place, into
 * what it sees ("opened"); at #VMEXIT, and whenever its vCPU thread leaves the
 * guest's code, all open pages are turned back. This needs "-accel
 * tcg,thread=single".
 *
 * Every function here is called on the vCPU thread or in a function that
 * sev_lab_run() runs. All addresses are system physical addresses without the
 * C-bit.
 */
#ifndef HW_I386_SEV_LAB_H
#define HW_I386_SEV_LAB_H

#include "exec/hwaddr.h"

#define SEV_LAB_KEY_SIZE 16
#define SEV_LAB_PAGE 4096
#define SEV_LAB_C_BIT 51

typedef enum SevLabKind {
    SEV_LAB_NONE,
    SEV_LAB_SEV,
    SEV_LAB_ES,
    SEV_LAB_SNP,
} SevLabKind;

/*
 * What the CPUs offer ("-cpu ...,sev-lab=1|2|3": SEV, SEV-ES, SEV-SNP), the
 * highest ASID ("sev-lab-asids=N"), and the highest ASID that is for SEV-ES
 * and SEV-SNP ("sev-lab-es-asids=N"). The same as in CPUID 0x8000001F.
 */
SevLabKind sev_lab_kind(void);
uint32_t sev_lab_asids(void);
uint32_t sev_lab_es_asids(void);

/*
 * Runs FN when no page is open and no vCPU runs, soon. A device that answers
 * later than in its MMIO handler does all that touches guests' memory in here.
 */
void sev_lab_run(void (*fn)(void *opaque), void *opaque);

/*
 * Keys: ACTIVATE installs the VEK of an ASID, DEACTIVATE removes it. Without a
 * key, VMRUN of an SEV guest with this ASID fails.
 */
void sev_lab_key_install(uint32_t asid, const uint8_t vek[SEV_LAB_KEY_SIZE]);
void sev_lab_key_remove(uint32_t asid);
bool sev_lab_key_installed(uint32_t asid);

/*
 * Reuse of ASIDs: each CPU must have written its caches back (WBINVD) before
 * DF_FLUSH, and DF_FLUSH must come between DEACTIVATE and the next ACTIVATE of
 * that ASID.
 */
bool sev_lab_caches_written_back(void); /* since the last key_remove */
void sev_lab_df_flush(void);
bool sev_lab_asid_needs_flush(uint32_t asid);

/*
 * DRAM. LEN and SPA are multiples of 16. AES-128 in XEX mode: the tweak is the
 * block's address. False: not all of it is RAM, and nothing was done.
 */
bool sev_lab_dram_read(hwaddr spa, void *data, size_t len);
bool sev_lab_dram_write(hwaddr spa, const void *data, size_t len);
bool sev_lab_decrypt(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                     void *plaintext, size_t len);
bool sev_lab_encrypt(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                     const void *plaintext, size_t len);

/*
 * VMSAs. Sealing encrypts the page in place and keeps its checksum where no
 * software sees it. VMRUN refuses an SEV-ES guest's page with another checksum
 * (sev_lab_vmsa_intact()); an SNP guest's VMSA is guarded by the RMP instead.
 */
bool sev_lab_vmsa_seal(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                       const void *vmsa);
bool sev_lab_vmsa_intact(hwaddr spa);

/*
 * The reverse map table, in DRAM from RMP_BASE (MSR 0xc0010132) to RMP_END
 * (0xc0010133). The first 16 KiB are the processor's own, then comes an entry
 * of 16 bytes for each 4 KiB page.
 */
typedef struct SevLabRmp {
    uint64_t gpa; /* of the page's first byte */
    uint32_t asid;
    bool assigned;
    bool size_2m;
    bool immutable;
    bool vmsa;
    bool validated;
    uint8_t perms[4]; /* of VMPL0..3: SEV_LAB_VMPL_* */
} SevLabRmp;

#define SEV_LAB_VMPL_READ 1
#define SEV_LAB_VMPL_WRITE 2
#define SEV_LAB_VMPL_EXEC_USER 4
#define SEV_LAB_VMPL_EXEC_SUPER 8

/* SYSCFG's SNP bit is set on every CPU. */
bool sev_lab_snp_enabled(void);
/* What all CPUs have in RMP_BASE and RMP_END; false if they differ. */
bool sev_lab_rmp_range(hwaddr *base, hwaddr *end);

/*
 * Puts the table where the machine has RAM (its sizes below 4 GiB and from
 * ABOVE_BASE on), and tells the guest's software to keep out.
 */
void sev_lab_reserve_rmp(hwaddr below_size, hwaddr above_base,
                         hwaddr above_size);

/*
 * SNP_INIT: from here on CPUs check the RMP. The firmware has initialised the
 * table by then. Shutdown ends it.
 */
void sev_lab_rmp_enforce(bool on);

/*
 * The firmware's own reads and writes of entries, without any check. False: no
 * entry covers SPA.
 */
bool sev_lab_rmp_get(hwaddr spa, SevLabRmp *entry);
bool sev_lab_rmp_set(hwaddr spa, const SevLabRmp *entry);

#endif
