/*
 * How much private memory all guests together have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "private_memory.h"

#include <mutex>

#include "config.h"
#include "log.h"
#include "vm.h"

namespace coco {

constexpr uint64_t kMib = 1 << 20;

static std::mutex mutex;
static uint64_t total = 0, told = 0;

static void log_memory(const char *event, const Vm *vm)
{
    log_event(event, vm->number())
        .number("bytes", static_cast<int64_t>(vm->private_bytes))
        .number("total", static_cast<int64_t>(total));
    told = total;
}

/* Not of each page: a launch adds thousands one by one. */
static void log_change(const Vm *vm)
{
    uint64_t change = total > told ? total - told : told - total;
    if (change >= kMib || !vm->private_bytes) {
        log_memory("memory", vm);
    }
}

bool take_private_memory(Vm *vm, uint64_t bytes)
{
    std::lock_guard lock(mutex);
    if ((total + bytes + kMib - 1) / kMib > config().private_mib) {
        log_memory("no_memory", vm);
        return false;
    }
    total += bytes;
    vm->private_bytes += bytes;
    log_change(vm);
    return true;
}

void give_private_memory(Vm *vm, uint64_t bytes)
{
    std::lock_guard lock(mutex);
    total -= bytes;
    vm->private_bytes -= bytes;
    log_change(vm);
}

} // namespace coco
