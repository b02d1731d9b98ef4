/*
 * TDVF metadata: read when it is right, refused in one line when not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "firmware_image.h"
#include "tdvf.h"

using namespace kvm_reset;

namespace {

const TdvfRow boot = {0x1000, 0x3000, 0xffffd000, 0x3000, 0, 1};
const TdvfRow config = {0, 0x1000, 0xffffc000, 0x1000, 1, 0};
const TdvfRow hob = {0, 0, 0x809000, 0x2000, 2, 0};
const TdvfRow temporary = {0, 0, 0x810000, 0x10000, 3, 0};

TEST(TdvfTest, SectionsAreReadInTheirOrder)
{
    const Blob image =
        FirmwareImage().tdvf({boot, config, temporary, hob}).build();
    auto sections = tdvf_sections(*Ovmf::parse(image));
    ASSERT_TRUE(sections) << sections.error().what;
    ASSERT_EQ(sections->size(), 4u);

    EXPECT_EQ(sections->at(0).address, 0xffffd000u);
    EXPECT_TRUE(sections->at(0).measured);
    EXPECT_EQ(sections->at(0).data.data(), image.data() + 0x1000);
    EXPECT_EQ(sections->at(0).data.size(), 0x3000u);
    EXPECT_FALSE(sections->at(1).measured);
    EXPECT_EQ(sections->at(2).type, TdvfSection::TemporaryMemory);
    EXPECT_EQ(sections->at(3).size, 0x2000u);
    EXPECT_TRUE(sections->at(3).data.empty());
}

void expect_refused(const Blob &image, int code, std::string_view what)
{
    auto ovmf = Ovmf::parse(image);
    ASSERT_TRUE(ovmf) << ovmf.error().what;
    auto sections = tdvf_sections(*ovmf);
    ASSERT_FALSE(sections) << what;
    EXPECT_EQ(sections.error().code, code);
    EXPECT_TRUE(says(sections.error(), what)) << sections.error().what;
}

TEST(TdvfTest, ASectionThatCannotBeIsRefused)
{
    const struct {
        TdvfRow row;
        const char *what;
    } bad[] = {
        {{0x1000, 0x4000, 0x1000, 0x4000, 0, 1}, "which has 0x4000"},
        {{0xfffff000, 0x2000, 0x1000, 0x2000, 0, 1}, "which has 0x4000"},
        {{0x1000, 0x1000, 0x1000, 0x2000, 0, 1}, "is not defined"},
        {{0x1000, 0x2000, 0x1000, 0x1000, 0, 1}, "is not defined"},
        {{0, 0, 0x1000, 0x1000, 0, 1}, "is not defined"},
        {{0, 0x1000, 0x1000, 0x1000, 3, 0}, "is not filled"},
        {{0, 0, 0x1000, 0x1000, 2, 1}, "depend on the machine"},
        {{0, 0, 0x1000, 0x1000, 4, 0}, "does not launch"},
        {{0, 0, 0x1001, 0x1000, 3, 0}, "does not begin at a page"},
        {{0, 0, 0x1000, 0x1800, 3, 0}, "does not end at a page"},
        {{0, 0, 0x1000, 0, 3, 0}, "is empty"},
        {{0, 0, 0x1001, 0, 7, 0},
         "of type 7 (0x0 bytes at 0x1001) is of a type"},
        {{0, 0, 0x1000, uint64_t(1) << 40, 3, 1}, "absurdly large"},
        {{0, 0, uint64_t(1) << 52, 0x1000, 3, 0}, "beyond all memory"},
        {{0, 0, uint64_t(0) - 0x1000, 0x1000, 3, 0}, "beyond all memory"},
    };

    for (const auto &row : bad) {
        expect_refused(FirmwareImage().tdvf({config, row.row}).build(), EINVAL,
                       row.what);
    }
}

TEST(TdvfTest, SectionsThatOverlapAreRefused)
{
    const TdvfRow over = {0, 0, 0x80a000, 0x1000, 3, 0};

    expect_refused(FirmwareImage().tdvf({hob, over}).build(), EINVAL,
                   "overlaps its section at 0x809000");
    expect_refused(FirmwareImage().tdvf({over, hob}).build(), EINVAL,
                   "overlaps its section at 0x80a000");
}

TEST(TdvfTest, AWrongHeaderIsRefused)
{
    const size_t at = FirmwareImage::tdvf_offset;
    const struct {
        size_t at;
        uint32_t word;
        const char *what;
    } bad[] = {
        {at, 1, "signature"},
        {at + 4, 15, "says that it has 15 bytes"},
        {at + 4, 0x3801, "says that it has 14337 bytes"},
        {at + 4, 79, "does not fit"},
        {at + 4, 112, "does not fit"},
        {at + 8, 2, "version 2"},
        {at + 12, 1, "does not fit"},
        {at + 12, 3, "does not fit"},
        {at + 12, 0x08000002, "does not fit"},
    };

    for (const auto &row : bad) {
        expect_refused(FirmwareImage()
                           .tdvf({boot, hob})
                           .put(row.at, words({row.word}))
                           .build(),
                       EINVAL, row.what);
    }
}

TEST(TdvfTest, AFileWithoutMetadataIsRefused)
{
    expect_refused(FirmwareImage().build(), ENOENT, "no TDVF metadata");
    for (uint32_t from_end : {0u, 15u, 0x4001u, 0xffffffffu}) {
        expect_refused(FirmwareImage()
                           .entry(names::tdx_metadata, words({from_end}))
                           .build(),
                       EINVAL, "before its end");
    }
    expect_refused(FirmwareImage().entry(names::tdx_metadata, {}).build(),
                   EINVAL, "has 0 bytes");
}

} /* namespace */
