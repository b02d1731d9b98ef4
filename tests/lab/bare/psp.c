/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secure processor as a driver sees it: PCI 1022:14ca, BAR 2. */
#include "bare.h"

#define COMMAND 0x10980
#define ADDRESS 0x109e0
#define DONE (1u << 31)

static volatile uint32_t *registers(void)
{
    for (uint32_t slot = 0; slot < 32; slot++) {
        uint32_t config = 0x80000000 | slot << 11;

        outl(0xcf8, config);
        if (inl(0xcfc) == 0x14ca1022) {
            outl(0xcf8, config | 4);
            outl(0xcfc, 6); /* memory, bus master */
            outl(0xcf8, config | 0x18);
            return (void *)(uintptr_t)(inl(0xcfc) & ~15u);
        }
    }
    return NULL;
}

uint32_t psp(uint32_t command, void *argument, uint32_t size)
{
    static uint8_t buffer[4096] __attribute__((aligned(4096)));
    static volatile uint32_t *at;

    if (!at) {
        at = registers();
    }
    if (!at) {
        check(false, "there is a secure processor");
        return ~0u;
    }
    memcpy(buffer, argument, size);
    at[ADDRESS / 4] = (uint32_t)(uintptr_t)buffer;
    at[ADDRESS / 4 + 1] = 0;
    at[COMMAND / 4] = command << 16;
    while (!(at[COMMAND / 4] & DONE)) {}
    memcpy(argument, buffer, size);
    return at[COMMAND / 4] & 0xffff;
}

uint32_t psp_guest_new(uint32_t policy, uint32_t asid)
{
    static uint8_t tmr[0x100000] __attribute__((aligned(0x100000)));
    struct {
        uint32_t flags, reserved;
        uint64_t tmr;
        uint32_t tmr_length;
    } __attribute__((packed)) init = {1, 0, (uintptr_t)tmr, sizeof(tmr)};
    struct {
        uint32_t handle, policy;
        uint64_t dh;
        uint32_t dh_length, reserved;
        uint64_t session;
        uint32_t session_length;
    } __attribute__((packed)) start = {.policy = policy};
    struct {
        uint32_t handle, asid;
    } activate = {0, asid};
    static bool initialised;

    if (!initialised) {
        check_equal(psp(PSP_INIT, &init, sizeof(init)), 0, "INIT");
        asm volatile("wbinvd");
        check_equal(psp(PSP_DF_FLUSH, &init, 0), 0, "DF_FLUSH");
        initialised = true;
    }
    check_equal(psp(PSP_LAUNCH_START, &start, sizeof(start)), 0,
                "LAUNCH_START");
    activate.handle = start.handle;
    check_equal(psp(PSP_ACTIVATE, &activate, sizeof(activate)), 0, "ACTIVATE");
    return start.handle;
}

static void update(uint32_t command, uint32_t handle, const void *at,
                   uint32_t length)
{
    struct {
        uint32_t handle, reserved;
        uint64_t address;
        uint32_t length;
    } __attribute__((packed)) update = {handle, 0, (uintptr_t)at, length};

    check_equal(psp(command, &update, sizeof(update)), 0,
                command == PSP_LAUNCH_UPDATE_DATA ? "LAUNCH_UPDATE_DATA"
                                                  : "LAUNCH_UPDATE_VMSA");
}

void psp_encrypt(uint32_t handle, const void *at, uint32_t length)
{
    update(PSP_LAUNCH_UPDATE_DATA, handle, at, length);
}

void psp_seal_vmsa(uint32_t handle, const void *vmsa)
{
    update(PSP_LAUNCH_UPDATE_VMSA, handle, vmsa, 4096);
}
