/*
 * Launch digests: what the platform measures while a guest is launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_digest.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <thread>
#include <vector>

#include <glib.h>

#include "little_endian.h"
#include "masked_thread.h"

namespace kvm_reset {

/* --- Digest and Hash ------------------------------------------------------ */

std::string Digest::hex() const
{
    static const char digits[] = "0123456789abcdef";
    std::string text;

    text.reserve(2 * size);
    for (uint8_t byte : span()) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

static GChecksumType checksum_type(HashKind kind)
{
    return kind == HashKind::Sha256 ? G_CHECKSUM_SHA256 : G_CHECKSUM_SHA384;
}

void Hash::Free::operator()(_GChecksum *checksum) const
{
    g_checksum_free(checksum);
}

Hash::Hash(HashKind kind) : checksum_(g_checksum_new(checksum_type(kind)))
{}

Hash::Hash(const Hash &other)
    : checksum_(g_checksum_copy(other.checksum_.get()))
{}

Hash &Hash::operator=(Hash other)
{
    checksum_ = std::move(other.checksum_);
    return *this;
}

void Hash::update(Bytes bytes)
{
    /* glib counts in a signed type; no span on this machine is as long. */
    g_checksum_update(checksum_.get(), bytes.data(), gssize(bytes.size()));
}

Digest Hash::digest() const
{
    Hash closed(*this); /* to be read, a GChecksum is closed for good */
    Digest digest;
    gsize size = digest.bytes.size();

    g_checksum_get_digest(closed.checksum_.get(), digest.bytes.data(), &size);
    digest.size = size;
    return digest;
}

Digest Hash::of(HashKind kind, Bytes bytes)
{
    Hash hash(kind);
    hash.update(bytes);
    return hash.digest();
}

/* Whole pages that do not run past the end of the address space? */
static Result<void> check_pages(uint64_t gpa, uint64_t size)
{
    if (gpa % launch_page_size || size % launch_page_size || gpa + size < gpa) {
        return refuse(EINVAL,
                      "a launch digest is made of whole pages, and 0x%" PRIx64
                      " bytes at 0x%" PRIx64 " are not",
                      size, gpa);
    }
    return {};
}

/* --- SEV-SNP -------------------------------------------------------------- */

/*
 * PAGE_INFO (SEV-SNP firmware ABI, section on SNP_LAUNCH_UPDATE).  Bytes that
 * are not named are zero: no migration agent's image, no permission for VMPL 1
 * to 3, since KVM asks for neither.
 */
namespace page_info {
constexpr size_t digest = 0x00;
constexpr size_t contents = 0x30;
constexpr size_t length = 0x60;
constexpr size_t type = 0x62;
constexpr size_t gpa = 0x68;
constexpr size_t size = 0x70;
} /* namespace page_info */

SnpDigest::SnpDigest()
{
    digest_.size = digest_.bytes.size();
}

static bool measured_by_contents(SnpPage type)
{
    return type == SnpPage::Normal || type == SnpPage::Vmsa;
}

Digest SnpDigest::contents_digest(Bytes page)
{
    return Hash::of(HashKind::Sha384, page);
}

/* Less than these, and a thread costs more than it gains. */
static constexpr size_t pages_of_thread = 128;
static constexpr size_t most_threads = 4;

/* A page's has nothing to do with the next one's, so threads share them. */
static std::vector<Digest> contents_digests(Bytes pages)
{
    const size_t count = pages.size() / launch_page_size;
    const size_t shares = std::clamp<size_t>(
        std::min<size_t>(std::thread::hardware_concurrency(),
                         count / pages_of_thread),
        1, most_threads);
    std::vector<Digest> digests(count);
    std::array<MaskedThread, most_threads> threads;
    auto hash = [&](size_t share) {
        for (size_t i = count * share / shares;
             i < count * (share + 1) / shares; i++) {
            digests[i] = SnpDigest::contents_digest(
                pages.subspan(i * launch_page_size, launch_page_size));
        }
    };

    /* One that cannot be had is no reason to fail. */
    for (size_t share = 1; share < shares; share++) {
        if (!threads[share].start("kvm-hash", [&, share] { hash(share); })) {
            hash(share);
        }
    }
    hash(0);
    for (MaskedThread &thread : threads) {
        if (thread.joinable()) {
            thread.join();
        }
    }
    return digests;
}

void SnpDigest::add_page(SnpPage type, uint64_t gpa, const Digest &contents)
{
    std::array<uint8_t, page_info::size> info{};

    memcpy(&info[page_info::digest], digest_.bytes.data(), digest_.size);
    if (measured_by_contents(type)) {
        memcpy(&info[page_info::contents], contents.bytes.data(),
               contents.size);
    }
    put_le(&info[page_info::length], uint16_t(page_info::size));
    info[page_info::type] = uint8_t(type);
    put_le(&info[page_info::gpa], gpa);
    digest_ = Hash::of(HashKind::Sha384, info);
}

Result<void> SnpDigest::add(SnpPage type, uint64_t gpa, Bytes pages)
{
    if (!measured_by_contents(type)) {
        return add(type, gpa, pages.size());
    }
    if (auto good = check_pages(gpa, pages.size()); !good) {
        return good;
    }
    for (const Digest &contents : contents_digests(pages)) {
        add_page(type, gpa, contents);
        gpa += launch_page_size;
    }
    return {};
}

Result<void> SnpDigest::add(SnpPage type, uint64_t gpa, uint64_t size)
{
    if (measured_by_contents(type)) {
        return refuse(EINVAL,
                      "SNP pages of type %d at 0x%" PRIx64
                      " are measured by their contents, which are missing",
                      int(type), gpa);
    }
    if (auto good = check_pages(gpa, size); !good) {
        return good;
    }
    for (uint64_t at = 0; at < size; at += launch_page_size) {
        add_page(type, gpa + at, {});
    }
    return {};
}

Result<void> SnpDigest::add_vmsa(Bytes page)
{
    if (page.size() != launch_page_size) {
        return refuse(EINVAL,
                      "a save area has 4096 bytes, and this one has %zu",
                      page.size());
    }
    return add(SnpPage::Vmsa, snp_vmsa_gpa, page);
}

/* --- TDX ------------------------------------------------------------------ */

/*
 * TDX module base architecture specification, "TD Measurement": what each
 * operation appends is 128 bytes, its name and a GPA in little endian, the
 * rest zero.
 */
constexpr size_t tdx_record_size = 128;
constexpr size_t tdx_record_gpa = 16;
constexpr size_t tdx_chunk_size = 256;

void TdxDigest::append(const char *operation, uint64_t gpa)
{
    std::array<uint8_t, tdx_record_size> record{};

    memcpy(record.data(), operation, strlen(operation));
    put_le(&record[tdx_record_gpa], gpa);
    hash_.update(record);
}

void TdxDigest::add_page(uint64_t gpa)
{
    append("MEM.PAGE.ADD", gpa);
}

void TdxDigest::extend_page(uint64_t gpa, Bytes page)
{
    for (size_t at = 0; at < page.size(); at += tdx_chunk_size) {
        append("MR.EXTEND", gpa + at);
        hash_.update(page.subspan(at, tdx_chunk_size));
    }
}

Result<void> TdxDigest::add(uint64_t gpa, Bytes pages, bool measure,
                            TdxPages order)
{
    if (!measure) {
        return add(gpa, pages.size());
    }
    if (auto good = check_pages(gpa, pages.size()); !good) {
        return good;
    }
    if (order == TdxPages::TwoPass) {
        if (auto added = add(gpa, pages.size()); !added) {
            return added;
        }
    }
    for (size_t at = 0; at < pages.size(); at += launch_page_size) {
        if (order == TdxPages::OnePass) {
            add_page(gpa + at);
        }
        extend_page(gpa + at, pages.subspan(at, launch_page_size));
    }
    return {};
}

Result<void> TdxDigest::add(uint64_t gpa, uint64_t size)
{
    if (auto good = check_pages(gpa, size); !good) {
        return good;
    }
    for (uint64_t at = 0; at < size; at += launch_page_size) {
        add_page(gpa + at);
    }
    return {};
}

} /* namespace kvm_reset */
