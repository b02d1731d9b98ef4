/*
 * The options by which a user says what a guest is made of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest_options.h"

#include <cerrno>

#include "cpu_signature.h"
#include "measure.h"

namespace kvm_reset {

static Result<uint32_t> signature_of_parts(const OptionWords &said)
{
    unsigned parts[3];
    unsigned i = 0;

    for (const char *name : {"vcpu-family", "vcpu-model", "vcpu-stepping"}) {
        if (!said.has(name)) {
            return refuse(EINVAL,
                          "--vcpu-family, --vcpu-model and --vcpu-stepping go "
                          "together, and --%s is missing",
                          name);
        }
        auto part = said.number(name, 0xfff);
        if (!part) {
            return std::unexpected(part.error());
        }
        parts[i++] = *part;
    }
    return cpu_signature(parts[0], parts[1], parts[2]);
}

Result<std::optional<uint32_t>> signature_option(const OptionWords &said)
{
    const bool by_type = said.has("vcpu-type");
    const bool by_number = said.has("vcpu-sig");
    const bool by_parts = said.has("vcpu-family") || said.has("vcpu-model") ||
                          said.has("vcpu-stepping");

    if (by_type + by_number + by_parts > 1) {
        return refuse(EINVAL, "say --vcpu-type, or --vcpu-sig, or "
                              "--vcpu-family, --vcpu-model and "
                              "--vcpu-stepping, and not more than one of "
                              "these");
    }
    if (by_type) {
        return cpu_signature_of(*said.find("vcpu-type"));
    }
    if (by_number) {
        auto value = said.number("vcpu-sig", UINT32_MAX);
        if (!value) {
            return std::unexpected(value.error());
        }
        return uint32_t(*value);
    }
    if (by_parts) {
        return signature_of_parts(said);
    }
    return std::nullopt;
}

Result<KernelFiles> kernel_options(const OptionWords &said)
{
    KernelFiles files;
    const struct {
        const char *name;
        std::optional<std::string> &value;
    } parts[] = {
        {"kernel", files.kernel},
        {"initrd", files.initrd},
        {"append", files.append},
    };

    for (const auto &part : parts) {
        const std::string *value = said.find(part.name);
        if (!value) {
            continue;
        }
        if (!said.has("kernel")) {
            return refuse(EINVAL, "--%s goes with --kernel, which is missing",
                          part.name);
        }
        part.value = *value;
    }
    return files;
}

/* The largest guest that KVM has, in MiB: 52 bits of address. */
constexpr uint64_t most_mib = uint64_t(1) << 32;

Result<void> model_options(const OptionWords &said, IgvmModel &model)
{
    if (said.has("vcpus")) {
        auto vcpus = said.number("vcpus", most_vcpus, 1);
        if (!vcpus) {
            return std::unexpected(vcpus.error());
        }
        model.vcpus = *vcpus;
    }
    auto memory = said.number_or("memory", model.memory >> 20, most_mib, 1);
    if (!memory) {
        return std::unexpected(memory.error());
    }
    model.memory = *memory << 20;
    model.reset_other_vcpus = said.has("reset-vcpus");
    auto signature = signature_option(said);
    if (!signature) {
        return std::unexpected(signature.error());
    }
    model.cpu_signature = signature->value_or(0);
    return {};
}

} /* namespace kvm_reset */
