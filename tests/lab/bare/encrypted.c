/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encrypted.h"

struct guest_memory guest;
extern char pml4[];

enum {
    NPT = 1,
    SEV = 2,
    ES = 4
};

void guest_memory_fill(const void *code, const void *end)
{
    memset(&guest, 0, sizeof(guest));
    memcpy(guest.code, code, (char *)end - (char *)code);
    guest.gdt[1] = 0x00af9b000000ffff;
    guest.gdt[2] = 0x00cf93000000ffff;
    guest.pml4[0] = (uintptr_t)guest.pdpt | C_BIT | 7;
    guest.pdpt[0] = (uintptr_t)guest.pd | C_BIT | 7;
    guest.pdpt[1] = (uintptr_t)guest.shared_pd | C_BIT | 7;
    for (uint64_t i = 0; i < 512; i++) {
        guest.pd[i] = i << 21 | C_BIT | 0x87;
        guest.shared_pd[i] = i << 21 | 0x87;
    }
    /* #VC is handled at the start of the code. */
    guest.idt[29].low = 0x8e0000080000 | ((uintptr_t)guest.code & 0xffff) |
                        ((uintptr_t)guest.code & 0xffff0000) << 32;
    guest.idt[29].high = (uintptr_t)guest.code >> 32;
}

void guest_memory_new(uint32_t handle, const void *code, const void *end)
{
    guest_memory_fill(code, end);
    psp_encrypt(handle, &guest, sizeof(guest));
}

static void set_segment(void *save, int index, uint16_t selector,
                        uint16_t attrib, uint32_t limit, const void *base)
{
    ((struct vmcb_seg *)save)[index] = (struct vmcb_seg){
        selector, attrib, limit, (uintptr_t)base};
}

void *encrypted_vmcb(uint32_t asid, uint64_t *vmsa)
{
    void *vmcb = guest_new(NULL);
    char *save = (char *)vmcb + VMCB_SAVE;

    VMCB_U32(vmcb, VMCB_ASID) = asid;
    VMCB_U64(vmcb, VMCB_NESTED_CTL) = NPT | SEV | (vmsa ? ES : 0);
    VMCB_U64(vmcb, VMCB_NESTED_CR3) = (uintptr_t)pml4;
    VMCB_U64(vmcb, VMCB_CR3) = (uintptr_t)guest.pml4 | C_BIT;
    VMCB_U64(vmcb, VMCB_RIP) = (uintptr_t)guest.code;
    VMCB_U64(vmcb, VMCB_RSP) = (uintptr_t)guest.stack + sizeof(guest.stack);
    set_segment(save, 6, 0, 0, sizeof(guest.gdt) - 1, guest.gdt);
    set_segment(save, 8, 0, 0, sizeof(guest.idt) - 1, guest.idt);
    if (vmsa) {
        memcpy(vmsa, save, 4096 - VMCB_SAVE);
        VMCB_U64(vmsa, 0x3e8) = 1;      /* XCR0 */
        VMCB_U32(vmsa, 0x408) = 0x1f80; /* MXCSR */
        VMCB_U16(vmsa, 0x410) = 0x37f;  /* FCW */
        memset(save, 0, 4096 - VMCB_SAVE);
        VMCB_U64(vmcb, VMCB_VMSA) = (uintptr_t)vmsa;
    }
    return vmcb;
}
