/*
 * Faults and delays on demand
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "rules.h"

#include <string.h>

#include <glib.h>

#include "psp.h"

typedef struct Rule {
    char *name;
    uint64_t nth; /* 0: each */
    uint64_t status;
    uint64_t microseconds;
    bool per_page;
} Rule;

struct PspRules {
    GArray *faults, *delays;
    GHashTable *counts; /* of commands by name */
};

static void rule_clear(gpointer rule)
{
    g_free(((Rule *)rule)->name);
}

static bool to_number(const char *text, uint64_t most, uint64_t *number)
{
    int base = g_str_has_prefix(text, "0x") ? 16 : 10;
    const char *digits = base == 16 ? text + 2 : text;
    return g_ascii_string_to_unsigned(digits, base, 0, most, number, NULL);
}

static bool known(const char *name)
{
    if (strcmp(name, "*") == 0) {
        return true;
    }
    for (uint32_t number = 0; number < 0x100; number++) {
        if (strcmp(psp_command_name(number), name) == 0) {
            return strcmp(name, "?") != 0;
        }
    }
    return false;
}

static bool read_fault(char **part, Rule *rule)
{
    return g_strv_length(part) == 3 &&
           (strcmp(part[1], "*") == 0 ||
            (to_number(part[1], UINT64_MAX, &rule->nth) && rule->nth)) &&
           to_number(part[2], 0xffff, &rule->status) && rule->status;
}

static bool read_delay(char **part, Rule *rule)
{
    if (g_strv_length(part) != 2) {
        return false;
    }
    char **amount = g_strsplit(part[1], "/", 2);
    rule->per_page = amount[0] && amount[1];
    bool good = amount[0] &&
                (!rule->per_page || strcmp(amount[1], "page") == 0) &&
                to_number(amount[0], 3600000000u, &rule->microseconds);
    g_strfreev(amount);
    return good;
}

static GArray *read_rules(const char *text, bool (*read)(char **, Rule *),
                          const char *form, char **error)
{
    GArray *rules = g_array_new(false, true, sizeof(Rule));
    g_array_set_clear_func(rules, rule_clear);
    char **words = g_strsplit(text ? text : "", ",", 0);
    for (char **word = words; *word && !*error; word++) {
        char **part = g_strsplit(*word, ":", 0);
        Rule rule = {0};
        if (part[0] && known(part[0]) && read(part, &rule)) {
            rule.name = g_strdup(part[0]);
            g_array_append_val(rules, rule);
        } else {
            *error = g_strdup_printf("'%s' is no rule: write %s, where NAME "
                                     "is a command or *",
                                     *word, form);
        }
        g_strfreev(part);
    }
    g_strfreev(words);
    return rules;
}

PspRules *psp_rules_new(const char *faults, const char *delays, char **error)
{
    PspRules *rules = g_new0(PspRules, 1);
    *error = NULL;
    rules->faults = read_rules(faults, read_fault, "NAME:N:STATUS", error);
    rules->delays = read_rules(delays, read_delay, "NAME:MICROSECONDS[/page]",
                               error);
    rules->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          NULL);
    if (*error) {
        psp_rules_free(rules);
        return NULL;
    }
    return rules;
}

void psp_rules_free(PspRules *rules)
{
    if (rules) {
        g_array_free(rules->faults, true);
        g_array_free(rules->delays, true);
        g_hash_table_destroy(rules->counts);
        g_free(rules);
    }
}

static bool is_for(const Rule *rule, const char *name)
{
    return strcmp(rule->name, "*") == 0 || strcmp(rule->name, name) == 0;
}

static uint64_t count(PspRules *rules, const char *name)
{
    gpointer old = g_hash_table_lookup(rules->counts, name);
    gsize now = GPOINTER_TO_SIZE(old) + 1;
    g_hash_table_insert(rules->counts, g_strdup(name), GSIZE_TO_POINTER(now));
    return now;
}

bool psp_rules_fault(PspRules *rules, const char *name, PspStatus *status,
                     uint64_t *nth)
{
    uint64_t of_name = count(rules, name), of_all = count(rules, "*");
    for (guint i = 0; i < rules->faults->len; i++) {
        const Rule *rule = &g_array_index(rules->faults, Rule, i);
        *nth = rule->name[0] == '*' ? of_all : of_name;
        if (is_for(rule, name) && (!rule->nth || rule->nth == *nth)) {
            *status = rule->status;
            return true;
        }
    }
    return false;
}

uint64_t psp_rules_delay(const PspRules *rules, const char *name,
                         uint64_t pages)
{
    uint64_t sum = 0;
    for (guint i = 0; i < rules->delays->len; i++) {
        const Rule *rule = &g_array_index(rules->delays, Rule, i);
        if (is_for(rule, name)) {
            sum += rule->microseconds * (rule->per_page ? pages : 1);
        }
    }
    return sum;
}
