/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reverse map table: whose each page of RAM is. A guest of SEV-SNP and its
 * host are checked against it when a page comes into a CPU's TLB; any change of
 * it empties the TLBs.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "hw/core/cpu.h"
#include "hw/i386/e820_memory_layout.h"
#include "svm.h"
#include "tcg/helper-tcg.h"
#include "exec/helper-proto.h"
#include "sev-lab-tcg.h"

#define PAGE            SEV_LAB_PAGE
#define LARGE           (2 * MiB)
#define BOOKKEEPING     (16 * KiB)

/* What the instructions answer in RAX. */
enum {
    RMP_OK = 0,
    RMP_FAIL_INPUT = 1,
    RMP_FAIL_PERMISSION = 2,
    RMP_FAIL_INUSE = 3,
    RMP_FAIL_OVERLAP = 4,
    RMP_FAIL_SIZEMISMATCH = 6,
};

/* An entry as it is in DRAM. */
enum {
    ENTRY_ASSIGNED = 0, ENTRY_2M = 1, ENTRY_IMMUTABLE = 2, ENTRY_GPA = 12,
    ENTRY_ASID = 51, ENTRY_VMSA = 61, ENTRY_VALIDATED = 62,
};

static struct {
    hwaddr base;
    hwaddr end;                 /* the last byte */
    /* Found in RAM, and counted, when it is first needed. */
    uint64_t *entries;
    size_t count;
    uint16_t *assigned;         /* so many pages of each 2 MiB */
} rmp;

static void recount(void)
{
    g_clear_pointer(&rmp.assigned, g_free);
    rmp.entries = NULL;
}

void sev_lab_rmp_place(hwaddr base, hwaddr end)
{
    rmp.base = base;
    rmp.end = end;
    recount();
}

bool sev_lab_rmp_range(hwaddr *base, hwaddr *end)
{
    *base = rmp.base;
    *end = rmp.end;
    return rmp.base && rmp.end > rmp.base + BOOKKEEPING;
}

void sev_lab_reserve_rmp(hwaddr below_size, hwaddr above_base,
                         hwaddr above_size)
{
    hwaddr top = above_size ? above_base + above_size : below_size;
    hwaddr size = ROUND_UP(BOOKKEEPING + top / PAGE * 16, LARGE);
    /* Firmware and boot loaders use the end of what is below 4 GiB. */
    hwaddr base = above_size > size ? QEMU_ALIGN_DOWN(top - size, LARGE)
                                    : 256 * MiB;

    sev_lab_rmp_place(base, base + size - 1);
    e820_add_entry(base, size, E820_RESERVED);
}

static bool is_on(CPUX86State *env)
{
    return env->lab.syscfg & SEV_LAB_SYSCFG_SNP;
}

bool sev_lab_snp_enabled(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!is_on(cpu_env(cs))) {
            return false;
        }
    }
    return true;
}

static bool is_assigned(const uint64_t *entry)
{
    return extract64(le64_to_cpu(entry[0]), ENTRY_ASSIGNED, 1);
}

/* Whether there is a table, all of it in RAM. */
static bool find_table(void)
{
    hwaddr base = rmp.base + BOOKKEEPING;

    if (rmp.entries) {
        return true;
    }
    if (!rmp.base || rmp.end <= base) {
        return false;
    }
    rmp.entries = (uint64_t *)sev_lab_ram_range(base, rmp.end + 1 - base);
    if (!rmp.entries) {
        return false;
    }
    rmp.count = (rmp.end + 1 - base) / 16;
    rmp.assigned = g_new0(uint16_t, rmp.count / (LARGE / PAGE) + 1);
    for (size_t i = 0; i < rmp.count; i++) {
        rmp.assigned[i / (LARGE / PAGE)] += is_assigned(rmp.entries + 2 * i);
    }
    return true;
}

/* SPA's entry in DRAM, or NULL. */
static uint64_t *entry_of(hwaddr spa)
{
    return find_table() && spa / PAGE < rmp.count
           ? rmp.entries + 2 * (spa / PAGE) : NULL;
}

bool sev_lab_rmp_get(hwaddr spa, SevLabRmp *e)
{
    uint64_t *at = entry_of(spa), low, high;

    if (!at) {
        return false;
    }
    low = le64_to_cpu(at[0]);
    high = le64_to_cpu(at[1]);
    *e = (SevLabRmp){
        .gpa = extract64(low, ENTRY_GPA, 39) << 12,
        .asid = extract64(low, ENTRY_ASID, 10),
        .assigned = extract64(low, ENTRY_ASSIGNED, 1),
        .size_2m = extract64(low, ENTRY_2M, 1),
        .immutable = extract64(low, ENTRY_IMMUTABLE, 1),
        .vmsa = extract64(low, ENTRY_VMSA, 1),
        .validated = extract64(low, ENTRY_VALIDATED, 1),
    };
    for (int i = 0; i < ARRAY_SIZE(e->perms); i++) {
        e->perms[i] = high >> (8 * i);
    }
    return true;
}

