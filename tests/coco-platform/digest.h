/*
 * The launch digests, as the firmware computes them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Written for the platform alone, so that what the module computes is
 * compared with something else.
 */

#ifndef COCO_DIGEST_H
#define COCO_DIGEST_H

#include <array>
#include <cstdint>
#include <span>

#include <nettle/sha2.h>

#include "abi.h"

namespace coco {

using Bytes = std::span<const uint8_t>;
using Sha256 = std::array<uint8_t, 32>;
using Sha384 = std::array<uint8_t, 48>;

Sha256 sha256(Bytes data);
Sha384 sha384(Bytes data);
Sha256 hmac_sha256(Bytes key, Bytes data);

/* SEV and SEV-ES: SHA-256 of all that LAUNCH_UPDATE_* was given, in order. */
class SevDigest {
public:
    SevDigest();
    void update(Bytes data);
    /** What the digest is so far. */
    Sha256 value() const;

private:
    sha256_ctx context_;
};

/* SEV-SNP: a chain of PAGE_INFO (SNP ABI, 56860, 8.17.2). */
class SnpDigest {
public:
    void update(SnpPageType type, uint64_t gpa, Bytes page);
    const Sha384 &value() const { return digest_; }

private:
    Sha384 digest_ = {};
};

/* TDX: MRTD, SHA-384 over the pages added and the chunks measured. */
class TdxDigest {
public:
    TdxDigest();
    void add_page(uint64_t gpa);
    void extend(uint64_t gpa, Bytes chunk256);
    Sha384 value() const;

private:
    sha384_ctx context_;
};

} // namespace coco

#endif
