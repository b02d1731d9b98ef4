/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An SNP guest uses a page only if it is its own, where it expects it, and has
 * been validated; and it cannot give itself more than it has.
 * machine: -m 1024 -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=3 -device sev-psp
 */
#include "encrypted.h"

#define ASID 1
#define PAGE 4096

enum {
    SNP_INIT_EX = 0x85,
    SNP_ACTIVATE = 0x91,
    SNP_GCTX_CREATE = 0x93,
    SNP_LAUNCH_START = 0xa0,
    SNP_LAUNCH_UPDATE = 0xa1,
    SNP_LAUNCH_FINISH = 0xa2
};

#define NPF_RMP (1ULL << 31)
#define NPF_ENCRYPTED (1ULL << 34)
#define NPF_VMPL (1ULL << 36)

extern char pml4[];
extern uint64_t pds[];
static uint64_t tables[8][512] __attribute__((aligned(PAGE)));
static uint64_t vmsa[512] __attribute__((aligned(PAGE)));
static uint8_t gctx[PAGE] __attribute__((aligned(PAGE)));

/*
 * Each report is a VMGEXIT with RAX in the GHCB's MSR; of an instruction's
 * answer bit 8 is CF. R14 is the data page, R15 the other one.
 */
#define REPORT                                                                 \
    "xorl %edx, %edx; movl $0xc0010130, %ecx; wrmsr\n"                         \
    ".byte 0xf3, 0x0f, 0x01, 0xd9\n"
#define ANSWER "setc %ah; movzwl %ax, %eax\n" REPORT
#define PVALIDATE ".byte 0xf2, 0x0f, 0x01, 0xff\n"
#define RMPADJUST ".byte 0xf3, 0x0f, 0x01, 0xfe\n"

extern char vc[], begin[], code_end[];
asm("vc: popq %rax\n" REPORT "addq $2, (%rsp); iretq\n"
    "begin:\n"
    "movq %r14, %rax; xorl %ecx, %ecx; movl $1, %edx\n" PVALIDATE ANSWER
    "movq %r14, %rax; xorl %ecx, %ecx; xorl %edx, %edx\n" PVALIDATE ANSWER
    "movq %r14, %rsi; .byte 0x8b, 0x06\n" /* movl (%rsi), %eax */
    "movq %r14, %rax; xorl %ecx, %ecx; movl $1, %edx\n" PVALIDATE ANSWER
    "movl (%r14), %eax\n" REPORT
    "movq %r14, %rax; movl $2, %ecx; movl $1, %edx\n" PVALIDATE ANSWER
    "movq %r15, %rax; xorl %ecx, %ecx; xorl %edx, %edx\n" RMPADJUST ANSWER
    "movq %r15, %rax; xorl %ecx, %ecx; movl $0x101, %edx\n" RMPADJUST ANSWER
    "movl $0x40000000, %ebx; movl $0x5678, (%r15, %rbx); movl $1, %eax\n" REPORT
    "movq %r14, %rax; xorl %ecx, %ecx; movl $0x10001, %edx\n" RMPADJUST ANSWER
    "movl $1, (%r14)\n"
    "code_end:\n");

static uint64_t rmpupdate(const void *page, bool assigned, uint32_t asid,
                          bool immutable)
{
    struct {
        uint64_t gpa;
        uint8_t assigned, large, immutable, reserved;
        uint32_t asid;
    } __attribute__((packed))
    state = {asid ? (uintptr_t)page : 0, assigned, 0, immutable, 0, asid};
    uint64_t answer = (uintptr_t)page;

    asm volatile(".byte 0xf2, 0x0f, 0x01, 0xfe"
                 : "+a"(answer)
                 : "c"(&state)
                 : "memory", "cc");
    return answer;
}

static void map_small(void)
{
    for (uint64_t i = 0; i < 8; i++) {
        for (uint64_t j = 0; j < 512; j++) {
            tables[i][j] = (i << 21 | j << 12) | 7;
        }
        pds[i] = (uintptr_t)tables[i] | 7;
    }
    asm volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" ::: "rax", "memory");
}

static void launch_page(const void *page, uint32_t type)
{
    struct {
        uint64_t gctx;
        uint32_t what, reserved1;
        uint64_t address;
        uint64_t reserved2;
    } __attribute__((packed))
    update = {(uintptr_t)gctx, type << 1, 0, (uintptr_t)page, 0};

    if (rmpupdate(page, true, ASID, true) ||
        psp(SNP_LAUNCH_UPDATE, &update, sizeof(update))) {
        check(false, "SNP_LAUNCH_UPDATE");
    }
}

