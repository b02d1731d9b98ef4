/*
 * The launch digests, as the firmware computes them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "digest.h"

#include <algorithm>
#include <cstring>

#include <nettle/hmac.h>

namespace coco {

Sha256 sha256(Bytes data)
{
    SevDigest digest;
    digest.update(data);
    return digest.value();
}

Sha384 sha384(Bytes data)
{
    sha384_ctx context;
    Sha384 result;
    sha384_init(&context);
    sha384_update(&context, data.size(), data.data());
    sha384_digest(&context, result.size(), result.data());
    return result;
}

Sha256 hmac_sha256(Bytes key, Bytes data)
{
    hmac_sha256_ctx context;
    Sha256 result;
    hmac_sha256_set_key(&context, key.size(), key.data());
    hmac_sha256_update(&context, data.size(), data.data());
    hmac_sha256_digest(&context, result.size(), result.data());
    return result;
}

SevDigest::SevDigest()
{
    sha256_init(&context_);
}

void SevDigest::update(Bytes data)
{
    sha256_update(&context_, data.size(), data.data());
}

Sha256 SevDigest::value() const
{
    sha256_ctx copy = context_;
    Sha256 result;
    sha256_digest(&copy, result.size(), result.data());
    return result;
}

void SnpDigest::update(SnpPageType type, uint64_t gpa, Bytes page)
{
    constexpr size_t kContents = 48, kLength = 96, kType = 98, kGpa = 104;
    std::array<uint8_t, 0x70> info = {};

    std::ranges::copy(digest_, info.begin());
    if (type == kSnpNormal || type == kSnpVmsa) {
        std::ranges::copy(sha384(page), info.begin() + kContents);
    }
    info[kLength] = info.size();
    info[kType] = type;
    /* IMI and the permissions of VMPL1 to 3, between them, are 0 in Linux. */
    memcpy(&info[kGpa], &gpa, sizeof(gpa));
    digest_ = sha384(info);
}

TdxDigest::TdxDigest()
{
    sha384_init(&context_);
}

static std::array<uint8_t, 128> tdx_record(const char *what, uint64_t gpa)
{
    std::array<uint8_t, 128> record = {};
    memcpy(record.data(), what, strlen(what));
    memcpy(&record[16], &gpa, sizeof(gpa));
    return record;
}

void TdxDigest::add_page(uint64_t gpa)
{
    auto record = tdx_record("MEM.PAGE.ADD", gpa);
    sha384_update(&context_, record.size(), record.data());
}

void TdxDigest::extend(uint64_t gpa, Bytes chunk256)
{
    auto record = tdx_record("MR.EXTEND", gpa);
    sha384_update(&context_, record.size(), record.data());
    sha384_update(&context_, chunk256.size(), chunk256.data());
}

Sha384 TdxDigest::value() const
{
    sha384_ctx copy = context_;
    Sha384 result;
    sha384_digest(&copy, result.size(), result.data());
    return result;
}

} // namespace coco
