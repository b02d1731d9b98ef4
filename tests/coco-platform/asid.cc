/*
 * Address space ids and key ids: few, and held as long as their VM lives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As in Linux, an id that was given back cannot be used until the caches are
 * flushed, and that is done when there is no other left.
 */

#include "asid.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "config.h"
#include "fault.h"
#include "log.h"

namespace coco {

namespace {

enum class State : uint8_t {
    Free,
    Held,
    Stale
};

struct Pool {
    const char *name;
    std::vector<State> ids;
};

std::mutex mutex;

Pool &pool_of(AsidPool which)
{
    static auto *pools = new Pool[3]{
        {"sev", std::vector<State>(config().sev_asids)},
        {"es", std::vector<State>(config().es_asids)},
        {"tdx", std::vector<State>(config().key_ids)},
    };
    return pools[static_cast<size_t>(which)];
}

void flush(Pool *pool)
{
    step("DF_FLUSH");
    log_event("flush", 0).text("pool", pool->name);
    std::ranges::replace(pool->ids, State::Stale, State::Free);
}

} // namespace

std::unique_ptr<Asid> Asid::take(AsidPool which, uint64_t vm)
{
    std::lock_guard lock(mutex);
    Pool &pool = pool_of(which);
    auto it = std::ranges::find(pool.ids, State::Free);
    if (it == pool.ids.end() && std::ranges::count(pool.ids, State::Stale)) {
        flush(&pool);
        it = std::ranges::find(pool.ids, State::Free);
    }
    if (it == pool.ids.end()) {
        log_event("no_asid", vm).text("pool", pool.name);
        return nullptr;
    }
    *it = State::Held;
    auto number = static_cast<uint32_t>(it - pool.ids.begin() + 1);
    log_event("asid_taken", vm).text("pool", pool.name).number("asid", number);
    return std::unique_ptr<Asid>(new Asid(which, vm, number));
}

Asid::~Asid()
{
    std::lock_guard lock(mutex);
    Pool &pool = pool_of(pool_);
    pool.ids[number_ - 1] = State::Stale;
    log_event("asid_freed", vm_)
        .text("pool", pool.name)
        .number("asid", number_);
}

uint32_t asids_in_use(AsidPool which)
{
    std::lock_guard lock(mutex);
    return static_cast<uint32_t>(
        std::ranges::count(pool_of(which).ids, State::Held));
}

} // namespace coco
