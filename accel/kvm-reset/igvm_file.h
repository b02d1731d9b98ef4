/*
 * An IGVM file, read and found to be well-formed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file may come from a guest, so nothing in it is taken on trust. What
 * the reader has accepted can be executed without looking at a bound again,
 * but for those of the data, for which data() asks. It allocates no more than
 * a small multiple of what the headers take, and that is limited.
 *
 * The bytes stay the caller's. If a guest could still write to them, they
 * would have to be copied first.
 */

#ifndef KVM_RESET_IGVM_FILE_H
#define KVM_RESET_IGVM_FILE_H

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "error.h"
#include "igvm_format.h"

namespace kvm_reset {

using Bytes = std::span<const uint8_t>;

namespace igvm {

/* Far more than any file has: a header for each page of 512 MiB. */
constexpr uint32_t most_headers = 1 << 17;
constexpr uint32_t most_header_bytes = most_headers * 32;

const char *to_string(Type type);         /* "page data" */
const char *to_string(Platform platform); /* "SEV-SNP" */

/* Whether the host is to fill something in, which goes into an area. */
bool is_parameter(Type type);

} /* namespace igvm */

/* A variable header of a type that is known. */
struct IgvmHeader {
    igvm::Type type;
    uint32_t offset; /* in the file */
    Bytes content;   /* as many bytes as its type has */
    uint32_t mask;   /* of platforms; all bits if it is for all of them */

    /* @T is the struct of @type. */
    template <class T> T read() const
    {
        T value{};
        memcpy(&value, content.data(), std::min(sizeof value, content.size()));
        return value;
    }

    /* "page data at 0x40 of the file" */
    std::string describe() const;
};

class IgvmFile {
public:
    /* EINVAL: it is no IGVM file, or a broken one, or too large a one. */
    static Result<IgvmFile> parse(Bytes bytes);

    uint32_t version() const { return fixed_.version; }
    uint32_t architecture() const { return fixed_.architecture; }

    /* Without what may lie behind the file. */
    Bytes bytes() const { return bytes_; }

    /* All but the platforms, in the file's order. */
    const std::vector<IgvmHeader> &headers() const { return headers_; }
    const std::vector<igvm::SupportedPlatform> &platforms() const
    {
        return platforms_;
    }

    /* Headers that were skipped, because their types say that they may be. */
    uint32_t skipped() const { return skipped_; }

    /* EINVAL: that is not in the file, behind its headers. */
    Result<Bytes> data(const IgvmHeader &header, uint32_t offset,
                       uint64_t size) const;

private:
    Result<void> read_fixed(Bytes bytes);
    Result<void> check_sum() const;
    Result<void> read_headers();
    Result<void> add_platform(const IgvmHeader &header);

    Bytes variable() const
    {
        return bytes_.subspan(fixed_.headers_offset, fixed_.headers_size);
    }

    Bytes bytes_;
    igvm::FixedHeader fixed_;
    std::vector<IgvmHeader> headers_;
    std::vector<igvm::SupportedPlatform> platforms_;
    uint32_t masks_ = 0; /* the bits of all platforms */
    uint32_t skipped_ = 0;
};

} /* namespace kvm_reset */

#endif
