/*
 * kvm-reset-igvm: what its command line asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_options.h"

#include <algorithm>
#include <cerrno>

#include "guest_options.h"
#include "measure.h"

namespace kvm_reset {

using igvm::Platform;

const char igvm_help[] =
    R"(usage: kvm-reset-igvm inspect FILE
       kvm-reset-igvm check [OPTION...] FILE
       kvm-reset-igvm wrap --ovmf FILE [OPTION...] OUTPUT

inspect: prints what an IGVM file says, in its own order.

check: executes it against a model of a guest, as a reset does before it lets
go of the old VM; prints what is launched and the launch digest, or says why the
file is refused.
  --tee KIND            snp, sev, sev-es, tdx or native; by default each that
                        the file is for
  --vcpus N             of the guest, from 1 to 4096; by default those that the
                        file has contexts for, and at least one
  --memory MIB          of the guest, which is a q35; by default 2048
  --reset-vcpus         vCPUs that the file has no context for are as after a
                        reset, instead of being an error
  --vcpu-type MODEL, --vcpu-sig NUMBER, --vcpu-family N --vcpu-model N
  --vcpu-stepping N     and this is their CPU, as kvm-reset-measure has it

wrap: makes an IGVM file that launches OVMF as QEMU's -bios does, with the same
digest but for pages that hold parameters.
  --ovmf FILE           the firmware
  --tee KIND,KIND...    snp, sev, sev-es, tdx, native; by default snp
  --no-parameters       does without the parameters that OVMF asks for
                        (the memory map, the number of vCPUs)

For snp and sev-es:
  --vcpus N             how many vCPUs the file is for; by default 1
  --vcpu-type MODEL, --vcpu-sig NUMBER, --vcpu-family N --vcpu-model N
  --vcpu-stepping N     their CPU; by default the signature is 0
  --guest-features NUMBER
                        SEV_FEATURES; by default 0x1 (SNP is active, which
                        a SEV-ES guest does not get)
  --legacy-vm-type      sev-es: for a sev-guest object that does not say
                        legacy-vm-type=off, or a host before Linux 6.10:
                        the save areas lack the FPU's state then

For snp:
  --policy NUMBER       of the guest; by default 0x30000
  --kernel FILE, --initrd FILE, --append TEXT
                        their hashes, as with kernel-hashes=on; QEMU still
                        gets the files themselves

  --help                this text

Numbers are decimal, or hexadecimal after 0x. The exit status is 0, or 1 with
one line on stderr that says why.
)";

static constexpr std::string_view check_with_value[] = {
    "tee",      "vcpus",       "memory",     "vcpu-type",
    "vcpu-sig", "vcpu-family", "vcpu-model", "vcpu-stepping"};
static constexpr std::string_view check_without_value[] = {"reset-vcpus",
                                                           "help"};

static constexpr std::string_view wrap_with_value[] = {
    "ovmf",        "tee",        "vcpus",         "vcpu-type",      "vcpu-sig",
    "vcpu-family", "vcpu-model", "vcpu-stepping", "guest-features", "policy",
    "kernel",      "initrd",     "append"};
static constexpr std::string_view wrap_without_value[] = {
    "no-parameters", "legacy-vm-type", "help"};

static constexpr std::string_view help_alone[] = {"help"};

static Result<void> read_check(const OptionWords &said, IgvmOptions &options)
{
    if (const std::string *tee = said.find("tee")) {
        options.platform = platform_of_tee(*tee);
        if (!options.platform) {
            return refuse(EINVAL,
                          "--tee '%s' is none of snp, sev, sev-es, tdx and "
                          "native",
                          tee->c_str());
        }
    }
    return model_options(said, options.model);
}

static Result<void> read_platforms(const OptionWords &said, IgvmWrap &wrap)
{
    const std::string *given = said.find("tee");
    const std::string all = given ? *given : "snp";

    for (size_t begin = 0, end; begin <= all.size(); begin = end + 1) {
        end = std::min(all.find(',', begin), all.size());
        const std::string name = all.substr(begin, end - begin);
        auto platform = platform_of_tee(name);
        if (!platform) {
            return refuse(EINVAL,
                          "--tee '%s' is none of snp, sev, sev-es, tdx and "
                          "native, for which firmware can be wrapped",
                          name.c_str());
        }
        if (std::ranges::count(wrap.platforms, *platform)) {
            return refuse(EINVAL, "--tee names %s twice", name.c_str());
        }
        wrap.platforms.push_back(*platform);
    }
    return {};
}

static Result<void> read_snp(const OptionWords &said, IgvmWrap &wrap)
{
    auto vcpus = said.number_or("vcpus", wrap.vcpus, most_vcpus, 1);
    auto features = said.number_or("guest-features", wrap.sev_features,
                                   UINT64_MAX);
    auto policy = said.number_or("policy", wrap.policy, UINT64_MAX);

    for (const auto *value : {&vcpus, &features, &policy}) {
        if (!*value) {
            return std::unexpected(value->error());
        }
    }
    wrap.vcpus = *vcpus;
    wrap.sev_features = *features;
    wrap.fpu_in_save_area = !said.has("legacy-vm-type");
    if (!wrap.fpu_in_save_area &&
        !std::ranges::count(wrap.platforms, Platform::SevEs)) {
        return refuse(EINVAL, "--legacy-vm-type is for sev-es: no other has "
                              "another save area by it");
    }
    wrap.policy = *policy;
    auto signature = signature_option(said);
    if (!signature) {
        return std::unexpected(signature.error());
    }
    wrap.cpu_signature = signature->value_or(0);
    return {};
}

static Result<void> read_wrap(const OptionWords &said, IgvmOptions &options)
{
    if (!said.has("ovmf")) {
        return refuse(EINVAL, "say --ovmf FILE: the firmware is what is "
                              "wrapped");
    }
    options.ovmf = *said.find("ovmf");
    options.wrap.parameters = !said.has("no-parameters");
    if (auto good = read_platforms(said, options.wrap); !good) {
        return good;
    }
    auto kernel = kernel_options(said);
    if (!kernel) {
        return std::unexpected(kernel.error());
    }
    options.kernel = *kernel;
    if (kernel->kernel &&
        !std::ranges::count(options.wrap.platforms, Platform::SevSnp)) {
        return refuse(EINVAL, "--kernel is for snp: of the others, the launch "
                              "measures no kernel");
    }
    return read_snp(said, options.wrap);
}

Result<IgvmOptions> parse_igvm_options(std::span<char *const> arguments)
{
    using Command = IgvmOptions::Command;
    static constexpr struct {
        std::string_view name;
        Command command;
        OptionNames names;
        const char *file;
    } commands[] = {
        {"inspect", Command::Inspect, {{}, help_alone, 1}, "FILE"},
        {"check",
         Command::Check,
         {check_with_value, check_without_value, 1},
         "FILE"},
        {"wrap",
         Command::Wrap,
         {wrap_with_value, wrap_without_value, 1},
         "OUTPUT, the file to make"},
    };
    IgvmOptions options;

    const std::string_view word = arguments.empty() ? "" : arguments[0];
    if (word == "--help" || word == "-h") {
        return options;
    }
    for (const auto &command : commands) {
        if (word != command.name) {
            continue;
        }
        auto said = OptionWords::read(arguments.subspan(1), command.names);
        if (!said) {
            return std::unexpected(said.error());
        }
        if (said->has("help")) {
            return options;
        }
        if (said->operands().empty()) {
            return refuse(EINVAL, "say %s; --help says the rest", command.file);
        }
        options.command = command.command;
        options.file = said->operands()[0];
        Result<void> good;
        if (command.command == Command::Check) {
            good = read_check(*said, options);
        } else if (command.command == Command::Wrap) {
            good = read_wrap(*said, options);
        }
        if (!good) {
            return std::unexpected(good.error());
        }
        return options;
    }
    return refuse(EINVAL,
                  "say inspect, check or wrap%s%s; --help says the rest",
                  word.empty() ? "" : ", and not ", std::string(word).c_str());
}

} /* namespace kvm_reset */
