/*
 * The launch digest of a whole guest, step by step as it is launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "firmware_image.h"
#include "little_endian.h"
#include "measure.h"
#include "vmsa.h"

using namespace kvm_reset;

namespace {

constexpr uint32_t milan = 0xa00f11;
constexpr uint32_t ap_entry = 0x80b004; /* of snp_image() */

VmsaPage first_vcpu(uint64_t features)
{
    return vmsa_page(initial_vmsa(reset_vector, milan, features));
}

VmsaPage other_vcpu(uint64_t features)
{
    return vmsa_page(initial_vmsa(ap_entry, milan, features));
}

KernelHashes some_kernel()
{
    const uint8_t kernel[] = {'k', '\n'};
    return {.kernel = Hash::of(HashKind::Sha256, kernel),
            .initrd = Hash::of(HashKind::Sha256, {}),
            .cmdline = cmdline_hash("console=ttyS0")};
}

Guest guest_of(Tee tee, const Blob &image)
{
    Guest guest{.tee = tee, .firmware = image, .kernel = {}};
    guest.cpu_signature = milan;
    return guest;
}

void expect_refused(const Guest &guest, int code, std::string_view what)
{
    auto digest = launch_digest(guest);
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, code);
    EXPECT_TRUE(says(digest.error(), what)) << digest.error().what;
}

TEST(KernelHashesTest, TheTableHasNameLengthAndThreeEntries)
{
    const HashTable table = hash_table(some_kernel());

    EXPECT_EQ(table[0], 0x06); /* 9438d606-… */
    EXPECT_EQ(get_le<uint16_t>(&table[16]), 168);
    EXPECT_EQ(table[18], 0xd8); /* 97d02dd8-…: the command line */
    EXPECT_EQ(get_le<uint16_t>(&table[34]), 50);
    EXPECT_EQ(table[68], 0x31);  /* 44baf731-…: the initrd */
    EXPECT_EQ(table[118], 0x37); /* 4de79437-…: the kernel */
    EXPECT_EQ(table[136], some_kernel().kernel.bytes[0]);
    EXPECT_EQ(get_le<uint64_t>(&table[168]), 0u);
}

TEST(KernelHashesTest, ACommandLineIsHashedWithItsNul)
{
    const uint8_t none[] = {0};
    const uint8_t a[] = {'a', 0};

    EXPECT_EQ(cmdline_hash(""), Hash::of(HashKind::Sha256, none));
    EXPECT_EQ(cmdline_hash("a"), Hash::of(HashKind::Sha256, a));
}

TEST(SevTest, MeasuresTheFirmwareAlone)
{
    const Blob image = FirmwareImage().build();

    EXPECT_EQ(*launch_digest(guest_of(Tee::Sev, image)),
              Hash::of(HashKind::Sha256, image));
}

TEST(SevTest, MeasuresTheHashTableAfterTheFirmware)
{
    const Blob image = snp_image().build();
    Guest guest = guest_of(Tee::Sev, image);
    guest.kernel = some_kernel();

    SevDigest expected;
    expected.update(image);
    expected.update(hash_table(some_kernel()));
    EXPECT_EQ(*launch_digest(guest), expected.digest());
}

TEST(SevEsTest, MeasuresEachVcpuLast)
{
    const Blob image = snp_image().build();
    Guest guest = guest_of(Tee::SevEs, image);
    guest.vcpus = 3;
    guest.kernel = some_kernel();

    SevDigest expected;
    expected.update(image);
    expected.update(hash_table(some_kernel()));
    expected.update(first_vcpu(0));
    expected.update(other_vcpu(0));
    expected.update(other_vcpu(0));
    EXPECT_EQ(*launch_digest(guest), expected.digest());
}

TEST(SevEsTest, TheOlderWayToStartLeavesTheFpuOut)
{
    const Blob image = snp_image().build();
    Guest guest = guest_of(Tee::SevEs, image);
    guest.fpu_in_save_area = false;

    VmsaPage page = first_vcpu(0);
    put_le(&page[0x408], uint32_t(0));
    put_le(&page[0x410], uint16_t(0));
    SevDigest expected;
    expected.update(image);
    expected.update(page);
    EXPECT_EQ(*launch_digest(guest), expected.digest());
}

/* All of snp_image(), up to its last section. */
SnpDigest snp_so_far(const Blob &image)
{
    SnpDigest digest;

    EXPECT_TRUE(digest.add(SnpPage::Normal, four_gib - image.size(), image));
    EXPECT_TRUE(digest.add(SnpPage::Zero, 0x800000, uint64_t(0x3000)));
    EXPECT_TRUE(digest.add(SnpPage::Secrets, 0x80d000, launch_page_size));
    EXPECT_TRUE(digest.add(SnpPage::Cpuid, 0x80e000, launch_page_size));
    return digest;
}

TEST(SnpTest, WithoutAKernelItsSectionIsZeros)
{
    const Blob image = snp_image().build();
    Guest guest = guest_of(Tee::Snp, image);
    guest.vcpus = 2;
    guest.sev_features = 0x21;

    SnpDigest expected = snp_so_far(image);
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x10000, launch_page_size));
    ASSERT_TRUE(expected.add_vmsa(first_vcpu(0x21)));
    ASSERT_TRUE(expected.add_vmsa(other_vcpu(0x21)));
    EXPECT_EQ(*launch_digest(guest), expected.digest());
}

