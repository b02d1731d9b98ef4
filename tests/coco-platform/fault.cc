/*
 * Faults and delays on demand
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fault.h"

#include <ctime>
#include <map>
#include <mutex>
#include <string>

#include "config.h"
#include "log.h"

namespace coco {

static uint64_t count_of(const char *what)
{
    static std::mutex *mutex = new std::mutex;
    static auto *counts = new std::map<std::string, uint64_t>;
    std::lock_guard lock(*mutex);
    return ++(*counts)[what];
}

static void wait(uint64_t microseconds)
{
    timespec left = {static_cast<time_t>(microseconds / 1000000),
                     static_cast<long>(microseconds % 1000000 * 1000)};
    while (nanosleep(&left, &left) != 0) {}
}

std::optional<Fault> step(const char *what, uint64_t pages)
{
    uint64_t microseconds = 0;
    for (const DelayRule &rule : config().delays) {
        if (rule.what == what) {
            microseconds += rule.microseconds * (rule.per_page ? pages : 1);
        }
    }
    if (microseconds) {
        wait(microseconds);
    }
    if (config().faults.empty()) {
        return std::nullopt;
    }
    uint64_t nth = count_of(what);
    for (const FaultRule &rule : config().faults) {
        if (rule.what == what && (!rule.nth || rule.nth == nth)) {
            log_event("fault", 0)
                .text("step", what)
                .number("nth", static_cast<int64_t>(nth))
                .number("errno", rule.error)
                .number("fw_error", rule.fw_error);
            return Fault{rule.error, rule.fw_error};
        }
    }
    return std::nullopt;
}

} // namespace coco
