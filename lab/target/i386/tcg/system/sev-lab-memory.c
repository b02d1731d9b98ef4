/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory controller of an emulated AMD host: keys by ASID, and which pages
 * of RAM are at the moment what a guest sees instead of what DRAM holds.
 *
 * Most pages that a guest opens have not changed since it last did. So both
 * texts of a page are kept for a while, and only blocks that differ from them
 * go through the cipher.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "exec/ram_addr.h"
#include "hw/core/cpu.h"
#include "tcg/helper-tcg.h"
#include "sev-lab-cipher.h"
#include "sev-lab-tcg.h"

#define PAGE        SEV_LAB_PAGE
#define ASIDS       1024
#define KEPT_MAX    16384

typedef struct Key {
    bool installed;
    bool needs_flush;           /* removed, and no DF_FLUSH since */
    uint64_t serial;            /* of all keys that there ever were */
    SevLabCipher cipher;
} Key;

/* Both texts of a page. */
typedef struct View {
    hwaddr page;
    uint8_t *ram;
    uint32_t asid;
    uint64_t serial;
    QTAILQ_ENTRY(View) next;
    uint8_t plaintext[PAGE];
    uint8_t ciphertext[PAGE];
} View;

typedef QTAILQ_HEAD(, View) Views;

/* How the guest that runs has seen a page since it was entered. */
enum { UNSEEN = 0, SEEN_AS_IT_IS = 0xffff };

static struct {
    Key keys[ASIDS];
    uint64_t serials;
    uint64_t removals;
    GHashTable *views;          /* by page */
    Views open;
    Views kept;                 /* closed, the longest unused first */
    size_t kept_count;
    /* By page: UNSEEN, SEEN_AS_IT_IS or the ASID that has it open. */
    GArray *seen;
    GArray *seen_pages;         /* those that are not UNSEEN */
    /* By page: the ASID as which its code was translated last. */
    GArray *translated;
} memory;

static void memory_init(void)
{
    if (!memory.views) {
        memory.views = g_hash_table_new(g_int64_hash, g_int64_equal);
        QTAILQ_INIT(&memory.open);
        QTAILQ_INIT(&memory.kept);
        memory.seen = g_array_new(false, true, sizeof(uint16_t));
        memory.seen_pages = g_array_new(false, false, sizeof(hwaddr));
        memory.translated = g_array_new(false, true, sizeof(uint16_t));
    }
}

/* The entry of a page's, made if need be. */
static uint16_t *of_page(GArray *array, hwaddr page)
{
    size_t number = page / PAGE;

    if (number >= array->len) {
        g_array_set_size(array, number + 4096);
    }
    return &g_array_index(array, uint16_t, number);
}

uint8_t *sev_lab_ram_range(hwaddr spa, hwaddr size)
{
    MemoryRegion *region;
    hwaddr offset, length = size;

    RCU_READ_LOCK_GUARD();
    region = address_space_translate(&address_space_memory, spa, &offset,
                                     &length, true, MEMTXATTRS_UNSPECIFIED);
    if (length < size || !memory_access_is_direct(region, true,
                                                  MEMTXATTRS_UNSPECIFIED)) {
        return NULL;
    }
    return qemu_map_ram_ptr(region->ram_block, offset);
}

uint8_t *sev_lab_ram(hwaddr page)
{
    return sev_lab_ram_range(page, PAGE);
}

/* Views */

static void forget(View *view)
{
    QTAILQ_REMOVE(&memory.kept, view, next);
    memory.kept_count--;
    g_hash_table_remove(memory.views, &view->page);
    g_free(view);
}

static void keep(View *view)
{
    QTAILQ_INSERT_TAIL(&memory.kept, view, next);
    memory.kept_count++;
    if (memory.kept_count > KEPT_MAX) {
        forget(QTAILQ_FIRST(&memory.kept));
    }
}

/* The view of a page with the key of ASID, out of those that are kept. */
static View *take_view(uint32_t asid, hwaddr page)
{
    const Key *key = &memory.keys[asid];
    View *view = g_hash_table_lookup(memory.views, &page);

    if (view) {
        QTAILQ_REMOVE(&memory.kept, view, next);
        memory.kept_count--;
        if (view->serial == key->serial) {
            return view;
        }
    } else {
        uint8_t *ram = sev_lab_ram(page);

        if (!ram) {
            return NULL;
        }
        view = g_new(View, 1);
        view->page = page;
        view->ram = ram;
        g_hash_table_insert(memory.views, &view->page, view);
    }
    view->asid = asid;
    view->serial = key->serial;
    /* Nothing is known yet: no block is equal to its own complement. */
    for (int i = 0; i < PAGE; i++) {
        view->ciphertext[i] = ~view->ram[i];
    }
    return view;
}

