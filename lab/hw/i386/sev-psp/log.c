/*
 * What happened, in the words of the coco platform's log
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "internal.h"

void psp_log(Psp *psp, const PspGuest *guest, const char *event,
             const char *format, ...)
{
    GString *line = g_string_new(NULL);
    g_string_printf(line, "\"event\": \"%s\"", event);
    if (guest) {
        g_string_append_printf(line, ", \"vm\": %u", guest->log_number);
    }
    if (format) {
        va_list args;
        g_string_append(line, ", ");
        va_start(args, format);
        g_string_append_vprintf(line, format, args);
        va_end(args);
    }
    psp->host.log(psp->host.opaque, line->str);
    g_string_free(line, true);
}

PspHex psp_hex(const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    PspHex hex = {{0}};
    const uint8_t *from = bytes;
    for (size_t i = 0; i < MIN(size, 48); i++) {
        hex.text[2 * i] = digits[from[i] >> 4];
        hex.text[2 * i + 1] = digits[from[i] & 15];
    }
    return hex;
}
