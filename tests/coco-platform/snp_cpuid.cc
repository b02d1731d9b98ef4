/*
 * What SNP firmware lets a CPUID page say
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SNP ABI (56860), the page type PAGE_TYPE_CPUID of SNP_LAUNCH_UPDATE: at
 * most 64 functions, and no feature that the processor has not.  "The
 * processor" here is the CPU underneath; bits that depend on the vCPU
 * (APIC id, OSXSAVE) and the hypervisor's are anybody's.
 */

#include "sev.h"

#include <cpuid.h>
#include <cstring>

namespace coco {

namespace {

struct Function {
    uint32_t eax_in, ecx_in;
    uint64_t xcr0_in, xss_in;
    uint32_t eax, ebx, ecx, edx;
    uint64_t reserved;
} __attribute__((packed));

static_assert(sizeof(Function) == 48);
constexpr uint32_t kMax = 64;

/* Registers that are feature bits, and bits that firmware refuses or lets
 * through whatever the processor has. */
struct FeatureRule {
    uint32_t leaf, index;
    uint8_t reg; /* 0: EAX … 3: EDX */
    uint32_t never;
    uint32_t always;
};

constexpr FeatureRule kRules[] = {
    /* TSC deadline never; OSXSAVE, x2APIC and "hypervisor" always */
    {1, 0, 2, 1u << 24, 1u << 27 | 1u << 21 | 1u << 31},
    /* HTT is topology */
    {1, 0, 3, 0, 1u << 28},
    {7, 0, 1, 1u << 1, 0}, /* TSC_ADJUST */
    {7, 0, 2, 0, 1u << 4}, /* OSPKE */
    /* SPEC_CTRL, STIBP, FLUSH_L1D, ARCH_, CORE_CAPABILITIES, SSBD */
    {7, 0, 3, 0x3fu << 26, 0},
    {0x80000001, 0, 2, 0, 1u << 1 | 1u << 22},
    {0x80000001, 0, 3, 0, 0},
    {0x80000008, 0, 1, 1u << 25, 0}, /* VIRT_SSBD */
};

uint32_t *reg_of(Function *f, uint8_t reg)
{
    uint8_t *first = reinterpret_cast<uint8_t *>(f) + offsetof(Function, eax);
    return reinterpret_cast<uint32_t *>(first + reg * 4);
}

/* True if nothing had to be changed. */
bool put_right(Function *f)
{
    bool good = true;
    for (const FeatureRule &rule : kRules) {
        if (rule.leaf != f->eax_in || rule.index != f->ecx_in) {
            continue;
        }
        uint32_t have[4] = {};
        __get_cpuid_count(rule.leaf, rule.index, &have[0], &have[1], &have[2],
                          &have[3]);
        uint32_t *value = reg_of(f, rule.reg);
        uint32_t allowed = (have[rule.reg] | rule.always) & ~rule.never;
        if (*value & ~allowed) {
            *value &= allowed;
            good = false;
        }
    }
    return good;
}

} // namespace

bool check_cpuid_page(std::span<uint8_t> page)
{
    uint32_t count;
    memcpy(&count, page.data(), sizeof(count));
    if (count > kMax) {
        return false;
    }
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        Function f;
        uint8_t *at = page.data() + 16 + i * sizeof(f);
        memcpy(&f, at, sizeof(f));
        if (!put_right(&f)) {
            good = false;
            memcpy(at, &f, sizeof(f));
        }
    }
    return good;
}

} // namespace coco
