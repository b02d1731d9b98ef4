/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reverse map table keeps the host from a page that is not its own, and
 * RMPUPDATE and PSMASH refuse what would make the table contradict itself.
 * machine: -m 1024 -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=3
 */
#include "bare.h"

#define LARGE 0x200000
#define PAGE 4096

enum {
    OK = 0,
    FAIL_INPUT = 1,
    FAIL_PERMISSION = 2,
    FAIL_OVERLAP = 4
};

struct state {
    uint64_t gpa;
    uint8_t assigned, large, immutable, reserved;
    uint32_t asid;
} __attribute__((packed));

extern char pml4[];
extern uint64_t pds[];
/* The first is mapped in small pages, the second in a large one. */
static uint8_t region[2][LARGE] __attribute__((aligned(LARGE)));

static uint64_t rmpupdate(const void *page, struct state state)
{
    uint64_t answer = (uintptr_t)page;

    asm volatile(".byte 0xf2, 0x0f, 0x01, 0xfe"
                 : "+a"(answer)
                 : "c"(&state)
                 : "memory", "cc");
    return answer;
}

static uint64_t psmash(const void *page)
{
    uint64_t answer = (uintptr_t)page;

    asm volatile(".byte 0xf3, 0x0f, 0x01, 0xff" : "+a"(answer)::"memory", "cc");
    return answer;
}

static struct state assigned(uint64_t gpa, bool large)
{
    return (struct state){gpa, 1, large, 0, 0, 1};
}

static const struct state host = {0};

static bool writes(volatile uint8_t *at)
{
    if (TRY) {
        *at = 1;
        bare_end_try();
        return true;
    }
    return false;
}

static void map_small(void)
{
    static uint64_t table[512] __attribute__((aligned(PAGE)));

    for (int i = 0; i < 512; i++) {
        table[i] = ((uintptr_t)region[0] + i * PAGE) | 7;
    }
    pds[(uintptr_t)region[0] / LARGE] = (uintptr_t)table | 7;
    asm volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" ::: "rax", "memory");
}

void writes_page(void);
void reads_page(void);
asm("writes_page: movb $2, (%rax); vmmcall\n"
    "reads_page: movb (%rax), %al; vmmcall\n");

static uint64_t guest_does(void (*code)(void), const uint8_t *at, void **vmcb)
{
    *vmcb = guest_new(code);
    VMCB_U64(*vmcb, VMCB_NESTED_CTL) = 1;
    VMCB_U64(*vmcb, VMCB_NESTED_CR3) = (uintptr_t)pml4;
    VMCB_U64(*vmcb, VMCB_RAX) = (uintptr_t)at;
    return guest_run(*vmcb);
}

static void refuses_the_host(uint8_t *page)
{
    void *vmcb;

    check_equal(rmpupdate(page, assigned(0x5000, false)), OK,
                "RMPUPDATE gives a page to a guest");
    check(!writes(page), "the host no longer writes it");
    check_equal(last_fault.vector, 14, "that is a page fault");
    check_equal(last_fault.error, 0x80000003, "whose error code says RMP");
    check_equal(last_fault.cr2, (uintptr_t)page, "at the page");
    if (TRY) {
        (void)*(volatile uint8_t *)page;
        bare_end_try();
        check(true, "the host reads it, though");
    } else {
        check(false, "the host reads it, though");
    }
    check(writes(page + PAGE), "the host writes the page behind it");

    check_equal(guest_does(writes_page, page, &vmcb), EXIT_NPF,
                "nor does another guest write it");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1) & 0x180000002, 0x180000002,
                "that is a nested page fault that says RMP");
    check_equal(guest_does(reads_page, page, &vmcb), EXIT_VMMCALL,
                "it reads it, though");

    check_equal(rmpupdate(page, host), OK, "RMPUPDATE takes the page back");
    check(writes(page), "and the host writes it");
}

static void refuses_contradictions(uint8_t *page)
{
    uint64_t end = rdmsr(0xc0010133);
    struct state state = assigned(0x5000, false);

    check_equal(rmpupdate(page + 8, state), FAIL_INPUT,
                "RMPUPDATE refuses what is no page");
    check_equal(rmpupdate(page, assigned(0x5008, false)), FAIL_INPUT,
                "and a guest's address that is none");
    check_equal(rmpupdate((void *)(end << 12), state), FAIL_INPUT,
                "and a page that the table does not cover");
    state.asid = 65;
    check_equal(rmpupdate(page, state), FAIL_INPUT, "and an ASID beyond all");
    check_equal(rmpupdate(page + PAGE, assigned(LARGE, true)), FAIL_INPUT,
                "and a large page that is not aligned");

    state = assigned(0x5000, false);
    state.immutable = 1;
    check_equal(rmpupdate(page + 3 * PAGE, state), OK,
                "a page is made immutable");
    check_equal(rmpupdate(page + 3 * PAGE, host), FAIL_PERMISSION,
                "and RMPUPDATE does not take it back");
}

static void splits_large_pages(uint8_t *large)
{
    check_equal(psmash(large), FAIL_PERMISSION,
                "PSMASH refuses what is no guest's");
    check_equal(rmpupdate(large + PAGE, assigned(0x1000, false)), OK,
                "a small page is given away");
    check(!writes(large), "of its large mapping the host writes nothing");
    check_equal(rmpupdate(large, assigned(LARGE, true)), FAIL_OVERLAP,
                "RMPUPDATE refuses a large page around it");
    check_equal(rmpupdate(large + PAGE, host), OK, "it comes back");
    check_equal(rmpupdate(large, assigned(LARGE, true)), OK,
                "and the large page can be given");
    check_equal(rmpupdate(large + PAGE, host), FAIL_OVERLAP,
                "RMPUPDATE refuses a part of a large page");
    check_equal(psmash(large + PAGE), FAIL_INPUT,
                "PSMASH refuses what is not aligned");
    check_equal(psmash(large), OK, "PSMASH splits it");
    check(!writes(large + 5 * PAGE), "and it is still the guest's");
    check_equal(rmpupdate(large + PAGE, host), OK,
                "a part of it can be taken back now");
    check_equal(psmash(large), FAIL_PERMISSION,
                "and there is nothing to split any more");
}

void test(void)
{
    uint64_t base = rdmsr(0xc0010132), end = rdmsr(0xc0010133);

    check(base && end - base + 1 >= 0x4000 + 1024ULL * 256 * 16,
          "the firmware has reserved a table for all RAM");
    if (TRY) {
        rmpupdate(region[0], host);
        bare_end_try();
        check(false, "without SNP there is no RMPUPDATE");
    } else {
        check_equal(last_fault.vector, 6, "without SNP there is no RMPUPDATE");
    }
    memset((void *)base, 0, end - base + 1);
    wrmsr(0xc0010010, rdmsr(0xc0010010) | 1 << 24);
    wrmsr(0xc0010010, rdmsr(0xc0010010) & ~(1ULL << 24));
    check(rdmsr(0xc0010010) >> 24 & 1, "SNP stays on once it is on");
    if (TRY) {
        wrmsr(0xc0010132, base + LARGE);
        bare_end_try();
        check(false, "and then the table cannot be moved");
    } else {
        check_equal(last_fault.vector, 13,
                    "and then the table cannot be moved");
    }
    map_small();
    refuses_the_host(region[0]);
    refuses_contradictions(region[0]);
    splits_large_pages(region[1]);
}
