/*
 * kvm-reset-measure: the launch digest that an owner has to expect
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstdio>

#include "cpu_signature.h"
#include "launch_checks.h"
#include "measure.h"
#include "measure_options.h"

using namespace kvm_reset;

namespace {

void note(const char *text)
{
    fprintf(stderr, "kvm-reset-measure: note: %s\n", text);
}

Result<Digest> measure(const MeasureOptions &options)
{
    auto firmware = read_whole({"--ovmf", options.ovmf}, most_firmware);
    if (!firmware) {
        return std::unexpected(firmware.error());
    }
    Guest guest{
        .tee = options.tee,
        .firmware = *firmware,
        .vcpus = options.vcpus,
        .cpu_signature = options.cpu_signature,
        .sev_features = options.sev_features,
        .fpu_in_save_area = !options.legacy_vm_type,
        .tdx_pages = options.tdx_pages,
        .kernel = {},
    };
    if (options.files.kernel && options.tee == Tee::Tdx) {
        note("MRTD does not cover --kernel, --initrd and --append: RTMR[1] and "
             "RTMR[2] do, once the firmware has started");
    } else if (options.files.kernel) {
        if (options.launch_checks) {
            auto good = check_kernel_file(options.files);
            if (!good) {
                return std::unexpected(good.error());
            }
        }
        auto hashes = hash_kernel(options.files);
        if (!hashes) {
            return std::unexpected(hashes.error());
        }
        guest.kernel = *hashes;
    }

    Result<void> good;
    if (options.launch_checks) {
        good = check_guest(guest);
    }
    auto digest = good ? launch_digest(guest)
                       : Result<Digest>(std::unexpected(good.error()));
    if (!digest) {
        digest.error().what = options.ovmf + ": " + digest.error().what +
                              (good ? ""
                                    : " (--no-launch-checks computes a "
                                      "digest all the same)");
    }
    return digest;
}

/* @options gets what the file says of the vCPUs. */
Result<Digest> measure_igvm(MeasureOptions &options)
{
    auto bytes = read_whole({"--igvm", options.igvm}, most_igvm_file);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    Result<Digest> digest;
    auto file = IgvmFile::parse(*bytes);
    if (!file) {
        digest = std::unexpected(file.error());
    } else {
        const IgvmX86Guest guest = igvm_guest_of(options.model, *file);
        auto launch = igvm_launch(*file, guest);
        digest = launch ? igvm_digest(*launch, guest, options.zero_pages)
                        : std::unexpected(launch.error());
        options.vcpus = guest.guest.vcpus;
        options.sev_features = launch ? launch->sev_features : 0;
    }
    if (!digest) {
        digest.error().what = options.igvm + ": " + digest.error().what;
    }
    return digest;
}

void print_json(const MeasureOptions &options, const Digest &digest)
{
    printf("{\"tee\": \"%s\", \"digest\": \"%s\", \"algorithm\": \"%s\"",
           to_string(options.tee), digest.hex().c_str(),
           digest.size == 32 ? "sha256" : "sha384");
    if (options.tee == Tee::SevEs || options.tee == Tee::Snp) {
        printf(", \"vcpus\": %u, \"guest_features\": \"0x%llx\"", options.vcpus,
               (unsigned long long)options.sev_features);
        if (options.igvm.empty()) {
            printf(", \"vcpu_sig\": \"0x%x\"", options.cpu_signature);
        }
    }
    if (options.tee != Tee::Tdx && options.igvm.empty()) {
        printf(", \"kernel_hashes\": %s",
               options.files.kernel ? "true" : "false");
    }
    puts("}");
}

Result<void> run(std::span<char *const> arguments)
{
    auto options = parse_measure_options(arguments);
    if (!options) {
        return std::unexpected(options.error());
    }
    if (options->help) {
        fputs(measure_help, stdout);
    } else if (options->list_vcpu_types) {
        for (const std::string &name : cpu_names()) {
            printf("%s 0x%x\n", name.c_str(), *cpu_signature_of(name));
        }
    } else {
        auto digest = options->igvm.empty() ? measure(*options)
                                            : measure_igvm(*options);
        if (!digest) {
            return std::unexpected(digest.error());
        }
        if (options->json) {
            print_json(*options, *digest);
        } else {
            puts(digest->hex().c_str());
        }
    }
    if (fflush(stdout)) {
        return fail(errno, "cannot write the answer");
    }
    return {};
}

} /* namespace */

int main(int argc, char **argv)
{
    auto done = run(std::span(argv, argc).subspan(argc ? 1 : 0));
    if (!done) {
        fprintf(stderr, "kvm-reset-measure: error: %s\n",
                done.error().what.c_str());
        return 1;
    }
    return 0;
}
