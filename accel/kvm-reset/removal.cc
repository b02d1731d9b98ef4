/*
 * The call that takes away what an entry adds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "removal.h"

namespace kvm_reset {

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

std::optional<TakingAway> taking_away(const Entry &entry)
{
    const Removal &removal = entry.row->removal;
    TakingAway call{entry.row->request, entry.arg};

    switch (removal.when) {
    case Removal::When::FlagIsSet:
        call.arg.write(removal.field,
                       call.arg.read(removal.field) | removal.mask);
        return call;
    case Removal::When::FieldIs:
        call.arg.write(removal.field, removal.value);
        return call;
    case Removal::When::FieldIsZero:
        call.arg.write(removal.field, 0);
        return call;
    case Removal::When::Never:
        break;
    }
    if (const Row *remover = remover_of(*entry.row)) {
        call.request = remover->request;
        return call;
    }
    return std::nullopt;
}

} /* namespace kvm_reset */
