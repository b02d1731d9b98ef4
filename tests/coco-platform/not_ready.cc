/*
 * Answers that are no failures, at random
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "not_ready.h"

#include <mutex>
#include <random>

#include "config.h"
#include "log.h"
#include "vm.h"

namespace coco {

constexpr unsigned kMostInARow = 3;
constexpr unsigned kOneOf = 3; /* calls */

static std::mutex mutex;
static unsigned in_a_row = 0;

static uint64_t random_below(uint64_t limit)
{
    static auto *generator = new std::mt19937_64(config().not_ready_seed);
    return (*generator)() % limit;
}

static bool is_wanted(const Vm &vm)
{
    return config().not_ready_from && vm.number() >= config().not_ready_from;
}

bool not_ready(const Vm &vm, const char *step)
{
    if (!is_wanted(vm)) {
        return false;
    }
    std::lock_guard lock(mutex);
    if (in_a_row >= kMostInARow || random_below(kOneOf) != 0) {
        in_a_row = 0;
        return false;
    }
    in_a_row++;
    log_event("not_ready", vm.number()).text("step", step);
    return true;
}

uint64_t pages_of_one_call(const Vm &vm, uint64_t pages)
{
    if (!is_wanted(vm) || pages < 2) {
        return pages;
    }
    std::lock_guard lock(mutex);
    return random_below(kOneOf) == 0 ? 1 + random_below(pages) : pages;
}

} // namespace coco
