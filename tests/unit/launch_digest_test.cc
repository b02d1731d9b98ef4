/*
 * Launch digests, step by step
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The expected values were made by a few lines of Python's hashlib; so were
 * those of vmsa_test.cc.
 */

#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

#include "launch_digest.h"
#include "little_endian.h"

using namespace kvm_reset;

namespace {

using Page = std::array<uint8_t, launch_page_size>;

Page counting_page()
{
    Page page;
    for (size_t i = 0; i < page.size(); i++) {
        page[i] = uint8_t(i);
    }
    return page;
}

Bytes text(const char *words)
{
    return {reinterpret_cast<const uint8_t *>(words), strlen(words)};
}

/* FIPS 180-4's own example. */
TEST(HashTest, GivesTheStandardsValues)
{
    EXPECT_EQ(Hash::of(HashKind::Sha256, text("abc")).hex(),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
              "ad");
    EXPECT_EQ(Hash::of(HashKind::Sha384, text("abc")).hex(),
              "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5b"
              "ed8086072ba1e7cc2358baeca134c825a7");
}

TEST(HashTest, CanBeReadAndFedAlternately)
{
    Hash hash(HashKind::Sha256);
    hash.update(text("a"));
    EXPECT_EQ(hash.digest(), Hash::of(HashKind::Sha256, text("a")));
    hash.update(text("bc"));
    EXPECT_EQ(hash.digest(), Hash::of(HashKind::Sha256, text("abc")));
    EXPECT_EQ(hash.digest(), hash.digest());
}

TEST(HashTest, ACopyGoesItsOwnWay)
{
    Hash first(HashKind::Sha384);
    first.update(text("a"));
    Hash second = first;
    second.update(text("bc"));
    EXPECT_EQ(first.digest(), Hash::of(HashKind::Sha384, text("a")));
    EXPECT_EQ(second.digest(), Hash::of(HashKind::Sha384, text("abc")));
    first = second;
    EXPECT_EQ(first.digest(), second.digest());
}

TEST(SevDigestTest, IsOneHashHoweverItIsCutUp)
{
    const Page page = counting_page();
    SevDigest whole, pieces;

    whole.update(page);
    pieces.update(Bytes(page).first(16));
    pieces.update(Bytes(page).subspan(16));
    EXPECT_EQ(whole.hex(), "c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a"
                           "8fee0df6ecf193");
    EXPECT_EQ(whole.digest(), pieces.digest());
}

TEST(SevDigestTest, DependsOnTheOrder)
{
    SevDigest one, other;

    one.update(text("a"));
    one.update(text("b"));
    other.update(text("b"));
    other.update(text("a"));
    EXPECT_NE(one.digest(), other.digest());
}

TEST(SnpDigestTest, StartsAsZeros)
{
    EXPECT_EQ(SnpDigest().hex(), std::string(96, '0'));
}

TEST(SnpDigestTest, MeasuresANormalPageByItsContents)
{
    SnpDigest digest;

    ASSERT_TRUE(digest.add(SnpPage::Normal, 0x1000, counting_page()));
    EXPECT_EQ(digest.hex(),
              "d9ee416942ec5db1caf25b01cff7feaed0d7ac42422f811c6164e4857e3f80"
              "0d270202f572ade105c96b3959107b8521");
}

TEST(SnpDigestTest, MeasuresACpuidPageByItsPlaceAlone)
{
    SnpDigest with, without;

    ASSERT_TRUE(with.add(SnpPage::Cpuid, 0x1000, counting_page()));
    ASSERT_TRUE(without.add(SnpPage::Cpuid, 0x1000, launch_page_size));
    EXPECT_EQ(with.hex(),
              "af3c8d305f882f039a48318a961572ddc7ebf40b3d1eae828f4fa6e27a7b30"
              "78cf2d84b459e002fb58b4ae83efd7f29c");
    EXPECT_EQ(with.digest(), without.digest());
}

TEST(SnpDigestTest, TellsTheTypesOfPagesApart)
{
    std::vector<Digest> seen;

    for (SnpPage type :
         {SnpPage::Normal, SnpPage::Vmsa, SnpPage::Zero, SnpPage::Unmeasured,
          SnpPage::Secrets, SnpPage::Cpuid}) {
        SnpDigest digest;
        ASSERT_TRUE(digest.add(type, 0x1000, Page{}));
        for (const Digest &other : seen) {
            EXPECT_NE(digest.digest(), other) << int(type);
        }
        seen.push_back(digest.digest());
    }
}

TEST(SnpDigestTest, SeveralPagesAreOneAfterTheOther)
{
    std::vector<uint8_t> pages(2 * launch_page_size, 1);
    SnpDigest together, apart;

    pages[launch_page_size] = 2;
    ASSERT_TRUE(together.add(SnpPage::Normal, 0x5000, pages));
    ASSERT_TRUE(apart.add(SnpPage::Normal, 0x5000,
                          Bytes(pages).first(launch_page_size)));
    ASSERT_TRUE(apart.add(SnpPage::Normal, 0x6000,
                          Bytes(pages).last(launch_page_size)));
    EXPECT_EQ(together.digest(), apart.digest());
}

TEST(SnpDigestTest, SoManyPagesThatThreadsShareThemAreOneAfterTheOther)
{
    /* So many that each has a share that ends on no power of two. */
    std::vector<uint8_t> pages(1027 * launch_page_size);
    SnpDigest together, apart;

    for (size_t i = 0; i < pages.size(); i += 8) {
        put_le(&pages[i], uint64_t(i * 0x9e3779b97f4a7c15));
    }
    ASSERT_TRUE(together.add(SnpPage::Normal, 0x100000, pages));
    for (size_t at = 0; at < pages.size(); at += launch_page_size) {
        ASSERT_TRUE(apart.add(SnpPage::Normal, 0x100000 + at,
                              std::span(pages).subspan(at, launch_page_size)));
    }
    EXPECT_EQ(together.digest(), apart.digest());
}

TEST(SnpDigestTest, AContentsDigestCanBeMadeAhead)
{
    const Page page = counting_page();
    SnpDigest now, ahead;

    ASSERT_TRUE(now.add(SnpPage::Vmsa, 0x1000, page));
    ahead.add_page(SnpPage::Vmsa, 0x1000, SnpDigest::contents_digest(page));
    EXPECT_EQ(now.digest(), ahead.digest());
}

TEST(SnpDigestTest, ASaveAreaIsMeasuredAtItsFixedPlace)
{
    SnpDigest digest, expected;

    ASSERT_TRUE(digest.add_vmsa(counting_page()));
    ASSERT_TRUE(expected.add(SnpPage::Vmsa, 0xfffffffff000, counting_page()));
    EXPECT_EQ(digest.digest(), expected.digest());
}

TEST(SnpDigestTest, RefusesWhatIsNoWholePageAndStaysAsItWas)
{
    const Page page = counting_page();
    SnpDigest digest;

    EXPECT_EQ(digest.add(SnpPage::Normal, 0x1001, page).error().code, EINVAL);
    EXPECT_EQ(digest.add(SnpPage::Normal, 0x1000, Bytes(page).first(4095))
                  .error()
                  .code,
              EINVAL);
    EXPECT_FALSE(digest.add(SnpPage::Zero, 0x1000, uint64_t(1)));
    EXPECT_FALSE(digest.add(SnpPage::Zero, 0, ~uint64_t(0)));
    EXPECT_FALSE(digest.add(SnpPage::Zero, uint64_t(0) - 4096, 8192));
    EXPECT_FALSE(digest.add(SnpPage::Normal, 0x1000, launch_page_size));
    EXPECT_FALSE(digest.add_vmsa(Bytes(page).first(1024)));
    EXPECT_EQ(digest.digest(), SnpDigest().digest());
}

TEST(TdxDigestTest, MeasuresPagesByPlaceAndIfAskedByContents)
{
    TdxDigest measured, added, added_by_size;

    ASSERT_TRUE(measured.add(0x1000, counting_page(), true));
    EXPECT_EQ(measured.hex(),
              "15a8464628b6214951c4a1b57775507dd950263654e8790e257995b45013c8"
              "4aba1d87a3bcbc1929b5f7db6d3e92cad6");
    ASSERT_TRUE(added.add(0x1000, counting_page(), false));
    EXPECT_EQ(added.hex(),
              "fcdabf6fdf38b87d2e3a89b1ab68c242abb261dffa70ef6f1dc2220c2752d2"
              "729cdf1be92afc2e0e4297f04e2b629552");
    ASSERT_TRUE(added_by_size.add(0x1000, launch_page_size));
    EXPECT_EQ(added.digest(), added_by_size.digest());
}

/* Not all pages first: Linux extends each page as soon as it has added it. */
TEST(TdxDigestTest, EachPageIsExtendedBeforeTheNextIsAdded)
{
    const std::vector<uint8_t> pages(2 * launch_page_size, 7);
    TdxDigest together, apart;

    ASSERT_TRUE(together.add(0, pages, true));
    ASSERT_TRUE(apart.add(0, Bytes(pages).first(launch_page_size), true));
    ASSERT_TRUE(apart.add(0x1000, Bytes(pages).last(launch_page_size), true));
    EXPECT_EQ(together.digest(), apart.digest());
}

TEST(TdxDigestTest, RefusesWhatIsNoWholePageAndStaysAsItWas)
{
    const Page page = counting_page();
    TdxDigest digest;

    EXPECT_EQ(digest.add(0x10, page, true).error().code, EINVAL);
    EXPECT_FALSE(digest.add(0, Bytes(page).first(256), true));
    EXPECT_FALSE(digest.add(0, Bytes(page).first(256), false));
    EXPECT_FALSE(digest.add(uint64_t(0) - 4096, 8192));
    EXPECT_EQ(digest.digest(), TdxDigest().digest());
}

} /* namespace */
