/*
 * kvm-reset-measure: what its command line asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "measure_options.h"

#include <cerrno>
#include <string_view>

#include "guest_options.h"
#include "vmsa.h"

namespace kvm_reset {

const char measure_help[] =
    R"(usage: kvm-reset-measure --tee sev|sev-es|snp|tdx --ovmf FILE [OPTION...]
       kvm-reset-measure --tee sev|sev-es|snp|tdx --igvm FILE [OPTION...]

Prints, in hex, the launch digest of a guest that QEMU starts on KVM:
SEV and SEV-ES: the digest that LAUNCH_MEASURE signs; SEV-SNP: MEASUREMENT
of the attestation report; TDX: MRTD of the TD report.

  --tee KIND            sev, sev-es, snp or tdx
  --ovmf FILE           the firmware
  --igvm FILE           or a file that has it and says how it is launched

With --ovmf, SEV-ES and SEV-SNP also measure the vCPUs:
  --vcpus N             how many, from 1 to 4096
  --vcpu-type MODEL     of QEMU's -cpu, such as EPYC-v4
  --list-vcpu-types     prints what --vcpu-type takes, and the signatures
  --vcpu-sig NUMBER     or EAX of CPUID 1, for any other -cpu
  --vcpu-family N --vcpu-model N --vcpu-stepping N    or these three
  --guest-features NUMBER
                        SEV_FEATURES of the save area; by default what QEMU
                        asks for: 0x1 (SNP is active) for snp, 0 for sev-es,
                        for which 0x1 makes no difference
  --legacy-vm-type      sev-es: for a sev-guest object that does not say
                        legacy-vm-type=off, or a host before Linux 6.10:
                        the save areas lack the FPU's state then

With --ovmf, TDX:
  --tdx-pages ORDER     one-pass: each page is added, then extended, as Linux
                        does (default); two-pass: all pages of a section are
                        added, then extended, as Ubuntu 24.04's QEMU 8.2 does

With --ovmf and kernel-hashes=on (not tdx, which measures a kernel only later):
  --kernel FILE         QEMU's -kernel
  --initrd FILE         QEMU's -initrd
  --append TEXT         QEMU's -append

With --ovmf:
  --no-launch-checks    a digest also for a guest that QEMU would not launch

With --igvm, for which kvm-reset-igvm check says what is launched:
  --vcpus N             of the guest; by default those that the file has
                        contexts for, and at least one
  --memory MIB          of the guest, which is not measured, but must have what
                        the file fills; by default 2048
  --reset-vcpus         sev-es, snp: vCPUs that the file has no context for are
                        as after a reset, and their CPU is said as above
  --zero-pages KIND     snp, pages without data: zero: measured by their place
                        alone, as QEMU has them (default); normal: by their
                        contents, as other tools have them

  --json                a JSON object with the digest and what it is of
  --help                this text

Numbers are decimal, or hexadecimal after 0x. The exit status is 0, or 1 with
one line on stderr that says why there is no digest.
)";

static constexpr struct {
    const char *name;
    Tee tee;
} tees[] = {
    {"sev", Tee::Sev},
    {"sev-es", Tee::SevEs},
    {"snp", Tee::Snp},
    {"tdx", Tee::Tdx},
};

const char *to_string(Tee tee)
{
    return tees[size_t(tee)].name;
}

static constexpr std::string_view with_value[] = {
    "tee",         "ovmf",       "vcpus",         "vcpu-type",      "vcpu-sig",
    "vcpu-family", "vcpu-model", "vcpu-stepping", "guest-features", "kernel",
    "initrd",      "append",     "tdx-pages",     "igvm",           "memory",
    "zero-pages"};

static constexpr std::string_view without_value[] = {
    "legacy-vm-type", "no-launch-checks", "json",
    "help",           "list-vcpu-types",  "reset-vcpus"};

/* What an IGVM file says by itself, and what goes with one alone. */
static constexpr std::string_view of_ovmf[] = {
    "kernel",         "initrd",         "append",          "tdx-pages",
    "guest-features", "legacy-vm-type", "no-launch-checks"};
static constexpr std::string_view of_igvm[] = {"memory", "zero-pages",
                                               "reset-vcpus"};

static Result<uint32_t> read_signature(const OptionWords &said, Tee tee)
{
    auto signature = signature_option(said);

    if (!signature) {
        return std::unexpected(signature.error());
    }
    if (!*signature) {
        return refuse(EINVAL,
                      "%s measures the CPU's signature: say --vcpu-type, or "
                      "--vcpu-sig, or --vcpu-family, --vcpu-model and "
                      "--vcpu-stepping",
                      to_string(tee));
    }
    return **signature;
}

