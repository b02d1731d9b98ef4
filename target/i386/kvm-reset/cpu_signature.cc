/*
 * The signature (CPUID 1, EAX) of the CPU models that QEMU has for SEV hosts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "cpu_signature.h"

#include <cerrno>

namespace kvm_reset {

/*
 * QEMU adds versions of a model (EPYC-v2) when what a model offers changes;
 * the signature stays.  A test compares this with the models of a real QEMU.
 */
struct CpuModel {
    const char *name;
    unsigned versions; /* -v1 to this; 0: a name without versions */
    unsigned family, model, stepping;
};

static constexpr CpuModel models[] = {
    {"EPYC", 5, 23, 1, 2},        {"EPYC-IBPB", 0, 23, 1, 2},
    {"EPYC-Rome", 5, 23, 49, 0},  {"EPYC-Milan", 3, 25, 1, 1},
    {"EPYC-Genoa", 2, 25, 17, 0}, {"EPYC-Turin", 1, 26, 0, 0},
    {"Dhyana", 2, 24, 0, 1},
};

Result<uint32_t> cpu_signature(unsigned family, unsigned model,
                               unsigned stepping)
{
    constexpr unsigned base = 0xf;

    if (family > base + 0xff || model > 0xff || stepping > 0xf) {
        return refuse(EINVAL,
                      "there is no CPU of family %u, model %u, stepping %u: "
                      "they go up to 270, 255 and 15",
                      family, model, stepping);
    }
    const unsigned extended = family > base ? family - base : 0;
    return extended << 20 | (model >> 4) << 16 | (family - extended) << 8 |
           (model & 0xf) << 4 | stepping;
}

std::vector<std::string> cpu_names()
{
    std::vector<std::string> names;

    for (const CpuModel &model : models) {
        names.push_back(model.name);
        for (unsigned v = 1; v <= model.versions; v++) {
            names.push_back(format("%s-v%u", model.name, v));
        }
    }
    return names;
}

static bool is_called(const CpuModel &model, std::string_view name)
{
    if (name == model.name) {
        return true;
    }
    for (unsigned v = 1; v <= model.versions; v++) {
        if (name == format("%s-v%u", model.name, v)) {
            return true;
        }
    }
    return false;
}

static std::string known_models()
{
    std::string list;

    for (const CpuModel &model : models) {
        list += list.empty() ? "" : ", ";
        list += model.name;
        if (model.versions) {
            list += format("[-v1%s]",
                           model.versions == 1
                               ? ""
                               : format("..%u", model.versions).c_str());
        }
    }
    return list;
}

Result<uint32_t> cpu_signature_of(std::string_view name)
{
    for (const CpuModel &model : models) {
        if (is_called(model, name)) {
            return cpu_signature(model.family, model.model, model.stepping);
        }
    }
    return refuse(EINVAL,
                  "no CPU model '%.*s' is known: take one of %s, or give the "
                  "signature itself (EAX of CPUID 1)",
                  int(name.size()), name.data(), known_models().c_str());
}

} /* namespace kvm_reset */