static void launch(void)
{
    uint64_t base = rdmsr(0xc0010132), end = rdmsr(0xc0010133);
    uint64_t init[8] = {1}, context = (uintptr_t)gctx, finish[8] = {context};
    struct {
        uint64_t gctx, policy, ma;
        uint32_t flags, khz;
        uint8_t gosvw[16];
    } __attribute__((packed)) start = {context, 0x30000, 0, 0, 0, {0}};
    struct {
        uint64_t gctx;
        uint32_t asid;
    } __attribute__((packed)) activate = {context, ASID};

    memset((void *)base, 0, end - base + 1);
    wrmsr(0xc0010010, rdmsr(0xc0010010) | 3 << 24);
    asm volatile("wbinvd");
    check_equal(psp(SNP_INIT_EX, init, sizeof(init)), 0, "SNP_INIT_EX");
    check_equal(psp(0x84, init, 0), 0, "SNP_DF_FLUSH");
    check_equal(rmpupdate(gctx, true, 0, true), 0, "the firmware gets a page");
    check_equal(psp(SNP_GCTX_CREATE, &context, 8), 0, "SNP_GCTX_CREATE");
    check_equal(psp(SNP_LAUNCH_START, &start, sizeof(start)), 0,
                "SNP_LAUNCH_START");
    check_equal(psp(SNP_ACTIVATE, &activate, sizeof(activate)), 0,
                "SNP_ACTIVATE");
    for (char *at = (char *)&guest; at < (char *)(&guest + 1); at += PAGE) {
        launch_page(at, 1);
    }
    launch_page(vmsa, 2);
    check_equal(psp(SNP_LAUNCH_FINISH, finish, sizeof(finish)), 0,
                "SNP_LAUNCH_FINISH");
}

static void *vmcb;

static void reports(uint64_t value, const char *sentence)
{
    uint64_t code = guest_run(vmcb);

    check_equal(code, EXIT_VMGEXIT, "the guest reports");
    check_equal(VMCB_U64(vmcb, VMCB_GHCB), value, sentence);
}

static void faults(uint64_t bits, const void *at, const char *sentence)
{
    check_equal(guest_run(vmcb), EXIT_NPF, sentence);
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1) & bits, bits,
                "and the exit says why");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_2), (uintptr_t)at, "and where");
}

void test(void)
{
    map_small();
    vmcb = encrypted_vmcb(ASID, vmsa);
    VMCB_U64(vmsa, VMCB_RIP - VMCB_SAVE) = (uintptr_t)guest.code + (begin - vc);
    VMCB_U64(vmsa, 0x3b0) = 1; /* SEV_FEATURES: SNP */
    VMCB_U64(vmsa, 0x370) = (uintptr_t)guest.data;
    VMCB_U64(vmsa, 0x378) = (uintptr_t)guest.other;
    guest_memory_fill(vc, code_end);
    guest.data[0] = 0x1234;
    launch();

    reports(0x100, "a page that is valid already stays so");
    reports(0, "a page is invalidated");
    reports(0x404, "and its use is a #VC");
    reports(0, "it is validated again");
    reports(0x1234, "and holds what it held");
    reports(1, "PVALIDATE refuses a size that is none");
    reports(2, "RMPADJUST refuses the guest's own level");
    reports(0, "RMPADJUST gives a lower level what the guest has");
    faults(NPF_RMP, guest.other,
           "a write as shared of a page that is the "
           "guest's goes to the host");
    check_equal(rmpupdate(guest.other, false, 0, false), 0,
                "the host makes it shared");
    reports(1, "the guest writes it");
    check_equal((uint32_t)guest.other[0], 0x5678, "and the host reads that");
    reports(0, "RMPADJUST makes a page a VMSA");
    faults(NPF_RMP | NPF_ENCRYPTED, guest.data, "which the guest cannot write");

    /* The host puts another of the guest's pages there. */
    tables[(uintptr_t)guest.data >> 21][(uintptr_t)guest.data >> 12 & 511] =
        (uintptr_t)guest.stack | 7;
    asm volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" ::: "rax", "memory");
    faults(NPF_RMP | NPF_ENCRYPTED, guest.data,
           "a page of the guest's in another's place is refused");

    VMCB_U64(vmcb, VMCB_VMSA) = (uintptr_t)guest.stack;
    check_equal(guest_run(vmcb), EXIT_INVALID,
                "VMRUN refuses a page of the guest's that is no VMSA");
}
