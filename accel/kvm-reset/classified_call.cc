/*
 * What a call means, by its row and its argument
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "classified_call.h"

namespace kvm_reset {

std::span<const uint8_t> user_bytes(const Row &row, uintptr_t arg)
{
    if (row.arg != ArgKind::Struct || !arg) {
        return {};
    }
    auto from = reinterpret_cast<const uint8_t *>(arg);
    size_t size = fixed_size(row);
    size_t tail = row.tail.element * read_field({from, size}, row.tail.count);
    return {from, size + tail};
}

Key key_of(const Row &row, ObjectId target, const Argument &arg)
{
    Key key{.target = target, .family = row.family ? row.family : row.request};

    if (row.value_is_key) {
        key.fields[0] = arg.value();
    }
    for (size_t i = 0; i < row.key.size(); i++) {
        Field field = row.key[i];
        if (!field.width) {
            break;
        }
        if (row.each_element) {
            field.offset += fixed_size(row);
        }
        key.fields[i] = arg.read(field) & ~field.ignore;
    }
    return key;
}

bool fd_field_present(const FdField &field, const Argument &arg)
{
    return field.role != FdRole::None &&
           (!field.mask || (arg.read(field.flags) & field.mask) == field.want);
}

/* What is volatile otherwise defines until the launch locks it. */
static Effect until_launch(const Row &row, Effect effect,
                           const ClassifyContext &context)
{
    return effect == Effect::Volatile && row.defines_until_launch &&
                   context.launching
             ? Effect::Define
             : effect;
}

Effect effect_of_element(const Row &row, std::span<const uint8_t> element,
                         const ClassifyContext &context)
{
    Effect effect = row.classify ? row.classify(element, 0, context)
                                 : row.effect;

    return until_launch(row, effect, context);
}

Effect effect_of(const Row &row, uintptr_t arg, const ClassifyContext &context)
{
    if (!row.classify) {
        return until_launch(row, row.effect, context);
    }
    std::span<const uint8_t> bytes = user_bytes(row, arg);
    if (!row.each_element) {
        return until_launch(row, row.classify(bytes, arg, context), context);
    }

    size_t fixed = fixed_size(row);
    for (size_t at = fixed; at + row.tail.element <= bytes.size();
         at += row.tail.element) {
        Effect effect = effect_of_element(
            row, bytes.subspan(at, row.tail.element), context);
        if (!effect_passes_through(effect)) {
            return effect;
        }
    }
    return Effect::Volatile;
}

} /* namespace kvm_reset */
