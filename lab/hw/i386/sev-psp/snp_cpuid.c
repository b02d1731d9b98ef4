/*
 * SNP: what a CPUID page may promise a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SNP ABI 7.1 and SNP_LAUNCH_UPDATE: no feature that the processor has not.
 * Bits that hang on the vCPU or are the hypervisor's may be as they like.
 */

#include "internal.h"

/* Registers of features, and the bits of them that are not checked. */
static const struct {
    uint32_t leaf, index;
    int reg; /* 0: EAX … 3: EDX */
    uint32_t never, any;
} rules[] = {
    /* never TSC deadline; x2APIC, OSXSAVE, "a hypervisor" are the vCPU's */
    {0x1, 0, 2, 1u << 24, 1u << 21 | 1u << 27 | 1u << 31},
    /* HTT is topology */
    {0x1, 0, 3, 0, 1u << 28},
    /* never TSC_ADJUST */
    {0x7, 0, 1, 1u << 1, 0},
    /* OSPKE follows CR4 */
    {0x7, 0, 2, 0, 1u << 4},
    /* never Intel's mitigations' MSRs */
    {0x7, 0, 3, 0x3fu << 26, 0},
    {0x80000001, 0, 2, 0, 1u << 1 | 1u << 22},
    {0x80000001, 0, 3, 0, 0},
    /* never VIRT_SSBD */
    {0x80000008, 0, 1, 1u << 25, 0},
};

static bool correct(Psp *psp, SnpCpuidFunction *function)
{
    bool good = true;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rules[i].leaf != function->eax_in ||
            rules[i].index != function->ecx_in) {
            continue;
        }
        uint32_t has[4], out = function->out[rules[i].reg];
        psp->host.cpuid(psp->host.opaque, rules[i].leaf, rules[i].index, has);
        uint32_t allowed = (has[rules[i].reg] | rules[i].any) & ~rules[i].never;
        function->out[rules[i].reg] = out & allowed;
        good = good && !(out & ~allowed);
    }
    return good;
}

bool snp_cpuid_correct(Psp *psp, SnpCpuidPage *page)
{
    bool good = page->count <= SNP_CPUID_MAX;
    for (uint32_t i = 0; good && i < page->count; i++) {
        good = !page->function[i].reserved;
    }
    if (!good) {
        return false;
    }
    for (uint32_t i = 0; i < page->count; i++) {
        good = correct(psp, &page->function[i]) && good;
    }
    return good;
}
