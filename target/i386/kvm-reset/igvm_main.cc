/*
 * kvm-reset-igvm: looks into IGVM files, tries them, and makes them of OVMF
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "igvm_options.h"
#include "igvm_print.h"
#include "launch_checks.h"
#include "ovmf.h"

using namespace kvm_reset;
using igvm::Platform;

namespace {

/* --- check ---------------------------------------------------------------- */

Result<std::string> check_platform(const IgvmFile &file, IgvmModel model,
                                   Platform platform)
{
    model.platform = platform;
    const IgvmX86Guest guest = igvm_guest_of(model, file);
    auto launch = igvm_launch(file, guest);
    auto digest = !launch                      ? std::unexpected(launch.error())
                : platform == Platform::Native ? Result<Digest>(Digest())
                                               : igvm_digest(*launch, guest);

    if (!digest) {
        return std::unexpected(Error{
            digest.error().code, format("as %s: ", tee_of_platform(platform)) +
                                     digest.error().what});
    }
    return describe(*launch, guest, *digest);
}

Result<std::string> check_file(const IgvmFile &file, const IgvmOptions &options)
{
    std::string lines;
    std::vector<Platform> platforms;

    if (options.platform) {
        platforms.push_back(*options.platform);
    } else {
        for (const igvm::SupportedPlatform &platform : file.platforms()) {
            if (platform.platform != Platform::Vsm) {
                platforms.push_back(platform.platform);
            }
        }
    }
    if (platforms.empty()) {
        return refuse(ENOENT, "the IGVM file is for VSM alone, which KVM does "
                              "not have");
    }
    for (Platform platform : platforms) {
        auto checked = check_platform(file, options.model, platform);
        if (!checked) {
            return checked;
        }
        lines += *checked;
    }
    return lines;
}

/* --- wrap ----------------------------------------------------------------- */

/* Would QEMU launch the firmware by -bios? */
Result<void> check_firmware(const IgvmWrap &wrap)
{
    for (Platform platform : wrap.platforms) {
        Guest guest{.tee = platform == Platform::SevSnp ? Tee::Snp
                         : platform == Platform::Tdx    ? Tee::Tdx
                                                        : Tee::Sev,
                    .firmware = wrap.firmware,
                    .sev_features = wrap.sev_features,
                    .kernel = {}};
        if (auto good = check_guest(guest); !good) {
            return good;
        }
    }
    return {};
}

/* What is wrapped is what a reset accepts. */
Result<void> check_wrapped(Bytes bytes, const IgvmOptions &options)
{
    auto file = IgvmFile::parse(bytes);
    auto checked = file ? check_file(*file, options)
                        : std::unexpected(file.error());

    if (!checked) {
        return std::unexpected(checked.error());
    }
    return {};
}

Result<std::vector<uint8_t>> make_file(const IgvmOptions &options)
{
    IgvmWrap wrap = options.wrap;

    if (options.kernel.kernel) {
        auto good = check_kernel_file(options.kernel);
        auto hashes = good ? hash_kernel(options.kernel)
                           : std::unexpected(good.error());
        if (!hashes) {
            return std::unexpected(hashes.error());
        }
        wrap.kernel = *hashes;
    }
    auto firmware = read_whole({"--ovmf", options.ovmf}, most_firmware);
    if (!firmware) {
        return firmware;
    }
    wrap.firmware = *firmware;

    auto good = check_firmware(wrap);
    auto bytes = good ? wrap_ovmf(wrap)
                      : Result<std::vector<uint8_t>>(
                            std::unexpected(good.error()));
    if (bytes) {
        if (good = check_wrapped(*bytes, options); !good) {
            bytes = std::unexpected(good.error());
        }
    }
    if (!bytes) {
        bytes.error().what = options.ovmf + ": " + bytes.error().what;
    }
    return bytes;
}

Result<void> write_file(const std::string &path, Bytes bytes)
{
    FILE *file = fopen(path.c_str(), "wbe");
    if (!file) {
        return fail(errno, "cannot create %s", path.c_str());
    }
    const bool written = fwrite(bytes.data(), 1, bytes.size(), file) ==
                         bytes.size();
    const int error = errno;
    const bool closed = !fclose(file);
    if (!written || !closed) {
        return fail(written ? errno : error, "cannot write %s", path.c_str());
    }
    return {};
}

/* --- all ------------------------------------------------------------------ */

Result<std::string> look_at(const IgvmOptions &options)
{
    auto bytes = read_whole({"", options.file}, most_igvm_file);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    auto file = IgvmFile::parse(*bytes);
    auto lines = !file ? std::unexpected(file.error())
               : options.command == IgvmOptions::Command::Check
                   ? check_file(*file, options)
                   : Result<std::string>(describe(*file));
    if (!lines) {
        lines.error().what = options.file + ": " + lines.error().what;
    }
    return lines;
}

/* What is to be printed. */
Result<std::string> run(std::span<char *const> arguments)
{
    auto options = parse_igvm_options(arguments);
    if (!options) {
        return std::unexpected(options.error());
    }
    switch (options->command) {
    case IgvmOptions::Command::Help:
        return igvm_help;
    case IgvmOptions::Command::Inspect:
    case IgvmOptions::Command::Check:
        return look_at(*options);
    case IgvmOptions::Command::Wrap:
        break;
    }
    auto bytes = make_file(*options);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    if (auto written = write_file(options->file, *bytes); !written) {
        return std::unexpected(written.error());
    }
    return "";
}

} /* namespace */

int main(int argc, char **argv)
{
    auto lines = run(std::span(argv, argc).subspan(argc ? 1 : 0));

    if (lines && (fputs(lines->c_str(), stdout) < 0 || fflush(stdout))) {
        lines = fail(errno, "cannot write the answer");
    }
    if (!lines) {
        fprintf(stderr, "kvm-reset-igvm: error: %s\n",
                lines.error().what.c_str());
        return 1;
    }
    return 0;
}