static bool set(hwaddr spa, const SevLabRmp *e)
{
    uint64_t *at = entry_of(spa), high = 0;

    if (!at) {
        return false;
    }
    for (int i = 0; i < ARRAY_SIZE(e->perms); i++) {
        high |= (uint64_t)e->perms[i] << (8 * i);
    }
    rmp.assigned[spa / LARGE] += e->assigned - is_assigned(at);
    at[0] = cpu_to_le64((uint64_t)e->assigned << ENTRY_ASSIGNED |
                        (uint64_t)e->size_2m << ENTRY_2M |
                        (uint64_t)e->immutable << ENTRY_IMMUTABLE |
                        (e->gpa >> 12) << ENTRY_GPA |
                        (uint64_t)e->asid << ENTRY_ASID |
                        (uint64_t)e->vmsa << ENTRY_VMSA |
                        (uint64_t)e->validated << ENTRY_VALIDATED);
    at[1] = cpu_to_le64(high);
    return true;
}

static void flush(CPUState *cs, run_on_cpu_data data)
{
    tlb_flush(cs);
}

static void flush_all(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs == current_cpu) {
            tlb_flush(cs);
        } else {
            async_run_on_cpu(cs, flush, RUN_ON_CPU_NULL);
        }
    }
}

bool sev_lab_rmp_set(hwaddr spa, const SevLabRmp *e)
{
    if (!set(spa, e)) {
        return false;
    }
    flush_all();
    return true;
}

void sev_lab_rmp_enforce(bool on)
{
    /* CPUs check from when their SYSCFG says so; until SNP_INIT the table is
     * empty, and so all is the host's. */
    recount();
    flush_all();
}

/* Checks */

bool sev_lab_rmp_host(CPUX86State *env, hwaddr spa, int page_size,
                      MMUAccessType access, int *prot)
{
    uint64_t *entry;

    if (!is_on(env) || !(*prot & PAGE_WRITE)) {
        return true;
    }
    entry = entry_of(spa);
    if (!entry) {
        return true;
    }
    /* A large page is writable only if it is the host's as a whole. */
    if (page_size >= LARGE ? rmp.assigned[spa / LARGE] : is_assigned(entry)) {
        *prot &= ~PAGE_WRITE;
        return access != MMU_DATA_STORE;
    }
    return true;
}

/* A page that the guest says is its own. */
static bool check_private(CPUX86State *env, const SevLabRmp *e, hwaddr gpa,
                          uint64_t nested_size, MMUAccessType access,
                          int *prot, uint64_t *npf)
{
    uint8_t perms = e->perms[env->lab.vmpl];
    bool execute = perms & (SEV_LAB_VMPL_EXEC_USER | SEV_LAB_VMPL_EXEC_SUPER);

    if (!e->assigned || e->immutable || e->asid != env->lab.asid ||
        e->gpa != gpa) {
        *npf = SEV_LAB_NPF_RMP;
        return false;
    }
    if (e->size_2m != (nested_size >= LARGE)) {
        *npf = SEV_LAB_NPF_RMP | SEV_LAB_NPF_SIZE;
        return false;
    }
    if (env->lab.validating) {
        return true;
    }
    if (!e->validated) {
        *npf = 0;
        return false;
    }
    if (!(perms & SEV_LAB_VMPL_READ)) {
        *prot = 0;
    }
    if (!(perms & SEV_LAB_VMPL_WRITE) || e->vmsa) {
        *prot &= ~PAGE_WRITE;
    }
    if (!execute) {
        *prot &= ~PAGE_EXEC;
    }
    if (!(*prot & (1 << access))) {
        *npf = SEV_LAB_NPF_RMP | SEV_LAB_NPF_VMPL;
        return false;
    }
    return true;
}

bool sev_lab_rmp_guest(CPUX86State *env, hwaddr gpa, hwaddr spa,
                       uint64_t nested_size, MMUAccessType access,
                       bool encrypted, int *prot, uint64_t *npf)
{
    SevLabRmp e;

    *npf = 0;
    if (!is_on(env)) {
        return true;
    }
    if (!sev_lab_rmp_get(spa & ~(hwaddr)(PAGE - 1), &e)) {
        e = (SevLabRmp){ 0 };
    }
    if (env->lab.snp && encrypted) {
        int wanted = *prot & (1 << access);
        bool ok = check_private(env, &e, gpa & ~(hwaddr)(PAGE - 1),
                                nested_size, access, prot, npf);

        /* What the page tables forbid is theirs to complain of. */
        return ok || !wanted;
    }
    if (e.assigned && (*prot & PAGE_WRITE)) {
        *prot &= ~PAGE_WRITE;
        if (access == MMU_DATA_STORE) {
            *npf = SEV_LAB_NPF_RMP;
            return false;
        }
    }
    return true;
}

