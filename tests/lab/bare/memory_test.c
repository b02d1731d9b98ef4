/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an SEV guest writes privately, DRAM holds as ciphertext.
 * machine: -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=1 -device sev-psp
 */
#include "encrypted.h"

#define ASID 40

/* What it is to do is in RAX and RSP, which the VMCB has. */
extern char reads[], writes[], sees_both[], code_end[];
asm("reads: movq (%rax), %rax; vmmcall\n"
    "writes: movq %rsp, (%rax); vmmcall\n"
    "sees_both: movq %rsp, (%rax); movl $0x40000000, %ebx\n"
    "    movq (%rax, %rbx), %rbx; movq (%rax), %rsp\n"
    "    movq %rbx, %rax; vmmcall\n"
    "code_end:\n");

static void *vmcb;

static uint64_t run(const char *code, uint64_t at, uint64_t value)
{
    VMCB_U64(vmcb, VMCB_RIP) = (uintptr_t)guest.code + (code - reads);
    VMCB_U64(vmcb, VMCB_RAX) = at;
    VMCB_U64(vmcb, VMCB_RSP) = value;
    return guest_run(vmcb);
}

static uint64_t guest_reads(const volatile uint64_t *at, uint64_t view)
{
    return run(reads, (uintptr_t)at + view, 0) == EXIT_VMMCALL
             ? VMCB_U64(vmcb, VMCB_RAX)
             : ~0ULL;
}

static void guest_writes(const volatile uint64_t *at, uint64_t view,
                         uint64_t value)
{
    check_equal(run(writes, (uintptr_t)at + view, value), EXIT_VMMCALL,
                "the guest writes");
}

static int same_bytes(const uint8_t *a, const uint8_t *b, int count)
{
    int same = 0;

    while (count--) {
        same += a[count] == b[count];
    }
    return same;
}

void test(void)
{
    static uint64_t old[512], elsewhere[512];
    volatile uint64_t *data = guest.data, *other = guest.other;
    uint64_t text = 0x0123456789abcdef;
    uint32_t handle = psp_guest_new(0, ASID);

    guest_memory_new(handle, reads, code_end);
    vmcb = encrypted_vmcb(ASID, NULL);

    check_equal(guest_reads(data, 0), 0,
                "the guest reads what was encrypted for it");
    guest_writes(data, 0, text);
    check_equal(guest_reads(data, 0), text, "the guest reads what it wrote");
    check(*data != text, "and DRAM holds something else");

    memcpy(old, guest.data, sizeof(old));
    guest_writes(data, 0, text ^ 1);
    check(same_bytes((uint8_t *)old, (uint8_t *)guest.data, 16) < 4,
          "one bit of text changes the whole block of ciphertext");
    check_equal(
        same_bytes((uint8_t *)old + 16, (uint8_t *)guest.data + 16, 4080), 4080,
        "and no other block");

    guest_writes(data, 0, text);
    check(!memcmp(old, guest.data, 16), "the same text in the same place is "
                                        "the same ciphertext");
    guest_writes(other, 0, text);
    check(same_bytes((uint8_t *)old, (uint8_t *)guest.other, 16) < 4,
          "and in another place another");

    memcpy(guest.other, guest.data, 4096);
    check(guest_reads(other, 0) != text, "ciphertext that was moved is noise");
    memcpy(elsewhere, guest.data, 4096);
    guest_writes(data, 0, ~text);
    memcpy(guest.data, elsewhere, 4096);
    check_equal(guest_reads(data, 0), text,
                "ciphertext that was put back is the old text");

    guest_writes(other, SHARED, text);
    check_equal(*other, text,
                "what the guest writes as shared, the host reads");
    *other = ~text;
    check_equal(guest_reads(other, SHARED), ~text, "and the other way round");

    check_equal(run(sees_both, (uintptr_t)data, ~text), EXIT_VMMCALL,
                "a guest looks at one page in both ways");
    check_equal(VMCB_U64(vmcb, VMCB_RAX), *data,
                "as shared it sees what DRAM holds");
    check_equal(VMCB_U64(vmcb, VMCB_RSP), ~text, "as private its text");

    VMCB_U64(vmcb, VMCB_RAX) = (uintptr_t)data;
    VMCB_U64(vmcb, VMCB_RIP) = (uintptr_t)guest.code + SHARED;
    check_equal(guest_run(vmcb), EXIT_VMMCALL,
                "code is private, even where it is mapped as shared");

    struct {
        uint32_t handle;
    } old_guest = {handle};
    check_equal(psp(PSP_DEACTIVATE, &old_guest, 4), 0, "DEACTIVATE");
    asm volatile("wbinvd");
    check_equal(psp(PSP_DF_FLUSH, &old_guest, 0), 0, "DF_FLUSH");
    psp_guest_new(0, ASID);
    check(run(reads, (uintptr_t)data, 0) != EXIT_VMMCALL,
          "with another key, neither its code nor its page tables mean "
          "anything");
}
