/*
 * IGVM files: read when they are right, refused in one line when not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "crc32.h"
#include "igvm_image.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

Blob some_file(uint32_t version = 1)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t first = writer.data(page_of(1));
    const uint32_t second = writer.data(page_of(2));

    return writer.add({.policy = 0x30000, .mask = snp_mask, .reserved = 0})
        .add(page_at(0x1000, first, snp_mask | tdx_mask))
        .add(page_at(0x2000, second, snp_mask))
        .build(version);
}

/* @file with one field of 32 bits replaced, and a checksum that is right. */
Blob with_field(Blob file, size_t at, uint32_t value)
{
    put_le(&file[at], value);
    set_igvm_checksum(file);
    return file;
}

Blob with_header(uint32_t type, const Blob &content)
{
    return igvm_writer().add_bytes(type, content).build();
}

TEST(Crc32Test, IsThatOfEverybody)
{
    const uint8_t check[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
    Crc32 crc;

    EXPECT_EQ(crc.value(), 0u);
    crc.update({check, 4});
    crc.update({check + 4, 5});
    EXPECT_EQ(crc.value(), 0xcbf43926u);
}

TEST(IgvmFileTest, HasPlatformsAndHeadersInTheirOrder)
{
    for (uint32_t version : {1, 2}) {
        const Blob bytes = some_file(version);
        auto file = IgvmFile::parse(bytes);
        ASSERT_TRUE(file) << file.error().what;

        EXPECT_EQ(file->version(), version);
        EXPECT_EQ(file->platforms().size(), 5u);
        EXPECT_EQ(file->platforms()[0].platform, Platform::SevSnp);
        ASSERT_EQ(file->headers().size(), 3u);
        EXPECT_EQ(file->headers()[0].type, Type::GuestPolicy);
        EXPECT_EQ(file->headers()[0].read<GuestPolicy>().policy, 0x30000u);
        const IgvmHeader &page = file->headers()[2];
        EXPECT_EQ(page.read<PageData>().gpa, 0x2000u);
        EXPECT_EQ(page.mask, snp_mask);
        auto data = file->data(page, page.read<PageData>().data, 4096);
        ASSERT_TRUE(data) << data.error().what;
        EXPECT_TRUE(std::ranges::equal(*data, page_of(2)));
    }
}

TEST(IgvmFileTest, IsRefusedWhereverItIsCutShort)
{
    for (uint32_t version : {1, 2}) {
        const Blob bytes = some_file(version);
        for (size_t size = 0; size < bytes.size(); size++) {
            /* Of that size exactly, so that a sanitizer sees its end. */
            const Blob cut(bytes.begin(), bytes.begin() + size);
            expect_refused(IgvmFile::parse(cut), EINVAL, "IGVM file");
        }
    }
}

TEST(IgvmFileTest, IsRefusedWhenAnyByteOfItsHeadersIsChanged)
{
    const Blob good = some_file();
    for (size_t at = 0; at < good.size() - 2 * 4096; at++) {
        Blob bad = good;
        bad[at] ^= 0x10;
        EXPECT_FALSE(IgvmFile::parse(bad)) << "byte " << at;
    }
    Blob bad = good;
    bad[offsetof(FixedHeader, checksum)] ^= 1;
    expect_refused(IgvmFile::parse(bad), EINVAL, "is damaged");
}

TEST(IgvmFileTest, EndsWhereItSaysSo)
{
    Blob bytes = some_file();
    const size_t size = bytes.size();
    bytes.resize(size + 5000, 0xff);
    auto file = IgvmFile::parse(bytes);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_EQ(file->bytes().size(), size);
}

TEST(IgvmFileTest, IsRefusedForAFixedHeaderThatCannotBe)
{
    const Blob good = some_file();
    const Blob newer = some_file(2);
    auto field = [](size_t offset, uint32_t value, const Blob &file) {
        Blob bad = file;
        put_le(&bad[offset], value);
        return IgvmFile::parse(bad);
    };

    expect_refused(field(0, 0x4d564748, good), EINVAL, "this is no IGVM file");
    expect_refused(field(4, 0, good), EINVAL, "has version 0");
    expect_refused(field(4, 3, good), EINVAL, "has version 3");
    expect_refused(field(16, 23, good), EINVAL, "says that it has 23 bytes");
    expect_refused(field(16, 31, newer), EINVAL, "says that it has 31 bytes");
    expect_refused(field(16, UINT32_MAX, good), EINVAL, "are there");
    expect_refused(field(28, 16384, newer), EINVAL, "pages of 16384 bytes");
    for (uint32_t offset : {0u, 16u, 25u, 28u, 0xfffffff8u}) {
        expect_refused(field(8, offset, good), EINVAL, "where they cannot be");
    }
    expect_refused(field(8, 24, newer), EINVAL, "where they cannot be");
    expect_refused(field(12, good.size() - 23, good), EINVAL,
                   "where they cannot be");
    expect_refused(field(12, UINT32_MAX, good), EINVAL, "where they cannot be");
}

TEST(IgvmFileTest, IsRefusedForHeadersThatReachOutOfTheirSection)
{
    const Blob good = some_file();
    const size_t last = 24 + 5 * 24 + 24 + 32; /* the second page */
    const uint32_t size = get_le<uint32_t>(&good[12]);

    ASSERT_EQ(get_le<uint32_t>(&good[last]), uint32_t(Type::PageData));
    for (uint32_t length : {25u, 0x80000000u, UINT32_MAX, UINT32_MAX - 7}) {
        expect_refused(IgvmFile::parse(with_field(good, last + 4, length)),
                       EINVAL, "more than are left for headers");
    }
    expect_refused(IgvmFile::parse(with_field(good, 12, size - 28)), EINVAL,
                   "last header, at 0xc8, is cut short");
    expect_refused(IgvmFile::parse(with_field(good, 12, size + 4)), EINVAL,
                   "last header, at 0xe8, is cut short");
}

TEST(IgvmFileTest, SkipsWhatItDoesNotKnowOnlyIfItMay)
{
    const Blob skipped = with_header(0x80000399, Blob(5));
    auto file = IgvmFile::parse(skipped);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_EQ(file->skipped(), 1u);
    EXPECT_TRUE(file->headers().empty());

    for (uint32_t type : {0u, 0x306u, 0x314u, 0x30bu | 1 << 16, 0x7fffffffu}) {
        expect_refused(IgvmFile::parse(with_header(type, Blob(8))), EINVAL,
                       "which is not known");
    }
}

TEST(IgvmFileTest, IsRefusedForAHeaderOfAnotherLengthThanItsTypeHas)
{
    const std::pair<Type, size_t> lengths[] = {
        {Type::SupportedPlatform, 16},
        {Type::GuestPolicy, 16},
        {Type::RelocatableRegion, 48},
        {Type::PageTableRelocation, 32},
        {Type::ParameterArea, 16},
        {Type::PageData, 24},
        {Type::ParameterInsert, 16},
        {Type::VpContext, 20},
        {Type::RequiredMemory, 24},
        {Type::VpCount, 8},
        {Type::Srat, 8},
        {Type::Madt, 8},
        {Type::MmioRanges, 8},
        {Type::SnpIdBlock, 696},
        {Type::MemoryMap, 8},
        {Type::ErrorRange, 16},
        {Type::CommandLine, 8},
        {Type::Slit, 8},
        {Type::Pptt, 8},
        {Type::DeviceTree, 8},
        {Type::EnvironmentInfo, 8},
    };
    for (auto [type, length] : lengths) {
        for (size_t wrong : {size_t(0), length - 1, length + 1, length + 8}) {
            const Blob bad = with_header(uint32_t(type), Blob(wrong));
            expect_refused(IgvmFile::parse(bad), EINVAL,
                           "and such a header has " + std::to_string(length));
        }
        /* Masks of 0 are another fault. */
        auto good = IgvmFile::parse(with_header(uint32_t(type), Blob(length)));
        EXPECT_TRUE(good || good.error().what.find("mask") != std::string::npos)
            << good.error().what;
    }
}

TEST(IgvmFileTest, IsRefusedWhenItsSectionsAreMixed)
{
    const GuestPolicy policy{.policy = 0, .mask = snp_mask, .reserved = 0};
    const PageData page = page_at(0, 0, snp_mask);

    expect_refused(IgvmFile::parse(igvm_writer().add(page).add(policy).build()),
                   EINVAL, "guest policy at 0xb0 of the file comes too late");
    expect_refused(IgvmFile::parse(igvm_writer()
                                       .add(policy)
                                       .add({.mask = 1 << 9,
                                             .highest_vtl = 0,
                                             .platform = Platform::Vsm,
                                             .version = 1,
                                             .shared_gpa_boundary = 0})
                                       .build()),
                   EINVAL, "comes too late");
}

TEST(IgvmFileTest, IsRefusedForPlatformsThatCannotBeToldApart)
{
    auto parse = [](std::initializer_list<std::pair<Platform, uint32_t>> all) {
        static Blob bytes;
        IgvmWriter writer;
        for (auto [platform, mask] : all) {
            writer.add({.mask = mask,
                        .highest_vtl = 0,
                        .platform = platform,
                        .version = 1,
                        .shared_gpa_boundary = 0});
        }
        bytes = writer.build();
        return IgvmFile::parse(bytes);
    };

    EXPECT_TRUE(parse({{Platform::SevSnp, 1}, {Platform::Tdx, 1u << 31}}));
    expect_refused(parse({}), EINVAL, "names no platform");
    expect_refused(parse({{Platform::SevSnp, 0}}), EINVAL, "not one bit");
    expect_refused(parse({{Platform::SevSnp, 3}}), EINVAL, "not one bit");
    expect_refused(parse({{Platform::SevSnp, 1}, {Platform::Tdx, 1}}), EINVAL,
                   "not one bit of its own");
    expect_refused(parse({{Platform::SevSnp, 1}, {Platform::SevSnp, 2}}),
                   EINVAL, "names the platform SEV-SNP twice");
}

TEST(IgvmFileTest, IsRefusedForAMaskThatIsOfNoPlatform)
{
    for (uint32_t mask : {0u, 0x100u, snp_mask | 0x80000000u, UINT32_MAX}) {
        const Blob bad = igvm_writer().add(page_at(0, 0, mask)).build();
        expect_refused(IgvmFile::parse(bad), EINVAL,
                       "and the masks of its platforms are 0x1f");
    }
}

TEST(IgvmFileTest, IsRefusedForMoreHeadersThanAnyFileHas)
{
    IgvmWriter few = igvm_writer();
    for (uint32_t i = 5; i < most_headers; i++) {
        few.add_bytes(0x80000399, {});
    }
    EXPECT_TRUE(IgvmFile::parse(few.build()));
    few.add_bytes(0x80000399, {});
    expect_refused(IgvmFile::parse(few.build()), EINVAL,
                   "more than 131072 headers");

    IgvmWriter million = igvm_writer();
    for (uint32_t i = 0; i < 1000000; i++) {
        million.add(page_at(uint64_t(i) << 12, 0, snp_mask));
    }
    expect_refused(IgvmFile::parse(million.build()), EINVAL,
                   "is the most that is taken");
}

TEST(IgvmFileTest, IsRefusedForMoreBytesOfHeadersThanAnyFileHas)
{
    const uint32_t platforms = 5 * 24;
    const Blob most = with_header(0x80000399,
                                  Blob(most_header_bytes - platforms - 8));
    auto file = IgvmFile::parse(most);
    EXPECT_TRUE(file) << file.error().what;
    expect_refused(IgvmFile::parse(with_header(
                       0x80000399, Blob(most_header_bytes - platforms))),
                   EINVAL, "has 0x400008 bytes of variable headers");
}

TEST(IgvmFileTest, GivesNoDataFromAnywhereButBehindTheHeaders)
{
    const Blob bytes = some_file();
    auto file = IgvmFile::parse(bytes);
    ASSERT_TRUE(file);
    const IgvmHeader &header = file->headers().back();
    const uint32_t begin = uint32_t(bytes.size() - 2 * 4096);

    EXPECT_TRUE(file->data(header, begin, 2 * 4096));
    EXPECT_TRUE(file->data(header, uint32_t(bytes.size()), 0));
    for (auto [offset, size] : {std::pair<uint32_t, uint64_t>{0, 1},
                                {begin - 1, 1},
                                {begin, 2 * 4096 + 1},
                                {begin + 1, 2 * 4096},
                                {uint32_t(bytes.size()), 1},
                                {UINT32_MAX, 1},
                                {begin, UINT64_MAX},
                                {UINT32_MAX, UINT64_MAX}}) {
        expect_refused(file->data(header, offset, size), EINVAL,
                       "page data at 0xc8 of the file wants");
    }
}

} /* namespace */
