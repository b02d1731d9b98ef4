/*
 * kvm-reset-measure: the launch digest that an owner has to expect
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cpu_signature.h"
#include "launch_checks.h"
#include "measure.h"
#include "measure_options.h"

using namespace kvm_reset;

namespace {

struct CloseFile {
    void operator()(FILE *file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

Result<File> open_file(const char *option, const std::string &path)
{
    File file(fopen(path.c_str(), "rbe"));
    if (!file) {
        return fail(errno, "cannot open --%s %s", option, path.c_str());
    }
    return file;
}

/* Hands @path to @take in pieces; stops early when it returns false. */
template <class Take>
Result<void> read_file(const char *option, const std::string &path, Take take)
{
    std::vector<uint8_t> buffer(1 << 16);
    auto file = open_file(option, path);

    if (!file) {
        return std::unexpected(file.error());
    }
    while (size_t n = fread(buffer.data(), 1, buffer.size(), file->get())) {
        if (!take(Bytes(buffer).first(n))) {
            return {};
        }
    }
    if (ferror(file->get())) {
        return fail(errno, "cannot read --%s %s", option, path.c_str());
    }
    return {};
}

Result<std::vector<uint8_t>> read_firmware(const std::string &path)
{
    /* One byte more is enough to see that it is too large. */
    constexpr size_t enough = (16 << 20) + 1;
    std::vector<uint8_t> image;

    auto done = read_file("ovmf", path, [&](Bytes piece) {
        image.insert(image.end(), piece.begin(), piece.end());
        return image.size() < enough;
    });
    if (!done) {
        return std::unexpected(done.error());
    }
    return image;
}

Result<void> check_kernel_file(const std::string &path)
{
    std::vector<uint8_t> beginning;

    auto done = read_file("kernel", path, [&](Bytes piece) {
        beginning.insert(beginning.end(), piece.begin(), piece.end());
        return beginning.size() < kernel_header_size;
    });
    if (done) {
        done = check_kernel(beginning);
        if (!done) {
            done.error().what = "--kernel " + path + ": " + done.error().what;
        }
    }
    return done;
}

Result<Digest> hash_file(const char *option, const std::string &path)
{
    Hash hash(HashKind::Sha256);

    auto done = read_file(option, path, [&](Bytes piece) {
        hash.update(piece);
        return true;
    });
    if (!done) {
        return std::unexpected(done.error());
    }
    return hash.digest();
}

Result<KernelHashes> hash_kernel(const MeasureOptions &options)
{
    KernelHashes hashes;

    auto kernel = hash_file("kernel", *options.kernel);
    if (!kernel) {
        return std::unexpected(kernel.error());
    }
    hashes.kernel = *kernel;
    hashes.initrd = Hash::of(HashKind::Sha256, {});
    if (options.initrd) {
        auto initrd = hash_file("initrd", *options.initrd);
        if (!initrd) {
            return std::unexpected(initrd.error());
        }
        hashes.initrd = *initrd;
    }
    hashes.cmdline = cmdline_hash(options.append.value_or(""));
    return hashes;
}

void note(const char *text)
{
    fprintf(stderr, "kvm-reset-measure: note: %s\n", text);
}

Result<Digest> measure(const MeasureOptions &options)
{
    auto firmware = read_firmware(options.ovmf);
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
    if (options.kernel && options.tee == Tee::Tdx) {
        note("MRTD does not cover --kernel, --initrd and --append: RTMR[1] and "
             "RTMR[2] do, once the firmware has started");
    } else if (options.kernel) {
        if (options.launch_checks) {
            auto good = check_kernel_file(*options.kernel);
            if (!good) {
                return std::unexpected(good.error());
            }
        }
        auto hashes = hash_kernel(options);
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

void print_json(const MeasureOptions &options, const Digest &digest)
{
    printf("{\"tee\": \"%s\", \"digest\": \"%s\", \"algorithm\": \"%s\"",
           to_string(options.tee), digest.hex().c_str(),
           digest.size == 32 ? "sha256" : "sha384");
    if (options.tee == Tee::SevEs || options.tee == Tee::Snp) {
        printf(", \"vcpus\": %u, \"vcpu_sig\": \"0x%x\", "
               "\"guest_features\": \"0x%llx\"",
               options.vcpus, options.cpu_signature,
               (unsigned long long)options.sev_features);
    }
    if (options.tee != Tee::Tdx) {
        printf(", \"kernel_hashes\": %s", options.kernel ? "true" : "false");
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
        auto digest = measure(*options);
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
