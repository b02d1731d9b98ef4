/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's secure processor as its software sees it: commands come in by number
 * and address of an argument, and are answered with a status.
 *
 *     Psp *psp = psp_new(&host, &config);
 *     status = psp_command(psp, 0x04, address, &microseconds);
 *
 * Not thread-safe: one command at a time, as in the hardware.
 */
#ifndef SEV_PSP_PSP_H
#define SEV_PSP_PSP_H

#include "abi.h"
#include "host.h"

typedef struct Psp Psp;

typedef struct PspConfig {
    uint32_t asids;    /* the highest one */
    uint32_t es_asids; /* the highest one for SEV-ES and SNP guests */
    bool snp;
    uint8_t seed[32];   /* the chip's secret: of it come all its keys */
    const char *faults; /* rules.h; NULL: none */
    const char *delays;
} PspConfig;

/*
 * Returns NULL and sets *ERROR, to be freed with g_free(), if a rule for faults
 * or delays cannot be read.
 */
Psp *psp_new(const PspHost *host, const PspConfig *config, char **error);
void psp_free(Psp *psp);

/* Power comes on: all that is not persistent is lost. */
void psp_reset(Psp *psp);

/*
 * Executes a command whose argument is at system physical address ARGUMENT
 * (commands without one ignore it). *MICROSECONDS is how much later it should
 * seem to be finished.
 */
PspStatus psp_command(Psp *psp, uint32_t number, uint64_t argument,
                      uint64_t *microseconds);

/* "LAUNCH_START", or "?" */
const char *psp_command_name(uint32_t number);

#endif
