/*
 * The catalogue: finding a row, and what is derived from all of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "catalogue.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "catalogue_foreign.h"
#include "catalogue_rows.h"

namespace kvm_reset {

namespace {

template <size_t... sizes> constexpr auto join(const Row (&...parts)[sizes])
{
    std::array<Row, (sizes + ...)> all;
    auto out = all.begin();
    ((out = std::copy(std::begin(parts), std::end(parts), out)), ...);
    return all;
}

constexpr auto table = join(rows::system, rows::vm, rows::vcpu, rows::device,
                            rows::arm, rows::powerpc, rows::s390,
                            rows::given_up);

constexpr uint64_t rank(FdClass on, uint32_t request)
{
    return uint64_t(std::to_underlying(on)) << 32 | request;
}

/* Positions in @table, sorted by fd class and request. */
constexpr auto sorted = [] {
    std::array<uint16_t, table.size()> order;
    for (size_t i = 0; i < order.size(); i++) {
        order[i] = i;
    }
    std::ranges::sort(order, {}, [](uint16_t i) {
        return rank(table[i].on, table[i].request);
    });
    return order;
}();

constexpr bool rows_are_unique()
{
    for (size_t i = 1; i < sorted.size(); i++) {
        const Row &a = table[sorted[i - 1]];
        const Row &b = table[sorted[i]];
        if (a.on == b.on && a.request == b.request) {
            return false;
        }
    }
    return true;
}

static_assert(rows_are_unique(), "two rows for one ioctl of one class of fd");

/* Passthrough requests that win where another one has the same number. */
constexpr const char *hot[] = {
    "KVM_RUN",
    "KVM_SIGNAL_MSI",
    "KVM_IRQ_LINE",
    "KVM_IRQ_LINE_STATUS",
    "KVM_GET_VCPU_EVENTS",
    "KVM_SET_VCPU_EVENTS",
    "KVM_GET_DEBUGREGS",
    "KVM_SET_DEBUGREGS",
    "KVM_GET_XCRS",
};

/*
 * A row with a classifier has an effect of its own that does not pass through, so the classifier
 * need not be looked at: with a sanitizer, g++ takes the address of a function
 * for something that may be null, and not for a constant.
 */
constexpr bool no_row_records(uint32_t request)
{
    bool known = false;

    for (const Row &row : table) {
        if (row.request == request) {
            known = true;
            if (!effect_passes_through(row.effect)) {
                return false;
            }
        }
    }
    return known;
}

constexpr bool is_hot(std::string_view name)
{
    return std::ranges::find(hot, name) != std::end(hot);
}

constexpr auto passthrough = [] {
    std::array<uint32_t, 256> result{};
    for (const Row &row : table) {
        uint32_t &slot = result[ioc_number(row.request)];
        if ((!slot || is_hot(row.name)) && no_row_records(row.request)) {
            slot = row.request;
        }
    }
    return result;
}();

static_assert(passthrough[ioc_number(abi::KVM_RUN)] == abi::KVM_RUN,
              "KVM_RUN is fast");

} /* namespace */

std::span<const Row> catalogue()
{
    return table;
}

const Row *find_row(FdClass on, uint32_t request)
{
    auto row_rank = [](uint16_t i) {
        return rank(table[i].on, table[i].request);
    };
    auto found = std::ranges::lower_bound(sorted, rank(on, request), {},
                                          row_rank);
    if (found == sorted.end() || row_rank(*found) != rank(on, request)) {
        return nullptr;
    }
    return &table[*found];
}

bool passes_through_everywhere(uint32_t request)
{
    return no_row_records(request);
}

const Row *find_row(const char *name)
{
    auto found = std::ranges::find_if(
        table, [&](const Row &row) { return !strcmp(row.name, name); });
    return found == table.end() ? nullptr : &*found;
}

const char *to_string(FdClass on)
{
    switch (on) {
    case FdClass::None:
        return "none";
    case FdClass::System:
        return "system";
    case FdClass::Vm:
        return "vm";
    case FdClass::Vcpu:
        return "vcpu";
    case FdClass::Device:
        return "device";
    case FdClass::GuestMemfd:
        return "guest_memfd";
    case FdClass::Stats:
        return "stats";
    }
    return "?";
}

const char *to_string(Effect effect)
{
    switch (effect) {
    case Effect::Query:
        return "query";
    case Effect::Run:
        return "run";
    case Effect::Volatile:
        return "volatile";
    case Effect::Define:
        return "define";
    case Effect::Add:
        return "add";
    case Effect::Remove:
        return "remove";
    case Effect::Create:
        return "create";
    case Effect::Launch:
        return "launch";
    case Effect::Foreign:
        return "foreign";
    }
    return "?";
}

const char *to_string(ArgKind arg)
{
    switch (arg) {
    case ArgKind::None:
        return "none";
    case ArgKind::Value:
        return "value";
    case ArgKind::Struct:
        return "struct";
    }
    return "?";
}

const char *to_string(FdRole role)
{
    switch (role) {
    case FdRole::None:
        return "none";
    case FdRole::Eventfd:
        return "eventfd";
    case FdRole::Object:
        return "object";
    case FdRole::File:
        return "file";
    case FdRole::Held:
        return "held";
    }
    return "?";
}

/* A C array has no other way to start as a copy of a constant one. */
#define PASSTHROUGH_4(n)                                                       \
    passthrough[n], passthrough[(n) + 1], passthrough[(n) + 2],                \
        passthrough[(n) + 3]
#define PASSTHROUGH_16(n)                                                      \
    PASSTHROUGH_4(n), PASSTHROUGH_4((n) + 4), PASSTHROUGH_4((n) + 8),          \
        PASSTHROUGH_4((n) + 12)
#define PASSTHROUGH_64(n)                                                      \
    PASSTHROUGH_16(n), PASSTHROUGH_16((n) + 16), PASSTHROUGH_16((n) + 32),     \
        PASSTHROUGH_16((n) + 48)

extern "C" {
constinit uint32_t kvm_reset_passthrough[256] = {
    PASSTHROUGH_64(0), PASSTHROUGH_64(64), PASSTHROUGH_64(128),
    PASSTHROUGH_64(192)};
}

void see_everything(bool see)
{
    for (size_t number = 0; number < passthrough.size(); number++) {
        __atomic_store_n(&kvm_reset_passthrough[number],
                         see ? 0 : passthrough[number], __ATOMIC_RELAXED);
    }
}

template <class Which> static void see_rows(bool see, Which which)
{
    for (const Row &row : table) {
        uint32_t number = ioc_number(row.request);
        if (which(row) && passthrough[number] == row.request) {
            __atomic_store_n(&kvm_reset_passthrough[number],
                             see ? 0 : row.request, __ATOMIC_RELAXED);
        }
    }
}

void see_vcpu_state(bool see)
{
    see_rows(see, [](const Row &row) { return row.defines_until_launch; });
}

void see_dirty_logs(bool see)
{
    see_rows(see, [](const Row &row) {
        return row.when_detached == WhenDetached::Nothing;
    });
}

} /* namespace kvm_reset */
