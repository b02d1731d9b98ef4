/*
 * OVMF's tables: read when they are right, refused in one line when not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <random>

#include <gtest/gtest.h>

#include "firmware_image.h"
#include "ovmf.h"
#include "tdvf.h"

using namespace kvm_reset;

namespace {

constexpr Guid unknown = Guid::of("00112233-4455-6677-8899-aabbccddeeff");

TEST(GuidTest, HasItsFirstThreeGroupsInLittleEndian)
{
    const std::array<uint8_t, 16> bytes = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44,
                                           0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb,
                                           0xcc, 0xdd, 0xee, 0xff};
    EXPECT_EQ(unknown.bytes, bytes);
}

/* What parsing @image, and then @ask of it, complains of. */
template <class Ask> Error complaint(const Blob &image, Ask ask)
{
    auto ovmf = Ovmf::parse(image);
    if (!ovmf) {
        return ovmf.error();
    }
    auto answer = ask(*ovmf);
    return answer ? Error{0, "no complaint"} : answer.error();
}

Error complaint(const Blob &image)
{
    return complaint(image, [](const Ovmf &) { return Result<int>(0); });
}

void expect_error(const Error &error, int code, std::string_view what)
{
    EXPECT_EQ(error.code, code) << error.what;
    EXPECT_TRUE(says(error, what)) << error.what;
}

TEST(OvmfTest, AnEntryIsFoundByItsName)
{
    const Blob image = FirmwareImage()
                           .entry(names::reset_block, words({0x80b004}))
                           .entry(unknown, {1, 2, 3})
                           .entry(names::hash_table, words({0x10c00, 0x400}))
                           .build();
    auto ovmf = Ovmf::parse(image);
    ASSERT_TRUE(ovmf) << ovmf.error().what;

    auto data = ovmf->find(unknown);
    ASSERT_TRUE(data);
    EXPECT_TRUE(std::ranges::equal(*data, Blob{1, 2, 3}));
    EXPECT_EQ(*sev_es_reset_address(*ovmf), 0x80b004u);
    EXPECT_EQ(hash_table_area(*ovmf)->address, 0x10c00u);
    EXPECT_FALSE(ovmf->find(names::sev_metadata));
}

TEST(OvmfTest, OfTwoEntriesOfOneNameTheLastInTheFileCounts)
{
    const Blob image =
        FirmwareImage().entry(unknown, {1}).entry(unknown, {2}).build();
    EXPECT_EQ(Ovmf::parse(image)->find(unknown)->front(), 1);
}

TEST(OvmfTest, EndsAtFourGib)
{
    const Blob image = FirmwareImage(0x4000).build();
    EXPECT_EQ(Ovmf::parse(image)->address(), 0xffffc000u);
}

TEST(OvmfTest, AnImageWithoutATableHasNoEntries)
{
    const Blob image(0x1000);
    auto ovmf = Ovmf::parse(image);
    ASSERT_TRUE(ovmf);
    EXPECT_FALSE(ovmf->find(names::reset_block));
}

TEST(OvmfTest, AnOldImageHasTheResetBlockAlone)
{
    Blob image = FirmwareImage().table_length(22).build();
    /* What was the footer's place is the block's own. */
    std::ranges::copy(names::reset_block.bytes, image.end() - 48);
    std::ranges::copy(words({0xfffff000}), image.end() - 54);
    auto ovmf = Ovmf::parse(image);
    ASSERT_TRUE(ovmf) << ovmf.error().what;
    EXPECT_EQ(*sev_es_reset_address(*ovmf), 0xfffff000u);
}

TEST(OvmfTest, RefusesASizeThatNoFirmwareHas)
{
    expect_error(complaint(Blob()), EINVAL, "0 bytes");
    expect_error(complaint(Blob(4095)), EINVAL, "4095 bytes");
    expect_error(complaint(Blob(0x4001)), EINVAL, "no multiple of 4096");
    expect_error(complaint(Blob((16 << 20) + 4096)), EINVAL, "16 MiB at most");
    EXPECT_EQ(complaint(Blob(16 << 20)).code, 0);
}

