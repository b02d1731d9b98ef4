/*
 * How an entry is taken away again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "removal.h"

namespace kvm_reset {

/* What the row's field for that says in a removal, if it says @field now. */
static std::optional<uint64_t> removing(const Removal &removal, uint64_t field)
{
    switch (removal.when) {
    case Removal::When::FlagIsSet:
        return field | removal.mask;
    case Removal::When::FieldIs:
        return removal.value;
    case Removal::When::FieldIsZero:
        return 0;
    case Removal::When::Never:
        break;
    }
    return std::nullopt;
}

bool is_removal(const Row &row, const Argument &arg)
{
    uint64_t field = arg.read(row.removal.field);

    return removing(row.removal, field) == field;
}

/* The row of another request that takes away what @row adds. */
static const Row *remover_of(const Row &row)
{
    for (const Row &other : catalogue()) {
        if (other.effect == Effect::Remove && other.on == row.on &&
            other.family && other.family == row.family) {
            return &other;
        }
    }
    return nullptr;
}

std::optional<RemovalCall> removal_of(const Entry &entry)
{
    const Removal &removal = entry.row->removal;
    RemovalCall call{entry.row->request, entry.arg};

    if (auto field = removing(removal, call.arg.read(removal.field))) {
        call.arg.write(removal.field, *field);
        return call;
    }
    if (const Row *remover = remover_of(*entry.row)) {
        call.request = remover->request;
        return call;
    }
    return std::nullopt;
}

} /* namespace kvm_reset */
