/*
 * A command from the mailbox to its status
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

#include <string.h>

Psp *psp_new(const PspHost *host, const PspConfig *config, char **error)
{
    PspRules *rules = psp_rules_new(config->faults, config->delays, error);
    if (!rules) {
        return NULL;
    }
    Psp *psp = g_new0(Psp, 1);
    psp->host = *host;
    psp->config = *config;
    psp->rules = rules;
    psp->guests = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                        NULL);
    psp_reset(psp);
    return psp;
}

void psp_free(Psp *psp)
{
    if (psp) {
        psp_guests_drop(psp, false);
        psp_guests_drop(psp, true);
        g_hash_table_destroy(psp->guests);
        psp_rules_free(psp->rules);
        g_free(psp);
    }
}

void psp_reset(Psp *psp)
{
    psp_guests_drop(psp, false);
    psp_guests_drop(psp, true);
    if (psp->snp_state != PSP_UNINIT) {
        psp->host.rmp_enforce(psp->host.opaque, false);
    }
    psp->state = PSP_UNINIT;
    psp->snp_state = PSP_UNINIT;
    psp->es = psp->flushed = false;
    psp->rmp_initialized = false;
    psp->reported_tcb = PSP_TCB;
    psp->config_flags = 0;
}

void psp_random(void *psp, size_t size, uint8_t *data)
{
    PspHost *host = &((Psp *)psp)->host;
    host->random(host->opaque, data, size);
}

const PspCommand *psp_find_command(uint32_t number)
{
    for (size_t i = 0; i < psp_command_count; i++) {
        if (psp_commands[i].number == number) {
            return &psp_commands[i];
        }
    }
    return NULL;
}

const char *psp_command_name(uint32_t number)
{
    const PspCommand *command = psp_find_command(number);
    return command ? command->name : "?";
}

bool psp_is_snp(const PspCommand *command)
{
    return command->number > 0x80;
}

static uint64_t field_of(const PspCall *call, uint8_t offset, uint8_t width)
{
    uint64_t value = 0;
    memcpy(&value, call->argument + offset, width);
    return value;
}

static bool is_ram(Psp *psp, uint64_t spa, uint64_t size)
{
    uint8_t byte;
    return spa + size > spa && psp_read(psp, spa, &byte, 1) &&
           psp_read(psp, spa + size - 1, &byte, 1);
}

/* Once SNP is on, firmware writes only where the host cannot. */
static bool is_firmware(Psp *psp, uint64_t spa, uint64_t size)
{
    for (uint64_t at = spa & ~(PSP_PAGE - 1ull); size && at < spa + size;
         at += PSP_PAGE) {
        if (psp_page_state(psp, at) != PSP_PAGE_FIRMWARE) {
            return false;
        }
    }
    return true;
}

static bool holds(PspCall *call, const PspCheck *check)
{
    Psp *psp = call->psp;
    const PspGuest *guest = call->guest;
    uint64_t field = field_of(call, check->field, check->width);
    bool es = guest && (guest->snp || guest->policy & SEV_POLICY_ES);

    switch (check->kind) {
    case PSP_CHECK_END:
        return true;
    case PSP_CHECK_ZERO:
        return !(field & check->value);
    case PSP_CHECK_EQUAL:
        return field == check->value;
    case PSP_CHECK_AT_LEAST:
        return field >= check->value;
    case PSP_CHECK_ALIGNED:
        return psp_address(field) % check->value == 0;
    case PSP_CHECK_LENGTH:
        return field && field % check->value == 0;
    case PSP_CHECK_RAM:
        return is_ram(psp, psp_address(field), check->value);
    case PSP_CHECK_ACTIVE:
        return guest->asid != 0;
    case PSP_CHECK_INACTIVE:
        return guest->asid == 0;
    case PSP_CHECK_POLICY_NO:
        return !(guest->policy & check->value);
    case PSP_CHECK_POLICY:
        return (guest->policy & check->value) == check->value;
    case PSP_CHECK_ASID:
        return psp_asid_valid(psp, field, es);
    case PSP_CHECK_ASID_FREE:
        return !psp_asid_owned(psp, field, guest);
    case PSP_CHECK_FLUSHED:
        return (guest->snp || psp->flushed) &&
               !psp->host.asid_needs_flush(psp->host.opaque, field);
    case PSP_CHECK_PAGE:
        return psp_page_state(psp, psp_address(field)) == check->value;
    case PSP_CHECK_OUTPUT:
        return psp->snp_state == PSP_UNINIT ||
               is_firmware(psp, psp_address(field),
                           check->value == PSP_WHOLE_PAGE
                               ? PSP_PAGE
                               : field_of(call, check->value, 4));
    }
    return false;
}

