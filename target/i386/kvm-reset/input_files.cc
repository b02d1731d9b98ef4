/*
 * The files that a guest is made of, as the programs for owners read them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "input_files.h"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "launch_checks.h"

namespace kvm_reset {

struct CloseFile {
    void operator()(FILE *file) const { fclose(file); }
};

/* Hands @input to @take in pieces; stops early when it returns false. */
template <class Take>
static Result<void> read_pieces(const InputFile &input, Take take)
{
    std::vector<uint8_t> buffer(1 << 16);

    std::unique_ptr<FILE, CloseFile> file(fopen(input.path.c_str(), "rbe"));
    if (!file) {
        return fail(errno, "cannot open %s", input.describe().c_str());
    }
    while (size_t n = fread(buffer.data(), 1, buffer.size(), file.get())) {
        if (!take(Bytes(buffer).first(n))) {
            return {};
        }
    }
    if (ferror(file.get())) {
        return fail(errno, "cannot read %s", input.describe().c_str());
    }
    return {};
}

Result<std::vector<uint8_t>> read_whole(const InputFile &file, size_t most)
{
    std::vector<uint8_t> bytes;

    auto done = read_pieces(file, [&](Bytes piece) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
        return bytes.size() <= most;
    });
    if (!done) {
        return std::unexpected(done.error());
    }
    return bytes;
}

Result<void> check_kernel_file(const KernelFiles &files)
{
    const InputFile file{"--kernel", *files.kernel};

    auto beginning = read_whole(file, kernel_header_size);
    if (!beginning) {
        return std::unexpected(beginning.error());
    }
    auto good = check_kernel(*beginning);
    if (!good) {
        good.error().what = file.describe() + ": " + good.error().what;
    }
    return good;
}

static Result<Digest> hash_file(const InputFile &file)
{
    Hash hash(HashKind::Sha256);

    auto done = read_pieces(file, [&](Bytes piece) {
        hash.update(piece);
        return true;
    });
    if (!done) {
        return std::unexpected(done.error());
    }
    return hash.digest();
}

Result<KernelHashes> hash_kernel(const KernelFiles &files)
{
    KernelHashes hashes;

    auto kernel = hash_file({"--kernel", *files.kernel});
    if (!kernel) {
        return std::unexpected(kernel.error());
    }
    hashes.kernel = *kernel;
    hashes.initrd = Hash::of(HashKind::Sha256, {});
    if (files.initrd) {
        auto initrd = hash_file({"--initrd", *files.initrd});
        if (!initrd) {
            return std::unexpected(initrd.error());
        }
        hashes.initrd = *initrd;
    }
    hashes.cmdline = cmdline_hash(files.append.value_or(""));
    return hashes;
}

} /* namespace kvm_reset */
