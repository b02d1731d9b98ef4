/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults and delays on demand
 *
 * Faults: "NAME:N:STATUS,…", where the Nth command of that name (each, if N is
 * "*") is not executed and answers STATUS, a number. Delays:
 * "NAME:MICROSECONDS[/page],…", where the command seems to take that much
 * longer. NAME "*" is each command.
 */
#ifndef SEV_PSP_RULES_H
#define SEV_PSP_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

typedef struct PspRules PspRules;

/* Either may be NULL. Returns NULL and a sentence in *ERROR for nonsense. */
PspRules *psp_rules_new(const char *faults, const char *delays, char **error);
void psp_rules_free(PspRules *rules);

/* Counts the command. True: it is to fail, with *STATUS, as the *NTHth. */
bool psp_rules_fault(PspRules *rules, const char *name, PspStatus *status,
                     uint64_t *nth);
uint64_t psp_rules_delay(const PspRules *rules, const char *name,
                         uint64_t pages);

#endif