static Result<void> read_vcpus(const OptionWords &said, MeasureOptions &options)
{
    if (!said.has("vcpus")) {
        return refuse(EINVAL, "%s measures each vCPU: say --vcpus N",
                      to_string(options.tee));
    }
    auto count = said.number("vcpus", most_vcpus);
    if (!count) {
        return std::unexpected(count.error());
    }
    if (!*count) {
        return refuse(EINVAL, "a guest has at least one vCPU, not --vcpus 0");
    }
    options.vcpus = *count;

    auto signature = read_signature(said, options.tee);
    if (!signature) {
        return std::unexpected(signature.error());
    }
    options.cpu_signature = *signature;

    options.sev_features = options.tee == Tee::Snp ? sev_feature_snp_active : 0;
    if (said.has("guest-features")) {
        auto features = said.number("guest-features", UINT64_MAX);
        if (!features) {
            return std::unexpected(features.error());
        }
        options.sev_features = *features;
        if (options.tee == Tee::SevEs) {
            options.sev_features &= ~sev_feature_snp_active;
        }
    }
    return {};
}

static Result<TdxPages> read_tdx_pages(const OptionWords &said, Tee tee)
{
    const std::string *value = said.find("tdx-pages");

    if (!value) {
        return TdxPages::OnePass;
    }
    if (tee != Tee::Tdx) {
        return refuse(EINVAL, "--tdx-pages is for tdx, not for %s",
                      to_string(tee));
    }
    if (*value == "one-pass") {
        return TdxPages::OnePass;
    }
    if (*value == "two-pass") {
        return TdxPages::TwoPass;
    }
    return refuse(EINVAL, "--tdx-pages '%s' is neither one-pass nor two-pass",
                  value->c_str());
}

static Result<Tee> read_tee(const OptionWords &said)
{
    const std::string *value = said.find("tee");

    if (!value) {
        return refuse(EINVAL, "say --tee sev, sev-es, snp or tdx; --help says "
                              "the rest");
    }
    for (const auto &tee : tees) {
        if (*value == tee.name) {
            return tee.tee;
        }
    }
    return refuse(EINVAL, "--tee '%s' is none of sev, sev-es, snp and tdx",
                  value->c_str());
}

static Result<void> check_kind(const OptionWords &said)
{
    if (said.has("ovmf") == said.has("igvm")) {
        return refuse(EINVAL, "say --ovmf FILE, or --igvm FILE: %s",
                      said.has("ovmf") ? "an IGVM file has the firmware in it"
                                       : "the firmware is what is measured");
    }
    if (said.has("igvm")) {
        for (std::string_view name : of_ovmf) {
            if (said.has(name)) {
                return refuse(EINVAL,
                              "--%s goes with --ovmf: an IGVM file says by "
                              "itself how it is launched",
                              name.data());
            }
        }
    } else {
        for (std::string_view name : of_igvm) {
            if (said.has(name)) {
                return refuse(EINVAL, "--%s goes with --igvm, which is missing",
                              name.data());
            }
        }
    }
    return {};
}

static Result<void> read_igvm(const OptionWords &said, MeasureOptions &options)
{
    options.igvm = *said.find("igvm");
    options.model.platform = *platform_of_tee(to_string(options.tee));
    if (const std::string *zero = said.find("zero-pages")) {
        if (options.tee != Tee::Snp) {
            return refuse(EINVAL, "--zero-pages is for snp, not for %s",
                          to_string(options.tee));
        }
        if (*zero != "zero" && *zero != "normal") {
            return refuse(EINVAL,
                          "--zero-pages '%s' is neither zero nor normal",
                          zero->c_str());
        }
        options.zero_pages = *zero == "zero" ? ZeroPages::Zero
                                             : ZeroPages::Normal;
    }
    return model_options(said, options.model);
}

Result<MeasureOptions> parse_measure_options(std::span<char *const> arguments)
{
    MeasureOptions options;

    auto said = OptionWords::read(arguments, {with_value, without_value});
    if (!said) {
        return std::unexpected(said.error());
    }
    options.json = said->has("json");
    options.help = said->has("help");
    options.list_vcpu_types = said->has("list-vcpu-types");
    if (options.help || options.list_vcpu_types) {
        return options;
    }

    auto tee = read_tee(*said);
    if (!tee) {
        return std::unexpected(tee.error());
    }
    options.tee = *tee;
    if (auto good = check_kind(*said); !good) {
        return std::unexpected(good.error());
    }
    if (said->has("igvm")) {
        if (auto good = read_igvm(*said, options); !good) {
            return std::unexpected(good.error());
        }
        return options;
    }
    options.ovmf = *said->find("ovmf");
    options.launch_checks = !said->has("no-launch-checks");
    auto tdx_pages = read_tdx_pages(*said, options.tee);
    if (!tdx_pages) {
        return std::unexpected(tdx_pages.error());
    }
    options.tdx_pages = *tdx_pages;
    options.legacy_vm_type = said->has("legacy-vm-type");
    if (options.legacy_vm_type && options.tee == Tee::Snp) {
        return refuse(EINVAL, "--legacy-vm-type is nothing for snp, which has "
                              "no older way to start");
    }
    if (options.tee == Tee::SevEs || options.tee == Tee::Snp) {
        if (auto good = read_vcpus(*said, options); !good) {
            return std::unexpected(good.error());
        }
    }
    auto files = kernel_options(*said);
    if (!files) {
        return std::unexpected(files.error());
    }
    options.files = *files;
    return options;
}

} /* namespace kvm_reset */
