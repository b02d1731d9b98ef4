/*
 * JSON lines: what an audit's record is made of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "json.h"

#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace audit {

static int record = -1;

Json &Json::add(const char *name, const std::string &json)
{
    text_ += text_.empty() ? "\"" : ", \"";
    text_ += name;
    text_ += "\": " + json;
    return *this;
}

Json &Json::text(const char *name, const std::string &value)
{
    return add(name, quote(value));
}

Json &Json::number(const char *name, int64_t value)
{
    return add(name, std::to_string(value));
}

Json &Json::bytes(const char *name, std::span<const uint8_t> value)
{
    return add(name, "\"" + hex(value) + "\"");
}

std::string Json::quote(const std::string &value)
{
    std::string quoted = "\"";
    for (char c : value) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
        }
        quoted += (unsigned char)c < ' ' ? '?' : c;
    }
    return quoted + "\"";
}

std::string Json::hex(std::span<const uint8_t> value)
{
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * value.size());
    for (uint8_t byte : value) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

bool open_record()
{
    const char *path = getenv("KVM_AUDIT_RECORD");
    if (!path) {
        return false;
    }
    record = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return record >= 0;
}

void write_record(const Json &line)
{
    std::string text = line.str() + "\n";

    /* A short write would leave half a line, which the reader refuses. */
    [[maybe_unused]] ssize_t n = write(record, text.data(), text.size());
}

} /* namespace audit */
