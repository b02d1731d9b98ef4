/*
 * kvm-reset-measure: what its command line asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "measure_options.h"

#include <cerrno>
#include <charconv>
#include <map>
#include <string_view>

#include "cpu_signature.h"
#include "vmsa.h"

namespace kvm_reset {

const char measure_help[] =
    R"(usage: kvm-reset-measure --tee sev|sev-es|snp|tdx --ovmf FILE [OPTION...]

Prints, in hex, the launch digest of a guest that QEMU starts on KVM:
SEV and SEV-ES: the digest that LAUNCH_MEASURE signs; SEV-SNP: MEASUREMENT
of the attestation report; TDX: MRTD of the TD report.

  --tee KIND            sev, sev-es, snp or tdx
  --ovmf FILE           the firmware

SEV-ES and SEV-SNP also measure the vCPUs:
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

TDX:
  --tdx-pages ORDER     one-pass: each page is added, then extended, as Linux
                        does (default); two-pass: all pages of a section are
                        added, then extended, as Ubuntu 24.04's QEMU 8.2 does

With kernel-hashes=on (not tdx, which measures a kernel only later):
  --kernel FILE         QEMU's -kernel
  --initrd FILE         QEMU's -initrd
  --append TEXT         QEMU's -append

  --no-launch-checks    a digest also for a guest that QEMU would not launch
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
    "initrd",      "append",     "tdx-pages"};

static constexpr std::string_view without_value[] = {
    "legacy-vm-type", "no-launch-checks", "json", "help", "list-vcpu-types"};

/* What was said, by name; of flags the value is empty. */
using Said = std::map<std::string, std::string, std::less<>>;

static bool is_one_of(std::string_view name,
                      std::span<const std::string_view> names)
{
    for (std::string_view other : names) {
        if (name == other) {
            return true;
        }
    }
    return false;
}

static Result<Said> read_words(std::span<char *const> arguments)
{
    Said said;

    for (size_t i = 0; i < arguments.size(); i++) {
        std::string_view word = arguments[i];
        if (word == "-h") {
            word = "--help";
        }
        const size_t equals = word.find('=');
        const std::string name(
            word.substr(0, equals).substr(std::min<size_t>(2, word.size())));
        const bool takes_value = is_one_of(name, with_value);

        if (!word.starts_with("--") ||
            (!takes_value && !is_one_of(name, without_value))) {
            return refuse(EINVAL,
                          "there is no option '%s': --help says which are",
                          arguments[i]);
        }
        if (said.contains(name)) {
            return refuse(EINVAL, "--%s is given twice", name.c_str());
        }
        if (!takes_value) {
            if (equals != word.npos) {
                return refuse(EINVAL, "--%s takes no value", name.c_str());
            }
            said[name] = "";
        } else if (equals != word.npos) {
            said[name] = word.substr(equals + 1);
        } else if (i + 1 < arguments.size()) {
            said[name] = arguments[++i];
        } else {
            return refuse(EINVAL, "--%s needs a value", name.c_str());
        }
    }
    return said;
}

static Result<uint64_t> number(const Said &said, const char *name,
                               uint64_t most)
{
    const std::string &text = said.find(name)->second;
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const char *begin = text.data() + (hex ? 2 : 0);
    const char *end = text.data() + text.size();
    uint64_t value = 0;
    auto [stop, error] = std::from_chars(begin, end, value, hex ? 16 : 10);

    if (begin == end || stop != end || error != std::errc() || value > most) {
        return refuse(
            EINVAL, "--%s '%s' is no number from 0 to %llu (or 0x%llx)", name,
            text.c_str(), (unsigned long long)most, (unsigned long long)most);
    }
    return value;
}

static Result<uint32_t> signature_of_parts(const Said &said)
{
    unsigned parts[3];
    unsigned i = 0;

    for (const char *name : {"vcpu-family", "vcpu-model", "vcpu-stepping"}) {
        if (!said.contains(name)) {
            return refuse(EINVAL,
                          "--vcpu-family, --vcpu-model and --vcpu-stepping go "
                          "together, and --%s is missing",
                          name);
        }
        auto part = number(said, name, 0xfff);
        if (!part) {
            return std::unexpected(part.error());
        }
        parts[i++] = *part;
    }
    return cpu_signature(parts[0], parts[1], parts[2]);
}