TEST(OvmfTest, RefusesATableThatIsLargerThanTheFile)
{
    expect_error(complaint(FirmwareImage(0x1000).table_length(0xffff).build()),
                 EINVAL, "says that it has 65535 bytes");
    expect_error(complaint(FirmwareImage().table_length(17).build()), EINVAL,
                 "says that it has 17 bytes");
}

TEST(OvmfTest, RefusesAnEntryThatReachesOutOfTheTable)
{
    expect_error(complaint(FirmwareImage()
                               .entry(unknown, {})
                               .entry_of_length(unknown, 19)
                               .build()),
                 EINVAL, "entry 2 from the end has a length of 19");
    expect_error(complaint(FirmwareImage().entry_of_length(unknown, 0).build()),
                 EINVAL, "a length of 0");
}

TEST(ResetBlockTest, IsRefusedWhenMissingShortOrZero)
{
    const Blob none = FirmwareImage().build();
    const Blob small = FirmwareImage().entry(names::reset_block, {1}).build();
    const Blob zero =
        FirmwareImage().entry(names::reset_block, words({0})).build();

    expect_error(complaint(none, sev_es_reset_address), ENOENT,
                 "no SEV-ES reset block");
    expect_error(complaint(small, sev_es_reset_address), EINVAL, "has 1 bytes");
    expect_error(complaint(zero, sev_es_reset_address), EINVAL, "is zero");
}

TEST(HashTableAreaTest, IsRefusedWhenItCannotHoldTheTable)
{
    auto with = [](const Blob &data) {
        return FirmwareImage().entry(names::hash_table, data).build();
    };

    expect_error(complaint(FirmwareImage().build(), hash_table_area), ENOENT,
                 "no table for kernel hashes");
    expect_error(complaint(with({1, 2, 3}), hash_table_area), EINVAL,
                 "has 3 bytes");
    expect_error(complaint(with(words({0, 0})), hash_table_area), ENOENT,
                 "no table for kernel hashes");
    for (const Blob &bad : {words({0, 0x400}), words({0x10c00, 175}),
                            words({0xffffff00, 0x400})}) {
        expect_error(complaint(with(bad), hash_table_area), EINVAL,
                     "cannot hold");
    }
    EXPECT_EQ(complaint(with(words({0x10c00, 176})), hash_table_area).code, 0);
}

TEST(SevSectionsTest, AreReadInTheirOrder)
{
    const Blob image = snp_image().build();
    auto sections = sev_sections(*Ovmf::parse(image));
    ASSERT_TRUE(sections) << sections.error().what;
    ASSERT_EQ(sections->size(), 4u);
    EXPECT_EQ(sections->at(1).address, 0x80d000u);
    EXPECT_EQ(sections->at(1).size, 0x1000u);
    EXPECT_EQ(sections->at(1).type, SevSection::Secrets);
    EXPECT_EQ(sections->at(3).type, SevSection::KernelHashes);
}

/* Firmware made for TDX has one of these. */
TEST(SevSectionsTest, MayBeEmpty)
{
    const Blob image =
        FirmwareImage().metadata({{0, 0, 4}, {0x1000, 0x1000, 1}}).build();
    auto sections = sev_sections(*Ovmf::parse(image));
    ASSERT_TRUE(sections) << sections.error().what;
    EXPECT_EQ(sections->size(), 2u);
}

