/*
 * JSON lines: what an audit's record is made of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef AUDIT_JSON_H
#define AUDIT_JSON_H

#include <cstdint>
#include <span>
#include <string>

namespace audit {

/* The members of one JSON object, in the order in which they are added. */
class Json {
public:
    explicit Json(const char *kind) { text("kind", kind); }

    /* @json is JSON already. */
    Json &add(const char *name, const std::string &json);
    Json &text(const char *name, const std::string &value);
    Json &number(const char *name, int64_t value);
    /* Two digits a byte. */
    Json &bytes(const char *name, std::span<const uint8_t> value);

    std::string str() const { return "{" + text_ + "}"; }

    static std::string quote(const std::string &value);
    static std::string hex(std::span<const uint8_t> value);

private:
    std::string text_;
};

/*
 * Opens the record, at the end of the file named by KVM_AUDIT_RECORD; without
 * that variable nothing is recorded.  Once per process.
 */
bool open_record();

/* One line, whole, whichever threads write at once. */
void write_record(const Json &line);

} /* namespace audit */

#endif