/* Of the ways to say which CPU it is, the one that was taken. */
static Result<uint32_t> read_signature(const Said &said)
{
    const bool by_type = said.contains("vcpu-type");
    const bool by_number = said.contains("vcpu-sig");
    const bool by_parts = said.contains("vcpu-family") ||
                          said.contains("vcpu-model") ||
                          said.contains("vcpu-stepping");

    if (by_type + by_number + by_parts != 1) {
        return refuse(EINVAL,
                      "%s measures the CPU's signature: say --vcpu-type, or "
                      "--vcpu-sig, or --vcpu-family, --vcpu-model and "
                      "--vcpu-stepping%s",
                      said.find("tee")->second.c_str(),
                      by_type + by_number + by_parts ? ", and not more than "
                                                       "one of these"
                                                     : "");
    }
    if (by_type) {
        return cpu_signature_of(said.find("vcpu-type")->second);
    }
    if (by_number) {
        auto value = number(said, "vcpu-sig", UINT32_MAX);
        if (!value) {
            return std::unexpected(value.error());
        }
        return uint32_t(*value);
    }
    return signature_of_parts(said);
}

static Result<void> read_vcpus(const Said &said, MeasureOptions &options)
{
    if (!said.contains("vcpus")) {
        return refuse(EINVAL, "%s measures each vCPU: say --vcpus N",
                      said.find("tee")->second.c_str());
    }
    auto count = number(said, "vcpus", most_vcpus);
    if (!count) {
        return std::unexpected(count.error());
    }
    if (!*count) {
        return refuse(EINVAL, "a guest has at least one vCPU, not --vcpus 0");
    }
    options.vcpus = *count;

    auto signature = read_signature(said);
    if (!signature) {
        return std::unexpected(signature.error());
    }
    options.cpu_signature = *signature;

    options.sev_features = options.tee == Tee::Snp ? sev_feature_snp_active : 0;
    if (said.contains("guest-features")) {
        auto features = number(said, "guest-features", UINT64_MAX);
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

static Result<void> read_kernel(const Said &said, MeasureOptions &options)
{
    const struct {
        const char *name;
        std::optional<std::string> &value;
    } parts[] = {
        {"kernel", options.kernel},
        {"initrd", options.initrd},
        {"append", options.append},
    };

    for (const auto &part : parts) {
        auto value = said.find(part.name);
        if (value == said.end()) {
            continue;
        }
        if (!said.contains("kernel")) {
            return refuse(EINVAL, "--%s goes with --kernel, which is missing",
                          part.name);
        }
        part.value = value->second;
    }
    return {};
}

static Result<TdxPages> read_tdx_pages(const Said &said, Tee tee)
{
    auto value = said.find("tdx-pages");

    if (value == said.end()) {
        return TdxPages::OnePass;
    }
    if (tee != Tee::Tdx) {
        return refuse(EINVAL, "--tdx-pages is for tdx, not for %s",
                      to_string(tee));
    }
    if (value->second == "one-pass") {
        return TdxPages::OnePass;
    }
    if (value->second == "two-pass") {
        return TdxPages::TwoPass;
    }
    return refuse(EINVAL, "--tdx-pages '%s' is neither one-pass nor two-pass",
                  value->second.c_str());
}

static Result<Tee> read_tee(const Said &said)
{
    auto value = said.find("tee");

    if (value == said.end()) {
        return refuse(EINVAL, "say --tee sev, sev-es, snp or tdx; --help says "
                              "the rest");
    }
    for (const auto &tee : tees) {
        if (value->second == tee.name) {
            return tee.tee;
        }
    }
    return refuse(EINVAL, "--tee '%s' is none of sev, sev-es, snp and tdx",
                  value->second.c_str());
}

Result<MeasureOptions> parse_measure_options(std::span<char *const> arguments)
{
    MeasureOptions options;

    auto said = read_words(arguments);
    if (!said) {
        return std::unexpected(said.error());
    }
    options.json = said->contains("json");
    options.help = said->contains("help");
    options.list_vcpu_types = said->contains("list-vcpu-types");
    if (options.help || options.list_vcpu_types) {
        return options;
    }

    auto tee = read_tee(*said);
    if (!tee) {
        return std::unexpected(tee.error());
    }
    options.tee = *tee;
    if (!said->contains("ovmf")) {
        return refuse(EINVAL, "say --ovmf FILE: the firmware is what is "
                              "measured");
    }
    options.ovmf = (*said)["ovmf"];
    options.launch_checks = !said->contains("no-launch-checks");
    auto tdx_pages = read_tdx_pages(*said, options.tee);
    if (!tdx_pages) {
        return std::unexpected(tdx_pages.error());
    }
    options.tdx_pages = *tdx_pages;
    options.legacy_vm_type = said->contains("legacy-vm-type");
    if (options.legacy_vm_type && options.tee == Tee::Snp) {
        return refuse(EINVAL, "--legacy-vm-type is nothing for snp, which has "
                              "no older way to start");
    }
    if (options.tee == Tee::SevEs || options.tee == Tee::Snp) {
        if (auto good = read_vcpus(*said, options); !good) {
            return std::unexpected(good.error());
        }
    }
    if (auto good = read_kernel(*said, options); !good) {
        return std::unexpected(good.error());
    }
    return options;
}

} /* namespace kvm_reset */