TEST(SevSectionsTest, AreRefusedWhenTheyOverlapOrAreNoPages)
{
    const struct {
        std::vector<SevSection> sections;
        const char *what;
    } bad[] = {
        {{{0x1000, 0x2000, 1}, {0x2000, 0x1000, 2}}, "overlaps its SEV"},
        {{{0x2000, 0x1000, 1}, {0x1000, 0x2000, 2}}, "overlaps its SEV"},
        {{{0x1000, 0x1000, 1}, {0x1000, 0x1000, 1}}, "overlaps its SEV"},
        {{{0x1001, 0x1000, 1}}, "whole pages"},
        {{{0x1000, 0x10, 1}}, "whole pages"},
        {{{0xffffc000, 0x1000, 1}}, "overlaps the firmware"},
        {{{0xffff0000, 0xf000, 1}}, "overlaps the firmware"},
        {{{0xfffff000, 0x2000, 1}}, "overlaps the firmware"},
        {{{0x1000, 0xfffff000, 1}}, "absurdly large"},
    };

    for (const auto &row : bad) {
        const Blob image = FirmwareImage().metadata(row.sections).build();
        expect_error(complaint(image, sev_sections), EINVAL, row.what);
    }
}

/* @image's metadata with the 32-bit word at @offset of it replaced. */
Blob with_word(FirmwareImage image, size_t at, uint32_t word)
{
    return image.put(at, words({word})).build();
}

TEST(SevSectionsTest, AreRefusedWhenTheirHeaderIsWrong)
{
    const size_t at = FirmwareImage::metadata_offset;

    expect_error(complaint(FirmwareImage().build(), sev_sections), ENOENT,
                 "no SEV metadata");
    expect_error(
        complaint(with_word(snp_image(), at, 0x56455341), sev_sections), 0,
        "no complaint");
    expect_error(complaint(with_word(snp_image(), at, 1), sev_sections), EINVAL,
                 "signature");
    expect_error(complaint(with_word(snp_image(), at + 4, 15), sev_sections),
                 EINVAL, "says that it has 15 bytes");
    expect_error(
        complaint(with_word(snp_image(), at + 4, 0x3f01), sev_sections), EINVAL,
        "16128 are left");
    expect_error(complaint(with_word(snp_image(), at + 8, 2), sev_sections),
                 EINVAL, "version 2");
    for (uint32_t count : {5u, 1025u, 0x15555555u, 0xffffffffu}) {
        expect_error(
            complaint(with_word(snp_image(), at + 12, count), sev_sections),
            EINVAL, "does not fit");
    }
}

TEST(SevSectionsTest, AreRefusedWhenTheyAreNotInTheFile)
{
    for (uint32_t from_end : {0u, 15u, 0x4001u, 0xffffffffu}) {
        const Blob image = FirmwareImage()
                               .entry(names::sev_metadata, words({from_end}))
                               .build();
        expect_error(complaint(image, sev_sections), EINVAL, "before its end");
    }
    const Blob small =
        FirmwareImage().entry(names::sev_metadata, {1, 2, 3}).build();
    expect_error(complaint(small, sev_sections), EINVAL, "has 3 bytes");
}

/* What only a sanitizer sees: a read outside of the image. */
TEST(OvmfTest, NothingInABrokenFileLeadsOutsideOfIt)
{
    std::mt19937 random(1);
    const Blob good = snp_image()
                          .tdvf({{0x1000, 0x3000, 0xffffd000, 0x3000, 0, 1},
                                 {0, 0, 0x809000, 0x2000, 2, 0}})
                          .build();
    const size_t interesting[] = {FirmwareImage::metadata_offset,
                                  FirmwareImage::tdvf_offset, good.size() - 256,
                                  good.size() - 128};
    unsigned refused = 0;

    for (int i = 0; i < 20000; i++) {
        Blob image = good;
        for (unsigned n = random() % 3 + 1; n; n--) {
            const size_t start = interesting[random() % 4];
            image[start + random() % 128] = uint8_t(random());
        }
        auto ovmf = Ovmf::parse(image);
        if (!ovmf) {
            refused++;
            continue;
        }
        refused += !sev_es_reset_address(*ovmf);
        refused += !hash_table_area(*ovmf);
        refused += !sev_sections(*ovmf);
        if (auto sections = tdvf_sections(*ovmf); sections) {
            for (const TdvfSection &section : *sections) {
                /* Its bytes can be read. */
                Hash::of(HashKind::Sha256, section.data);
            }
        } else {
            refused++;
        }
    }
    EXPECT_GT(refused, 1000u);
}

} /* namespace */