static void open_view(View *view)
{
    sev_lab_cipher_follow(&memory.keys[view->asid].cipher, view->page, false,
                          view->ram, view->ciphertext, view->plaintext);
    memcpy(view->ram, view->plaintext, PAGE);
}

static void close_view(View *view)
{
    sev_lab_cipher_follow(&memory.keys[view->asid].cipher, view->page, true,
                          view->ram, view->plaintext, view->ciphertext);
    memcpy(view->ram, view->ciphertext, PAGE);
}

/* What the guest sees */

static void open_page(uint32_t asid, hwaddr page)
{
    View *view = take_view(asid, page);

    open_view(view);
    QTAILQ_INSERT_TAIL(&memory.open, view, next);
}

static void close_page(hwaddr page)
{
    View *view = g_hash_table_lookup(memory.views, &page);

    close_view(view);
    QTAILQ_REMOVE(&memory.open, view, next);
    keep(view);
}

void sev_lab_see(CPUX86State *env, hwaddr spa, bool encrypted)
{
    hwaddr page = spa & ~(hwaddr)(PAGE - 1);
    uint16_t wanted = encrypted ? env->lab.asid : SEEN_AS_IT_IS;
    uint16_t *seen;

    memory_init();
    if (page / PAGE < memory.seen->len &&
        g_array_index(memory.seen, uint16_t, page / PAGE) == wanted) {
        return;
    }
    if (!sev_lab_ram(page)) {
        return;
    }
    seen = of_page(memory.seen, page);
    if (*seen == UNSEEN) {
        g_array_append_val(memory.seen_pages, page);
    } else {
        tlb_flush(env_cpu(env));
        if (*seen != SEEN_AS_IT_IS) {
            close_page(page);
        }
    }
    *seen = wanted;
    if (encrypted) {
        open_page(env->lab.asid, page);
    }
}

/*
 * Code is found by where it is in RAM, and QEMU drops what was translated when
 * a page is written; but here a page may become another one without that.
 */
static void see_code(hwaddr page, uint32_t asid)
{
    uint16_t *translated = of_page(memory.translated, page);
    uint8_t *ram;

    if (*translated != asid) {
        ram = sev_lab_ram(page);
        if (ram) {
            ram_addr_t at = qemu_ram_addr_from_host(ram);

            tb_invalidate_phys_range(at, at + PAGE - 1);
        }
        *translated = asid;
    }
}

void sev_lab_fill(CPUX86State *env, MMUAccessType access, int mmu_idx,
                  hwaddr paddr, bool encrypted, int *prot)
{
    hwaddr page = paddr & ~(hwaddr)(PAGE - 1);
    bool fetch = access == MMU_INST_FETCH;

    if (mmu_idx == MMU_NESTED_IDX || mmu_idx == MMU_PHYS_IDX) {
        return;
    }
    memory_init();
    if (env->lab.asid) {
        /* Code is always private, whatever the page table says. */
        sev_lab_see(env, page, encrypted || fetch);
        if (fetch && !encrypted) {
            *prot = PAGE_EXEC;
        }
    }
    if (!fetch) {
        *prot &= ~PAGE_EXEC;
    } else if (sev_lab_ram(page)) {
        see_code(page, env->lab.asid);
    }
}

bool sev_lab_close(void)
{
    View *view, *after;

    if (!memory.views || !memory.seen_pages->len) {
        return false;
    }
    QTAILQ_FOREACH_SAFE(view, &memory.open, next, after) {
        close_view(view);
        QTAILQ_REMOVE(&memory.open, view, next);
        keep(view);
    }
    for (size_t i = 0; i < memory.seen_pages->len; i++) {
        *of_page(memory.seen, g_array_index(memory.seen_pages, hwaddr, i)) =
            UNSEEN;
    }
    g_array_set_size(memory.seen_pages, 0);
    return true;
}

void sev_lab_pause(CPUX86State *env)
{
    if (env->lab.asid && sev_lab_close()) {
        tlb_flush(env_cpu(env));
    }
}

/* Keys */

void sev_lab_key_install(uint32_t asid, const uint8_t vek[SEV_LAB_KEY_SIZE])
{
    Key *key = &memory.keys[asid % ASIDS];

    memory_init();
    sev_lab_cipher_init(&key->cipher, vek);
    key->installed = true;
    key->serial = ++memory.serials;
    for (size_t i = 0; i < memory.translated->len; i++) {
        if (g_array_index(memory.translated, uint16_t, i) == asid) {
            see_code(i * PAGE, 0);
        }
    }
}

void sev_lab_key_remove(uint32_t asid)
{
    Key *key = &memory.keys[asid % ASIDS];

    memset(key, 0, sizeof(*key));
    key->needs_flush = true;
    memory.removals++;
}