/* The host's instructions */

typedef struct QEMU_PACKED NewState {
    uint64_t gpa;
    uint8_t assigned;
    uint8_t size_2m;
    uint8_t immutable;
    uint8_t reserved;
    uint32_t asid;
} NewState;

/* Both of the pages of a 2 MiB region that stands in the table as one. */
static bool is_large(hwaddr spa)
{
    SevLabRmp e;

    return sev_lab_rmp_get(spa & ~(hwaddr)(LARGE - 1), &e) && e.assigned &&
           e.size_2m;
}

static int rmpupdate(CPUX86State *env, uintptr_t ra)
{
    hwaddr spa = env->regs[R_EAX];
    NewState new;
    hwaddr length;
    SevLabRmp e;

    for (int i = 0; i < sizeof(new); i++) {
        ((uint8_t *)&new)[i] = cpu_ldub_data_ra(env, env->regs[R_ECX] + i, ra);
    }
    length = new.size_2m ? LARGE : PAGE;
    if (spa % length || new.size_2m > 1 ||
        (new.assigned && new.gpa % length) ||
        new.asid > sev_lab_asids() || !entry_of(spa) ||
        !entry_of(spa + length - PAGE)) {
        return RMP_FAIL_INPUT;
    }
    /* The base of a large page in front stands for this one, too. */
    if (!new.size_2m && spa % LARGE && is_large(spa)) {
        return RMP_FAIL_OVERLAP;
    }
    for (hwaddr at = spa; at < spa + length; at += PAGE) {
        sev_lab_rmp_get(at, &e);
        if (e.immutable) {
            return RMP_FAIL_PERMISSION;
        }
        if (new.size_2m && new.assigned && e.assigned && !e.size_2m) {
            return RMP_FAIL_OVERLAP;
        }
    }
    if (!new.size_2m && is_large(spa)) {
        /* All of it goes back, whichever size is given. */
        if (new.assigned) {
            return RMP_FAIL_OVERLAP;
        }
        length = LARGE;
    }
    for (hwaddr at = spa; at < spa + length; at += PAGE) {
        e = (SevLabRmp){ 0 };
        if (new.assigned) {
            e.assigned = true;
            e.size_2m = new.size_2m;
            e.immutable = new.immutable;
            e.asid = new.asid;
            e.gpa = new.gpa + (at - spa);
            e.perms[0] = 0xf;
        }
        set(at, &e);
    }
    /* Who may do more than before finds it out by a fault. */
    if (new.assigned) {
        flush_all();
    }
    return RMP_OK;
}

static int psmash(CPUX86State *env)
{
    hwaddr spa = env->regs[R_EAX];
    SevLabRmp e;

    if (spa % LARGE || !entry_of(spa + LARGE - PAGE)) {
        return RMP_FAIL_INPUT;
    }
    sev_lab_rmp_get(spa, &e);
    if (!e.assigned || !e.size_2m || e.immutable) {
        return RMP_FAIL_PERMISSION;
    }
    for (hwaddr at = spa; at < spa + LARGE; at += PAGE) {
        sev_lab_rmp_get(at, &e);
        e.size_2m = false;
        set(at, &e);
    }
    flush_all();
    return RMP_OK;
}

/* The guest's instructions */

/*
 * The page that the guest names, as its page tables and the host's say; its
 * entry is checked but for what the instruction is about to change.
 */
static hwaddr page_named(CPUX86State *env, target_ulong address, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);
    CPUTLBEntryFull *full;
    void *host;
    hwaddr spa;

    tlb_flush_page(cs, address);
    env->lab.validating = true;
    probe_access_full(env, address, 0, MMU_DATA_LOAD, cpu_mmu_index(cs, false),
                      false, &host, &full, ra);
    env->lab.validating = false;
    spa = full->phys_addr & ~(hwaddr)(PAGE - 1);
    /* No check was made for what the TLB has now. */
    tlb_flush_page(cs, address);
    return spa;
}

