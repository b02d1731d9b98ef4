/*
 * Debian 12's OVMF, launched as QEMU and KVM do, with the digests that an
 * independent tool computed for it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "cpu_signature.h"
#include "ovmf.h"
#include "vmsa.h"

extern "C" {
#include "crypto.h"
}

using namespace lab;

namespace {

constexpr const char *sev_digest =
    "7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773";
constexpr const char *es_digest =
    "5b1d28d8e8b3c2c9939d39bf18a7f05b16935279425c1c1e1ab19109acca9ffd";
constexpr const char *snp_digest =
    "a5b54e62ae971b58274dd24cc6c47b842662617036e7bd67d7326c07ac6363f3"
    "5399ef933330a5ea160cead90a00603f";

std::string hex_of(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    std::string hex;
    for (size_t i = 0; i < size; i++) {
        hex += digits[bytes[i] >> 4];
        hex += digits[bytes[i] & 15];
    }
    return hex;
}

/* Two vCPUs EPYC-v4, no kernel hashes. */
class OvmfTest : public testing::Test {
protected:
    void SetUp() override
    {
        const char *name = getenv("LAB_OVMF");
        std::ifstream file(name ? name : "/usr/share/ovmf/OVMF.fd",
                           std::ios::binary);
        image.assign(std::istreambuf_iterator<char>(file), {});
        uint8_t digest[32];
        psp_sha256(image.data(), image.size(), digest);
        if (hex_of(digest, 32) != sev_digest) {
            GTEST_SKIP() << "no OVMF.fd of Debian 12 (ovmf 2022.11-6+deb12u2);"
                            " LAB_OVMF names another place";
        }
    }

    std::vector<kvm_reset::VmsaPage> vmsas(uint64_t features)
    {
        auto ovmf = kvm_reset::Ovmf::parse(image);
        auto entry = kvm_reset::sev_es_reset_address(*ovmf);
        auto signature = kvm_reset::cpu_signature_of("EPYC-v4");
        EXPECT_TRUE(signature.has_value());
        return {kvm_reset::vmsa_page(kvm_reset::initial_vmsa(
                    kvm_reset::reset_vector, *signature, features)),
                kvm_reset::vmsa_page(
                    kvm_reset::initial_vmsa(*entry, *signature, features))};
    }

    Processor psp;
    std::vector<uint8_t> image;
};

TEST_F(OvmfTest, AsSevHasItsKnownDigest)
{
    psp.init();
    uint32_t handle = psp.start(0, sev_asid);
    psp.host.put(tmr_at, image);
    ASSERT_EQ(
        psp.command(LaunchUpdateData,
                    SevGuestBuffer{handle, 0, tmr_at, uint32_t(image.size())}),
        PSP_SUCCESS);
    psp.finish(handle);
    EXPECT_TRUE(psp.host.logged(sev_digest));
}

TEST_F(OvmfTest, AsSevEsHasItsKnownDigest)
{
    psp.init();
    uint32_t handle = psp.start(SEV_POLICY_ES, es_asid);
    psp.host.put(tmr_at, image);
    ASSERT_EQ(
        psp.command(LaunchUpdateData,
                    SevGuestBuffer{handle, 0, tmr_at, uint32_t(image.size())}),
        PSP_SUCCESS);
    for (const auto &vmsa : vmsas(0)) {
        psp.host.put(guest_at, vmsa);
        ASSERT_EQ(psp.command(LaunchUpdateVmsa,
                              SevGuestBuffer{handle, 0, guest_at, PSP_PAGE}),
                  PSP_SUCCESS);
    }
    psp.finish(handle);
    EXPECT_TRUE(psp.host.logged(es_digest));
}

SnpPageType type_of(const kvm_reset::SevSection &section)
{
    switch (section.type) {
    case kvm_reset::SevSection::Secrets:
        return SNP_PAGE_SECRETS;
    case kvm_reset::SevSection::Cpuid:
        return SNP_PAGE_CPUID;
    default:
        return SNP_PAGE_ZERO;
    }
}

TEST_F(OvmfTest, AsSnpHasItsKnownDigest)
{
    psp.snp_init();
    psp.snp_start();
    auto ovmf = kvm_reset::Ovmf::parse(image);
    ASSERT_TRUE(ovmf);
    for (size_t at = 0; at < image.size(); at += PSP_PAGE) {
        psp.host.put(tmr_at, Bytes(image).subspan(at, PSP_PAGE));
        ASSERT_EQ(psp.snp_update(SNP_PAGE_NORMAL, tmr_at, ovmf->address() + at),
                  PSP_SUCCESS);
    }
    auto sections = kvm_reset::sev_sections(*ovmf);
    ASSERT_TRUE(sections);
    for (const auto &section : *sections) {
        for (uint32_t at = 0; at < section.size; at += PSP_PAGE) {
            psp.host.put(guest_at, std::vector<uint8_t>(PSP_PAGE));
            ASSERT_EQ(psp.snp_update(type_of(section), guest_at,
                                     section.address + at),
                      PSP_SUCCESS);
        }
    }
    for (const auto &vmsa : vmsas(kvm_reset::sev_feature_snp_active)) {
        psp.host.put(guest_at, vmsa);
        ASSERT_EQ(psp.snp_update(SNP_PAGE_VMSA, guest_at, 0), PSP_SUCCESS);
    }
    ASSERT_EQ(psp.snp_finish(), PSP_SUCCESS);
    EXPECT_TRUE(psp.host.logged(snp_digest));
}

} // namespace
