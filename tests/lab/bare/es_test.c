/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host of an SEV-ES guest sees no registers, and only exits that it may.
 * machine: -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=2 -device sev-psp
 */
#include "encrypted.h"

#define ASID 1

/*
 * #VC tells the host its error code by the GHCB's MSR and steps over the two
 * bytes of CPUID, RDMSR or a move; the rest goes through the exits one by one.
 */
extern char vc[], code_end[];
asm("vc: popq %rax; xorl %edx, %edx; movl $0xc0010130, %ecx; wrmsr\n"
    "    .byte 0xf3, 0x0f, 0x01, 0xd9; addq $2, (%rsp); iretq\n"
    "begin: movabsq $0x1122334455667788, %r12; movq %r12, %xmm3\n"
    "    movl $0xabc, %eax; xorl %edx, %edx; movl $0xc0010130, %ecx; wrmsr\n"
    "    .byte 0xf3, 0x0f, 0x01, 0xd9\n"
    "    movl $0xc0010130, %ecx; rdmsr; .byte 0xf3, 0x0f, 0x01, 0xd9\n"
    "    cpuid\n"
    "    sti; nop; hlt\n"
    "    movq %cr0, %rax; orl $0x40000, %eax; movq %rax, %cr0\n"
    "    movq %xmm3, %rax; subq %r12, %rax; xorl %edx, %edx\n"
    "    movl $0xc0010130, %ecx; wrmsr; .byte 0xf3, 0x0f, 0x01, 0xd9\n"
    "code_end:\n");
extern char begin[];

static uint64_t vmsa[512] __attribute__((aligned(4096)));

void test(void)
{
    static uint8_t save[4096];
    uint32_t handle = psp_guest_new(4, ASID);
    void *vmcb = encrypted_vmcb(ASID, vmsa);

    VMCB_U64(vmsa, VMCB_RIP - VMCB_SAVE) = (uintptr_t)guest.code + (begin - vc);
    psp_seal_vmsa(handle, vmsa);
    guest_memory_new(handle, vc, code_end);
    VMCB_U64(vmcb, VMCB_INTERCEPT) |= 1ULL << INTERCEPT_CPUID | 1ULL << 0x30;

    memcpy(save, vmcb, sizeof(save));
    check_equal(guest_run(vmcb), EXIT_VMGEXIT, "VMGEXIT exits");
    check_equal(VMCB_U64(vmcb, VMCB_GHCB), 0xabc,
                "with what the guest wrote into the GHCB's MSR");
    check(!memcmp(save + VMCB_SAVE, (char *)vmcb + VMCB_SAVE, 4096 - VMCB_SAVE),
          "and none of its registers in the VMCB");
    for (int i = 0; i < 511; i++) {
        if (vmsa[i] == 0x1122334455667788) {
            check(false, "nor in its VMSA");
        }
    }
    VMCB_U64(vmcb, VMCB_GHCB) = 0xdef;
    check_equal(guest_run(vmcb), EXIT_VMGEXIT,
                "the guest goes on behind VMGEXIT by itself");
    check_equal(VMCB_U64(vmcb, VMCB_GHCB), 0xdef,
                "the GHCB's MSR is what the host answered");
    check_equal(guest_run(vmcb), EXIT_VMGEXIT,
                "an intercepted CPUID comes to the guest as #VC");
    check_equal(VMCB_U64(vmcb, VMCB_GHCB), EXIT_CPUID,
                "with the exit's code as its error code");
    check(!(VMCB_U32(vmcb, VMCB_INT_STATE) & 2),
          "the VMCB says that the guest takes no interrupts");
    check_equal(guest_run(vmcb), EXIT_HLT, "HLT exits at once");
    check(VMCB_U32(vmcb, VMCB_INT_STATE) & 2,
          "the VMCB says that the guest takes interrupts");
    check_equal(guest_run(vmcb), EXIT_WRITE_CR0 + 0x80,
                "HLT is behind it, and a write of CR0 is told of afterwards");
    check_equal(VMCB_U64(vmcb, VMCB_EXIT_INFO_1) & 0x40000, 0x40000,
                "with the new value");
    check_equal(guest_run(vmcb), EXIT_VMGEXIT, "the guest goes on");
    check_equal(VMCB_U64(vmcb, VMCB_GHCB), 0,
                "with the registers that it had all the time");
}