PspStatus psp_check(PspCall *call, const PspCheck *check)
{
    if (check->when_width &&
        !(field_of(call, check->when, check->when_width) & check->when_bits)) {
        return PSP_SUCCESS;
    }
    return holds(call, check) ? PSP_SUCCESS : check->status;
}

static PspStatus check_platform(const Psp *psp, const PspCommand *command)
{
    PspState state = psp_is_snp(command) ? psp->snp_state : psp->state;
    if (psp_is_snp(command) && !psp->config.snp) {
        return PSP_INVALID_COMMAND;
    }
    return command->states & 1u << state ? PSP_SUCCESS
                                         : PSP_INVALID_PLATFORM_STATE;
}

static PspStatus read_argument(PspCall *call)
{
    const PspCommand *command = call->command;
    Psp *psp = call->psp;

    if (!command->size) {
        return PSP_SUCCESS;
    }
    if (!psp_read(psp, call->address, call->argument, command->size)) {
        return PSP_INVALID_ADDRESS;
    }
    if (command->writes && psp->snp_state != PSP_UNINIT &&
        !is_firmware(psp, call->address, command->size)) {
        return PSP_INVALID_PAGE_STATE;
    }
    return PSP_SUCCESS;
}

static PspStatus find_guest(PspCall *call)
{
    const PspCommand *command = call->command;
    if (command->finds == PSP_NO_GUEST) {
        return PSP_SUCCESS;
    }
    bool by_handle = command->finds == PSP_BY_HANDLE;
    uint64_t key = field_of(call, 0, by_handle ? 4 : 8);
    if (!by_handle && psp_address(key) % PSP_PAGE) {
        return PSP_INVALID_ADDRESS;
    }
    call->guest = psp_guest_find(call->psp, command->finds, key);
    if (!call->guest) {
        return PSP_INVALID_GUEST;
    }
    return command->guests & 1u << call->guest->state ? PSP_SUCCESS
                                                      : PSP_INVALID_GUEST_STATE;
}

static PspStatus execute(PspCall *call)
{
    const PspCommand *command = call->command;
    PspStatus status = check_platform(call->psp, command);
    if (status == PSP_SUCCESS) {
        status = read_argument(call);
    }
    if (status == PSP_SUCCESS) {
        status = find_guest(call);
    }
    for (const PspCheck *check = command->checks;
         status == PSP_SUCCESS && check->kind != PSP_CHECK_END; check++) {
        status = psp_check(call, check);
    }
    if (status == PSP_SUCCESS) {
        status = command->execute ? command->execute(call) : PSP_UNSUPPORTED;
    }
    /* A refused command may say how much room it wants. */
    if (command->writes && status != PSP_INVALID_PAGE_STATE &&
        status != PSP_INVALID_ADDRESS && status != PSP_INVALID_PLATFORM_STATE) {
        psp_write(call->psp, call->address, call->argument, command->size);
    }
    return status;
}

PspStatus psp_command(Psp *psp, uint32_t number, uint64_t argument,
                      uint64_t *microseconds)
{
    const PspCommand *command = psp_find_command(number);
    PspCall call = {psp, command, NULL, psp_address(argument), {0}, 1};
    PspStatus status = PSP_INVALID_COMMAND;
    uint64_t nth = 0;

    *microseconds = 0;
    if (!command) {
        psp_log(psp, NULL, "refused", "\"command\": %u, \"fw_error\": %u",
                number, status);
        return status;
    }
    if (psp_rules_fault(psp->rules, command->name, &status, &nth)) {
        psp_log(psp, NULL, "fault",
                "\"step\": \"%s\", \"nth\": %" PRIu64 ", \"fw_error\": %u",
                command->name, nth, status);
    } else {
        status = execute(&call);
    }
    *microseconds = psp_rules_delay(psp->rules, command->name, call.pages);
    psp_log(psp, NULL, status == PSP_SUCCESS ? "command" : "refused",
            "\"command\": \"%s\", \"fw_error\": %u", command->name, status);
    return status;
}
