/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMRUN refuses what has no key, the wrong ASID or a VMSA that is not the
 * processor's, and a refusal changes nothing.
 * machine: -cpu EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,+decodeassists,-hypervisor,sev-lab=2 -device sev-psp
 */
#include "bare.h"

extern char pml4[];
static uint64_t vmsa[512] __attribute__((aligned(4096)));

enum {
    NPT = 1,
    SEV = 2,
    ES = 4
};

void halts(void);
asm("halts: hlt; vmmcall");

static void *encrypted(uint32_t asid, uint64_t kind)
{
    void *vmcb = guest_new(halts);

    VMCB_U32(vmcb, VMCB_ASID) = asid;
    VMCB_U64(vmcb, VMCB_NESTED_CTL) = kind;
    VMCB_U64(vmcb, VMCB_NESTED_CR3) = (uintptr_t)pml4;
    VMCB_U64(vmcb, VMCB_VMSA) = (uintptr_t)vmsa;
    return vmcb;
}

/* The VMCB's save area is as it was, and so is the VMSA. */
static void refused(void *vmcb, const char *sentence)
{
    static uint8_t saved[4096], sealed[4096];

    memcpy(saved, vmcb, 4096);
    memcpy(sealed, vmsa, 4096);
    check_equal(guest_run(vmcb), EXIT_INVALID, sentence);
    check(!memcmp(saved + VMCB_SAVE, (char *)vmcb + VMCB_SAVE,
                  4096 - VMCB_SAVE) &&
              !memcmp(sealed, vmsa, 4096),
          "and it changes nothing");
}

void test(void)
{
    uint64_t status;

    check_equal(guest_run(guest_new(halts)), EXIT_HLT,
                "a guest without encryption runs");
    refused(encrypted(40, NPT | SEV), "VMRUN refuses an ASID without a key");
    refused(encrypted(1, NPT | ES), "VMRUN refuses SEV-ES without SEV");

    psp_guest_new(0, 40);
    refused(encrypted(40, SEV), "VMRUN refuses SEV without nested paging");
    refused(encrypted(40, NPT | SEV | ES),
            "VMRUN refuses SEV-ES with an ASID of SEV's");
    refused(encrypted(41, NPT | SEV), "VMRUN refuses another ASID");

    uint32_t handle = psp_guest_new(4, 1);
    refused(encrypted(1, NPT | SEV),
            "VMRUN refuses SEV with an ASID of SEV-ES's");
    refused(encrypted(1, NPT | SEV | ES), "VMRUN refuses a VMSA never sealed");

    vmsa[0xd0 / 8] = rdmsr(0xc0000080);
    psp_seal_vmsa(handle, vmsa);
    check(vmsa[0xd0 / 8] != rdmsr(0xc0000080), "a sealed VMSA is ciphertext");
    vmsa[100] ^= 1;
    refused(encrypted(1, NPT | SEV | ES),
            "VMRUN refuses a VMSA of which one bit has changed");
    vmsa[100] ^= 1;
    void *vmcb = encrypted(1, NPT | SEV | ES);
    VMCB_U64(vmcb, VMCB_VMSA) = (uintptr_t)vmsa + 8;
    refused(vmcb, "VMRUN refuses a VMSA that is not aligned");
    vmcb = encrypted(1, NPT | SEV | ES);
    static uint64_t copy[512] __attribute__((aligned(4096)));
    memcpy(copy, vmsa, 4096);
    VMCB_U64(vmcb, VMCB_VMSA) = (uintptr_t)copy;
    refused(vmcb, "VMRUN refuses a VMSA that was copied elsewhere");

    struct {
        uint32_t handle;
    } deactivate = {handle};
    status = psp(PSP_DEACTIVATE, &deactivate, sizeof(deactivate));
    check_equal(status, 0, "DEACTIVATE");
    refused(encrypted(1, NPT | SEV | ES),
            "VMRUN refuses an ASID whose key is gone");
    check_equal(guest_run(guest_new(halts)), EXIT_HLT,
                "and a guest without encryption still runs");
}