TEST(SnpTest, WithAKernelItsSectionIsAPageWithTheTableAtItsPlace)
{
    const Blob image = snp_image().build();
    Guest guest = guest_of(Tee::Snp, image);
    guest.kernel = some_kernel();

    Blob page(launch_page_size);
    const HashTable table = hash_table(some_kernel());
    std::ranges::copy(table, page.begin() + 0xc00);
    SnpDigest expected = snp_so_far(image);
    ASSERT_TRUE(expected.add(SnpPage::Normal, 0x10000, page));
    ASSERT_TRUE(expected.add_vmsa(first_vcpu(0)));
    EXPECT_EQ(*launch_digest(guest), expected.digest());
}

TEST(SnpTest, ASectionOfUnknownTypeIsMemory)
{
    const Blob image = FirmwareImage()
                           .entry(names::reset_block, words({ap_entry}))
                           .metadata(
                               {{0x1000, 0x1000, 99},
                                {0x3000, 0x1000, SevSection::SvsmCallingArea}})
                           .build();

    SnpDigest expected;
    ASSERT_TRUE(expected.add(SnpPage::Normal, four_gib - image.size(), image));
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x1000, launch_page_size));
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x3000, launch_page_size));
    ASSERT_TRUE(expected.add_vmsa(first_vcpu(0)));
    EXPECT_EQ(*launch_digest(guest_of(Tee::Snp, image)), expected.digest());
}

TEST(SnpTest, AKernelNeedsASectionThatItsTableLiesIn)
{
    auto image_with = [](const SevSection &section, uint32_t table) {
        return FirmwareImage()
            .entry(names::reset_block, words({ap_entry}))
            .entry(names::hash_table, words({table, 0x400}))
            .metadata({section})
            .build();
    };
    const Blob none = image_with({0x10000, 0x1000, 1}, 0x10c00);
    const Blob elsewhere = image_with({0x10000, 0x1000, 0x10}, 0x11c00);
    const Blob below = image_with({0x10000, 0x1000, 0x10}, 0xfc00);
    const Blob cut = image_with({0x10000, 0x1000, 0x10}, 0x10f51);
    const Blob large = image_with({0x1000000, 0x200000, 0x10}, 0x1000c00);
    const Blob fits = image_with({0x10000, 0x1000, 0x10}, 0x10f50);

    for (const Blob *image : {&elsewhere, &below, &cut, &large}) {
        Guest guest = guest_of(Tee::Snp, *image);
        guest.kernel = some_kernel();
        expect_refused(guest, EINVAL, "does not lie in its section");
    }
    Guest guest = guest_of(Tee::Snp, none);
    guest.kernel = some_kernel();
    expect_refused(guest, ENOENT, "no section for kernel hashes");
    guest.firmware = fits;
    EXPECT_TRUE(launch_digest(guest));
}

TEST(TdxTest, AddsEachSectionAndExtendsThoseThatAskForIt)
{
    const Blob image = FirmwareImage()
                           .tdvf({{0x1000, 0x3000, 0xffffd000, 0x3000, 0, 1},
                                  {0, 0x1000, 0xffffc000, 0x1000, 1, 0},
                                  {0, 0, 0x809000, 0x2000, 2, 0},
                                  {0, 0, 0x810000, 0x2000, 3, 1}})
                           .build();

    TdxDigest expected;
    ASSERT_TRUE(expected.add(0xffffd000, Bytes(image).last(0x3000), true));
    ASSERT_TRUE(expected.add(0xffffc000, 0x1000));
    ASSERT_TRUE(expected.add(0x809000, 0x2000));
    ASSERT_TRUE(expected.add(0x810000, Blob(0x2000), true));
    EXPECT_EQ(*launch_digest(guest_of(Tee::Tdx, image)), expected.digest());
}

TEST(LaunchDigestTest, RefusesAGuestThatCannotBe)
{
    const Blob image = snp_image().build();
    const Blob bare = FirmwareImage().build();

    for (Tee tee : {Tee::SevEs, Tee::Snp}) {
        Guest guest = guest_of(tee, image);
        guest.vcpus = 0;
        expect_refused(guest, EINVAL, "0 vCPUs");
        guest.vcpus = 4097;
        expect_refused(guest, EINVAL, "4097 vCPUs");
        guest.vcpus = 4096;
        EXPECT_TRUE(launch_digest(guest));
        expect_refused(guest_of(tee, bare), ENOENT, "no SEV-ES reset block");
    }
    Guest guest = guest_of(Tee::Sev, bare);
    guest.kernel = some_kernel();
    expect_refused(guest, ENOENT, "no table for kernel hashes");
    expect_refused(guest_of(Tee::Tdx, bare), ENOENT, "no TDVF metadata");
    expect_refused(guest_of(Tee::Sev, Blob(100)), EINVAL, "100 bytes");
}

} /* namespace */