bool sev_lab_key_installed(uint32_t asid)
{
    return asid < ASIDS && memory.keys[asid].installed;
}

void sev_lab_wbinvd(CPUX86State *env)
{
    env->lab.written_back = memory.removals;
}

bool sev_lab_caches_written_back(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cpu_env(cs)->lab.written_back != memory.removals) {
            return false;
        }
    }
    return true;
}

void sev_lab_df_flush(void)
{
    for (int i = 0; i < ASIDS; i++) {
        memory.keys[i].needs_flush = false;
    }
}

bool sev_lab_asid_needs_flush(uint32_t asid)
{
    return asid < ASIDS && memory.keys[asid].needs_flush;
}

/* DRAM */

typedef struct Run {
    void (*fn)(void *opaque);
    void *opaque;
} Run;

static void run(CPUState *cs, run_on_cpu_data data)
{
    Run *run = data.host_ptr;

    bql_lock();
    run->fn(run->opaque);
    bql_unlock();
    g_free(run);
}

void sev_lab_run(void (*fn)(void *opaque), void *opaque)
{
    Run *what = g_new(Run, 1);

    *what = (Run){ fn, opaque };
    async_safe_run_on_cpu(first_cpu, run, RUN_ON_CPU_HOST_PTR(what));
}

static bool is_ram(hwaddr spa, size_t len)
{
    for (hwaddr page = spa & ~(hwaddr)(PAGE - 1); page < spa + len;
         page += PAGE) {
        if (!sev_lab_ram(page)) {
            return false;
        }
    }
    return true;
}

bool sev_lab_dram_read(hwaddr spa, void *data, size_t len)
{
    return is_ram(spa, len) &&
           address_space_read(&address_space_memory, spa,
                              MEMTXATTRS_UNSPECIFIED, data, len) == MEMTX_OK;
}

bool sev_lab_dram_write(hwaddr spa, const void *data, size_t len)
{
    return is_ram(spa, len) &&
           address_space_write(&address_space_memory, spa,
                               MEMTXATTRS_UNSPECIFIED, data, len) == MEMTX_OK;
}

bool sev_lab_decrypt(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                     void *plaintext, size_t len)
{
    g_autofree uint8_t *ciphertext = g_malloc(len);
    SevLabCipher cipher;

    if ((spa | len) % SEV_LAB_BLOCK ||
        !sev_lab_dram_read(spa, ciphertext, len)) {
        return false;
    }
    sev_lab_cipher_init(&cipher, vek);
    sev_lab_cipher_text(&cipher, spa, false, ciphertext, plaintext, len);
    return true;
}

bool sev_lab_encrypt(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                     const void *plaintext, size_t len)
{
    g_autofree uint8_t *ciphertext = g_malloc(len);
    SevLabCipher cipher;

    if ((spa | len) % SEV_LAB_BLOCK) {
        return false;
    }
    sev_lab_cipher_init(&cipher, vek);
    sev_lab_cipher_text(&cipher, spa, true, plaintext, ciphertext, len);
    return sev_lab_dram_write(spa, ciphertext, len);
}

/* VMSAs */

/*
 * Ciphertexts of sealed VMSAs, by page: more than a checksum, for less. They
 * are where the real processor has its checksums, out of software's reach.
 */
static GHashTable *sealed;

static void remember(hwaddr spa)
{
    uint8_t *copy;

    if (!sealed) {
        sealed = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                       g_free);
    }
    copy = g_malloc(PAGE);
    memcpy(copy, sev_lab_ram(spa), PAGE);
    g_hash_table_replace(sealed, g_memdup2(&spa, sizeof(spa)), copy);
}

bool sev_lab_vmsa_seal(const uint8_t vek[SEV_LAB_KEY_SIZE], hwaddr spa,
                       const void *vmsa)
{
    if (spa % PAGE || !sev_lab_encrypt(vek, spa, vmsa, PAGE)) {
        return false;
    }
    remember(spa);
    return true;
}

bool sev_lab_vmsa_intact(hwaddr spa)
{
    const uint8_t *copy = sealed ? g_hash_table_lookup(sealed, &spa) : NULL;
    uint8_t *ram = sev_lab_ram(spa);

    return copy && ram && !memcmp(copy, ram, PAGE);
}

void *sev_lab_vmsa_open(uint32_t asid, hwaddr spa)
{
    View *view;

    memory_init();
    view = take_view(asid, spa);
    if (!view) {
        return NULL;
    }
    open_view(view);
    QTAILQ_INSERT_TAIL(&memory.open, view, next);
    return view->ram;
}

void sev_lab_vmsa_close(hwaddr spa, bool guarded)
{
    close_page(spa);
    if (guarded) {
        remember(spa);
    }
}
