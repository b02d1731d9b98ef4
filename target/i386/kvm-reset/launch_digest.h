/*
 * Launch digests: what the platform measures while a guest is launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One class for each way of measuring.  Each takes the launch steps one at a
 * time, in the order in which the platform took them, so a launch plan can
 * feed it as well as a file can.  None keeps what it is given.
 * docs/measurement.md says where each rule is written down.
 *
 * Objects are copyable (a copy goes on from the same point) and not
 * thread-safe; digest() can be asked at any time, and more can follow.
 */

#ifndef KVM_RESET_LAUNCH_DIGEST_H
#define KVM_RESET_LAUNCH_DIGEST_H

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "error.h"

struct _GChecksum;

namespace kvm_reset {

using Bytes = std::span<const uint8_t>;

constexpr uint64_t launch_page_size = 4096;

/* A digest of 32 or 48 bytes; of 0 bytes: there is none. */
struct Digest {
    std::array<uint8_t, 48> bytes{};
    size_t size = 0;

    Bytes span() const { return {bytes.data(), size}; }
    std::string hex() const; /* lower case */
    bool operator==(const Digest &) const = default;
};

enum class HashKind {
    Sha256,
    Sha384
};

/* A hash that is fed piece by piece. */
class Hash {
public:
    explicit Hash(HashKind kind);
    Hash(const Hash &other);
    Hash(Hash &&) = default;
    Hash &operator=(Hash other);

    void update(Bytes bytes);
    Digest digest() const;

    static Digest of(HashKind kind, Bytes bytes);

private:
    struct Free {
        void operator()(_GChecksum *checksum) const;
    };
    std::unique_ptr<_GChecksum, Free> checksum_;
};

/*
 * SEV and SEV-ES: SHA-256 over the plaintext of each KVM_SEV_LAUNCH_UPDATE_DATA
 * and, after those, of each vCPU's save area (4096 bytes, see vmsa.h) as
 * KVM_SEV_LAUNCH_UPDATE_VMSA takes them.  (The SEV API calls it GCTX.LD.)
 */
class SevDigest {
public:
    void update(Bytes bytes) { hash_.update(bytes); }
    Digest digest() const { return hash_.digest(); }
    std::string hex() const { return digest().hex(); }

private:
    Hash hash_{HashKind::Sha256};
};

/* PAGE_TYPE of SNP_LAUNCH_UPDATE; KVM's numbers are the same. */
enum class SnpPage : uint8_t {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Unmeasured = 4,
    Secrets = 5,
    Cpuid = 6,
};

/* Where SNP measures every save area, whatever its real address. */
constexpr uint64_t snp_vmsa_gpa = 0xfffffffff000;

/*
 * SEV-SNP: a chain of SHA-384, a link for each page of each
 * KVM_SEV_SNP_LAUNCH_UPDATE, and of each vCPU's save area, which
 * KVM_SEV_SNP_LAUNCH_FINISH adds.
 */
class SnpDigest {
public:
    SnpDigest();

    /*
     * Whole pages of @type from @gpa on, of which only Normal and Vmsa are
     * measured by their contents.  EINVAL: not whole pages, not page-aligned.
     */
    Result<void> add(SnpPage type, uint64_t gpa, Bytes pages);

    /* The same for pages whose contents are not measured. */
    Result<void> add(SnpPage type, uint64_t gpa, uint64_t size);

    /* A vCPU's save area, 4096 bytes (see vmsa.h), in order of vCPUs. */
    Result<void> add_vmsa(Bytes page);

    /*
     * One page whose contents' digest is known already: what add() does, less
     * the hashing of the contents, which is most of the time.
     */
    void add_page(SnpPage type, uint64_t gpa, const Digest &contents);
    static Digest contents_digest(Bytes page);

    Digest digest() const { return digest_; }
    std::string hex() const { return digest_.hex(); }

private:
    Digest digest_; /* starts as 48 zeros */
};

/* In which order the pages of one region are added and extended. */
enum class TdxPages {
    OnePass, /* each page is added, then extended: Linux */
    TwoPass, /* all are added, then all extended: Ubuntu 24.04's QEMU 8.2 */
};

/*
 * TDX: MRTD, one SHA-384 over what TDH.MEM.PAGE.ADD and TDH.MR.EXTEND append.
 */
class TdxDigest {
public:
    /*
     * What one KVM_TDX_INIT_MEM_REGION does: each page is added and, with
     * KVM_TDX_MEASURE_MEMORY_REGION (@measure), then extended.
     * EINVAL: not whole pages, not page-aligned.
     */
    Result<void> add(uint64_t gpa, Bytes pages, bool measure,
                     TdxPages order = TdxPages::OnePass);

    /* The same without KVM_TDX_MEASURE_MEMORY_REGION. */
    Result<void> add(uint64_t gpa, uint64_t size);

    Digest digest() const { return hash_.digest(); }
    std::string hex() const { return digest().hex(); }

private:
    void add_page(uint64_t gpa);
    void extend_page(uint64_t gpa, Bytes page);
    void append(const char *operation, uint64_t gpa);

    Hash hash_{HashKind::Sha384};
};

} /* namespace kvm_reset */

#endif
