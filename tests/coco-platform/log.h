/*
 * What happened, as lines of JSON for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *     log_event("launch", vm).text("tee", "snp").hex("digest", digest);
 *
 * The line is written, in one write(), when the statement ends.  Without
 * KVM_RESET_COCO_LOG nothing is.  Thread-safe.
 */

#ifndef COCO_LOG_H
#define COCO_LOG_H

#include <cstdint>
#include <span>
#include <string>

namespace coco {

class LogLine {
public:
    LogLine(const char *event, uint64_t vm);
    ~LogLine();
    LogLine(const LogLine &) = delete;
    LogLine &operator=(const LogLine &) = delete;

    LogLine &number(const char *key, int64_t value);
    LogLine &text(const char *key, const std::string &value);
    LogLine &hex(const char *key, std::span<const uint8_t> bytes);

private:
    std::string line_;
};

/** One event of the VM with this number; 0 is the platform itself. */
inline LogLine log_event(const char *event, uint64_t vm)
{
    return LogLine(event, vm);
}

/** "0a1b…" */
std::string to_hex(std::span<const uint8_t> bytes);

} // namespace coco

#endif
