/*
 * What happened, as lines of JSON for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "log.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <unistd.h>

#include "config.h"
#include "sys.h"

namespace coco {

static int log_fd()
{
    static const int fd = [] {
        const std::string &name = config().log_file;
        if (name.empty()) {
            return -1;
        }
        int low = sys::openat(AT_FDCWD, name.c_str(),
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (low < 0) {
            refuse_to_start("KVM_RESET_COCO_LOG: " + name + ": " +
                            strerror(errno));
        }
        /* Out of the way of the numbers that the program counts on. */
        int high = sys::fcntl(low, F_DUPFD_CLOEXEC, 900);
        if (high < 0) {
            return low;
        }
        sys::close(low);
        return high;
    }();
    return fd;
}

std::string to_hex(std::span<const uint8_t> bytes)
{
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

LogLine::LogLine(const char *event, uint64_t vm)
{
    if (log_fd() < 0) {
        return;
    }
    timespec now = {};
    char start[128];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(start, sizeof(start), "{\"time\": %lld.%06ld, \"event\": \"%s\"",
             static_cast<long long>(now.tv_sec), now.tv_nsec / 1000, event);
    line_ = start;
    if (vm) {
        number("vm", static_cast<int64_t>(vm));
    }
}

LogLine::~LogLine()
{
    if (!line_.empty()) {
        line_ += "}\n";
        [[maybe_unused]] ssize_t n = write(log_fd(), line_.data(),
                                           line_.size());
    }
}

LogLine &LogLine::number(const char *key, int64_t value)
{
    if (!line_.empty()) {
        line_ += std::string(", \"") + key + "\": " + std::to_string(value);
    }
    return *this;
}

LogLine &LogLine::text(const char *key, const std::string &value)
{
    if (!line_.empty()) {
        line_ += std::string(", \"") + key + "\": \"" + value + "\"";
    }
    return *this;
}

LogLine &LogLine::hex(const char *key, std::span<const uint8_t> bytes)
{
    return line_.empty() ? *this : text(key, to_hex(bytes));
}

} // namespace coco