/* The page is part of a large one: the host must split that. */
static G_NORETURN void size_fault(CPUX86State *env, hwaddr gpa, uintptr_t ra)
{
    x86_stq_phys(env_cpu(env), env->vm_vmcb +
                 offsetof(struct vmcb, control.exit_info_2), gpa);
    cpu_vmexit(env, SVM_EXIT_NPF, PG_ERROR_P_MASK | PG_ERROR_U_MASK |
               SVM_NPTEXIT_GPA | SEV_LAB_NPF_ENCRYPTED | SEV_LAB_NPF_RMP |
               SEV_LAB_NPF_SIZE, ra);
}

static int pvalidate(CPUX86State *env, bool *unchanged, uintptr_t ra)
{
    /* Where in the page does not matter. */
    target_ulong address = env->regs[R_EAX] & TARGET_PAGE_MASK;
    bool large = env->regs[R_ECX] & 1, validate = env->regs[R_EDX] & 1;
    hwaddr length = large ? LARGE : PAGE, spa;
    SevLabRmp e;

    if (env->lab.vmpl) {
        return RMP_FAIL_PERMISSION;
    }
    if ((uint32_t)env->regs[R_ECX] > 1 || address % length) {
        return RMP_FAIL_INPUT;
    }
    spa = page_named(env, address, ra);
    if (!sev_lab_rmp_get(spa, &e) || !e.assigned) {
        return RMP_FAIL_INPUT;
    }
    if (large && !e.size_2m) {
        return RMP_FAIL_SIZEMISMATCH;
    }
    if (!large && e.size_2m) {
        size_fault(env, e.gpa, ra);
    }
    *unchanged = e.validated == validate;
    for (hwaddr at = spa; at < spa + length; at += PAGE) {
        sev_lab_rmp_get(at, &e);
        e.validated = validate;
        if (validate && !*unchanged) {
            e.perms[0] = 0xf;
            e.perms[1] = e.perms[2] = e.perms[3] = 0;
        }
        set(at, &e);
    }
    if (!validate) {
        flush_all();
    }
    return RMP_OK;
}

static int rmpadjust(CPUX86State *env, uintptr_t ra)
{
    /* Where in the page does not matter. */
    target_ulong address = env->regs[R_EAX] & TARGET_PAGE_MASK;
    bool large = env->regs[R_ECX] & 1;
    uint8_t target = env->regs[R_EDX], perms = env->regs[R_EDX] >> 8;
    bool vmsa = env->regs[R_EDX] >> 16 & 1;
    hwaddr length = large ? LARGE : PAGE, spa;
    SevLabRmp e;

    if (target >= ARRAY_SIZE(e.perms) || perms > 0xf || address % length ||
        (uint32_t)env->regs[R_ECX] > 1) {
        return RMP_FAIL_INPUT;
    }
    if (target <= env->lab.vmpl || (vmsa && env->lab.vmpl)) {
        return RMP_FAIL_PERMISSION;
    }
    spa = page_named(env, address, ra);
    if (!sev_lab_rmp_get(spa, &e) || !e.assigned) {
        return RMP_FAIL_INPUT;
    }
    if (large && !e.size_2m) {
        return RMP_FAIL_SIZEMISMATCH;
    }
    if (!large && e.size_2m) {
        size_fault(env, e.gpa, ra);
    }
    /* Nobody gives what it has not. */
    if (!e.validated || (perms & ~e.perms[env->lab.vmpl])) {
        return RMP_FAIL_PERMISSION;
    }
    for (hwaddr at = spa; at < spa + length; at += PAGE) {
        sev_lab_rmp_get(at, &e);
        e.perms[target] = perms;
        if (!env->lab.vmpl) {
            e.vmsa = vmsa;
        }
        set(at, &e);
    }
    flush_all();
    return RMP_OK;
}

/*
 * 0F 01 FE and FF: RMPUPDATE (F2) and RMPADJUST (F3), PVALIDATE (F2) and PSMASH
 * (F3).
 */
void helper_sev_lab_rmp(CPUX86State *env, uint32_t opcode, uint32_t prefix)
{
    uintptr_t ra = GETPC();
    bool host = (opcode == 0xfe) == (prefix == 0xf2), unchanged = false;
    int answer;

    if (!prefix || (env->hflags & HF_CPL_MASK) ||
        !(env->hflags & HF_LMA_MASK) ||
        (host ? !is_on(env) || (env->hflags & HF_GUEST_MASK)
              : !env->lab.snp)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (opcode == 0xfe) {
        answer = host ? rmpupdate(env, ra) : rmpadjust(env, ra);
    } else {
        answer = host ? psmash(env) : pvalidate(env, &unchanged, ra);
    }
    env->regs[R_EAX] = answer;
    CC_SRC = (answer ? 0 : CC_Z) | (unchanged ? CC_C : 0);
    CC_OP = CC_OP_EFLAGS;
}
