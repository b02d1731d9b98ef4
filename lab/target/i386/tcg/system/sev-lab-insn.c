/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instruction that a guest exits at: its bytes, its length and its operand,
 * for the VMCB (NRIPS and decode assists). Only those that can be intercepted
 * matter.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu-common.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "tcg/helper-tcg.h"
#include "sev-lab-tcg.h"

static int fetch(CPUX86State *env, uint8_t *bytes, int wanted)
{
    CPUState *cs = env_cpu(env);
    int mmu_idx = cpu_mmu_index(cs, true);
    /* A probe that fails says so in there. */
    int error_code = env->error_code;
    int done = 0;

    while (done < wanted) {
        target_ulong at = env->segs[R_CS].base + env->eip + done;
        int length = MIN(wanted - done, TARGET_PAGE_SIZE -
                                        (at & ~TARGET_PAGE_MASK));
        void *host;
        CPUTLBEntryFull *full;
        int flags;

        if (!(env->hflags & HF_CS64_MASK)) {
            at = (uint32_t)at;
        }
        flags = probe_access_full(env, at, 0, MMU_INST_FETCH, mmu_idx, true,
                                  &host, &full, 0);
        if ((flags & TLB_INVALID_MASK) || !host) {
            break;
        }
        memcpy(bytes + done, host, length);
        done += length;
    }
    env->error_code = error_code;
    return done;
}

typedef struct Decoder {
    CPUX86State *env;
    const uint8_t *bytes;
    int limit;
    int at;
    uint8_t rex;
    int address_size;           /* in bytes */
    int segment;                /* an override, or -1 */
} Decoder;

static uint8_t next(Decoder *d)
{
    /* Beyond what could be read, so the length will not be believed. */
    return d->at < d->limit ? d->bytes[d->at++] : (d->at++, 0);
}

static int64_t next_signed(Decoder *d, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++) {
        value |= (uint64_t)next(d) << (8 * i);
    }
    return sextract64(value, 0, 8 * size);
}

static target_ulong reg(Decoder *d, int number)
{
    return d->env->regs[number];
}

static target_ulong operand_16(Decoder *d, int mod, int rm, int *segment)
{
    static const int8_t pairs[8][2] = {
        { R_EBX, R_ESI }, { R_EBX, R_EDI }, { R_EBP, R_ESI }, { R_EBP, R_EDI },
        { R_ESI, -1 }, { R_EDI, -1 }, { R_EBP, -1 }, { R_EBX, -1 },
    };
    target_ulong address;

    if (mod == 0 && rm == 6) {
        return (uint16_t)next_signed(d, 2);
    }
    *segment = pairs[rm][0] == R_EBP ? R_SS : R_DS;
    address = reg(d, pairs[rm][0]);
    if (pairs[rm][1] >= 0) {
        address += reg(d, pairs[rm][1]);
    }
    if (mod) {
        address += next_signed(d, mod == 1 ? 1 : 2);
    }
    return (uint16_t)address;
}

static target_ulong operand_32(Decoder *d, int mod, int rm, int *segment)
{
    target_ulong address = 0;
    int base = rm;

    if (rm == 4) {
        uint8_t sib = next(d);
        int index = ((sib >> 3) & 7) | (d->rex & 2) << 2;

        base = sib & 7;
        if (index != 4) {
            address = reg(d, index) << (sib >> 6);
        }
    }
    if (mod == 0 && base == 5) {
        address += next_signed(d, 4);
        if (rm == 5 && (d->env->hflags & HF_CS64_MASK)) {
            /* From the next instruction; none of ours has an immediate. */
            address += d->env->eip + d->at;
        }
    } else {
        address += reg(d, base | (d->rex & 1) << 3);
        if (base == R_ESP || base == R_EBP) {
            *segment = d->rex & 1 ? R_DS : R_SS;
        }
        if (mod) {
            address += next_signed(d, mod == 1 ? 1 : 4);
        }
    }
    return d->address_size == 8 ? address : (uint32_t)address;
}

static void operand(Decoder *d, SevLabInsn *insn)
{
    uint8_t modrm = next(d);
    int mod = modrm >> 6, rm = modrm & 7, segment = R_DS;

    if (mod == 3) {
        return;
    }
    insn->address = d->address_size == 2 ? operand_16(d, mod, rm, &segment)
                                         : operand_32(d, mod, rm, &segment);
    if (d->segment >= 0) {
        segment = d->segment;
    }
    if (!(d->env->hflags & HF_CS64_MASK) || segment >= R_FS) {
        insn->address += d->env->segs[segment].base;
    }
}

static void prefixes(Decoder *d, SevLabInsn *insn, bool code64)
{
    for (;; d->at++) {
        uint8_t byte = d->at < d->limit ? d->bytes[d->at] : 0;

        switch (byte) {
        case 0x66: case 0xf0: break;
        case 0x67:
            d->address_size = code64 ? 4 : d->address_size == 4 ? 2 : 4;
            break;
        case 0xf2: case 0xf3: insn->prefix = byte; break;
        case 0x26: d->segment = R_ES; break;
        case 0x2e: d->segment = R_CS; break;
        case 0x36: d->segment = R_SS; break;
        case 0x3e: d->segment = R_DS; break;
        case 0x64: d->segment = R_FS; break;
        case 0x65: d->segment = R_GS; break;
        default:
            if (code64 && (byte & 0xf0) == 0x40) {
                d->rex = byte;
                d->at++;
            }
            return;
        }
    }
}

void sev_lab_insn(CPUX86State *env, SevLabInsn *insn)
{
    bool code64 = env->hflags & HF_CS64_MASK;
    Decoder d = {
        .env = env, .bytes = insn->bytes, .segment = -1,
        .address_size = code64 ? 8 : env->hflags & HF_CS32_MASK ? 4 : 2,
    };
    uint8_t opcode;

    *insn = (SevLabInsn){ .gpr = -1 };
    insn->fetched = d.limit = fetch(env, insn->bytes, sizeof(insn->bytes));
    prefixes(&d, insn, code64);
    opcode = next(&d);
    switch (opcode) {
    case 0xe4 ... 0xe7:         /* IN, OUT with the port's number */
    case 0xcd:                  /* INT n */
        next(&d);
        break;
    case 0x0f:
        opcode = next(&d);
        switch (opcode) {
        case 0x00: case 0x01:   /* descriptor tables, INVLPG, and many more */
            operand(&d, insn);
            break;
        case 0x20 ... 0x23:     /* moves to and from CR and DR */
            insn->gpr = (next(&d) & 7) | (d.rex & 1) << 3;
            break;
        case 0x38:              /* INVPCID */
            next(&d);
            operand(&d, insn);
            break;
        default:
            break;
        }
        break;
    default:
        break;
    }
    insn->length = d.at <= d.limit ? d.at : 0;
}
