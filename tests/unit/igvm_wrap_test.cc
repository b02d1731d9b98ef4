/*
 * OVMF as an IGVM file: launched as by -bios, and measured as such
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "firmware_image.h"
#include "igvm_areas.h"
#include "igvm_image.h"
#include "igvm_launch.h"
#include "igvm_wrap.h"
#include "measure.h"
#include "ovmf_igvm.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint32_t milan = 0xa00f11;
constexpr Guid igvm_metadata = Guid::of("784fa70e-3176-4677-8a20-04b68699e374");
constexpr size_t igvm_offset = 0xe00;

constexpr TdvfRow boot = {0x1000, 0x3000, 0xffffd000, 0x3000, 0, 1};
constexpr TdvfRow variables = {0, 0x1000, 0xffffc000, 0x1000, 1, 0};
constexpr TdvfRow hob = {0, 0, 0x809000, 0x2000, 2, 0};
constexpr TdvfRow memory = {0, 0, 0x810000, 0x3000, 3, 1}; /* of zeros */

/* @table without its signature. */
FirmwareImage with_metadata(const Blob &table)
{
    FirmwareImage image = snp_image();

    return image.put(igvm_offset, {'I', 'G', 'V', 'M'})
        .put(igvm_offset + 4, table)
        .entry(igvm_metadata, words({image.from_end(igvm_offset)}));
}

/* An area in the first section, and what it is for. */
FirmwareImage wants_parameters(uint32_t at = 0x801000, uint32_t size = 0x1000)
{
    return with_metadata(
        words({16 + 4 * 12, 1, 4, at, size, 0x100, 0, 0xc0, 0x101, 0xc0, 16,
               0x102, 0x802000, 0x1000, 0x200}));
}

IgvmWrap wrap_of(const Blob &image, std::vector<Platform> platforms)
{
    IgvmWrap wrap{
        .firmware = image, .platforms = std::move(platforms), .kernel = {}};
    wrap.cpu_signature = milan;
    return wrap;
}

/* The launch points into the bytes. */
struct Launched {
    Blob bytes;
    IgvmX86Guest guest;
    Result<IgvmLaunch> launch;

    std::string digest() const
    {
        return launch ? igvm_digest(*launch, guest)->hex()
                      : launch.error().what;
    }
};

Launched launch(const IgvmWrap &wrap, Platform platform, uint32_t vcpus = 1)
{
    auto bytes = wrap_ovmf(wrap);
    Launched launched{
        bytes ? *bytes : Blob(), {}, std::unexpected(Error{0, "not wrapped"})};
    launched.guest.platform = platform;
    launched.guest.guest = igvm_guest(vcpus);

    if (!bytes) {
        launched.launch = std::unexpected(bytes.error());
    } else if (auto file = IgvmFile::parse(launched.bytes)) {
        launched.launch = igvm_launch(*file, launched.guest);
    } else {
        launched.launch = std::unexpected(file.error());
    }
    return launched;
}

/* By -bios. */
std::string digest_of(Tee tee, const IgvmWrap &wrap, bool fpu = true)
{
    Guest guest{.tee = tee,
                .firmware = wrap.firmware,
                .vcpus = wrap.vcpus,
                .cpu_signature = wrap.cpu_signature,
                .sev_features = wrap.sev_features,
                .fpu_in_save_area = fpu,
                .kernel = wrap.kernel};
    return launch_digest(guest)->hex();
}

/* --- digests -------------------------------------------------------------- */

TEST(IgvmWrapTest, OfSnpHasTheDigestOfBios)
{
    const Blob image = snp_image().build();
    IgvmWrap wrap = wrap_of(image, {Platform::SevSnp});

    for (unsigned vcpus : {1u, 2u, 5u}) {
        wrap.vcpus = vcpus;
        EXPECT_EQ(launch(wrap, Platform::SevSnp, vcpus).digest(),
                  digest_of(Tee::Snp, wrap));
    }
    wrap.sev_features = 0x21;
    EXPECT_EQ(launch(wrap, Platform::SevSnp, 5).digest(),
              digest_of(Tee::Snp, wrap));
}

TEST(IgvmWrapTest, OfSnpHasTheHashesOfAKernel)
{
    const Blob image = snp_image().build();
    IgvmWrap wrap = wrap_of(image, {Platform::SevSnp});
    const std::string without = digest_of(Tee::Snp, wrap);
    wrap.kernel = KernelHashes{.kernel = Hash::of(HashKind::Sha256, image),
                               .initrd = Hash::of(HashKind::Sha256, {}),
                               .cmdline = cmdline_hash("quiet")};

    EXPECT_EQ(launch(wrap, Platform::SevSnp).digest(),
              digest_of(Tee::Snp, wrap));
    EXPECT_NE(digest_of(Tee::Snp, wrap), without);

    const Blob other = FirmwareImage()
                           .entry(names::reset_block, words({0x80b004}))
                           .entry(names::hash_table, words({0x10c00, 0x400}))
                           .metadata({{0x800000, 0x1000, SevSection::Memory}})
                           .build();
    wrap.firmware = other;
    expect_refused(wrap_ovmf(wrap), ENOENT, "no section for kernel hashes");
}

TEST(IgvmWrapTest, OfSevAndSevEsHasTheDigestOfBios)
{
    const Blob image = snp_image().build();
    IgvmWrap wrap = wrap_of(image, {Platform::SevEs, Platform::Sev});

    for (unsigned vcpus : {1u, 2u, 5u}) {
        wrap.vcpus = vcpus;
        IgvmWrap by_bios = wrap;
        by_bios.sev_features = 0;
        for (bool fpu : {true, false}) {
            wrap.fpu_in_save_area = fpu;
            EXPECT_EQ(launch(wrap, Platform::SevEs, vcpus).digest(),
                      digest_of(Tee::SevEs, by_bios, fpu));
        }
        EXPECT_EQ(launch(wrap, Platform::Sev, vcpus).digest(),
                  digest_of(Tee::Sev, by_bios));
    }
}

TEST(IgvmWrapTest, OfTdxHasTheDigestOfBios)
{
    const Blob image =
        FirmwareImage().tdvf({boot, variables, memory, hob}).build();
    const IgvmWrap wrap = wrap_of(image, {Platform::Tdx});

    EXPECT_EQ(launch(wrap, Platform::Tdx).digest(), digest_of(Tee::Tdx, wrap));
}

TEST(IgvmWrapTest, OfSeveralPlatformsIsEachOfThem)
{
    const Blob image = snp_image().tdvf({boot, variables, hob}).build();
    const IgvmWrap wrap = wrap_of(
        image, {Platform::Native, Platform::Tdx, Platform::SevSnp});

    EXPECT_EQ(launch(wrap, Platform::SevSnp).digest(),
              digest_of(Tee::Snp, wrap));
    EXPECT_EQ(launch(wrap, Platform::Tdx).digest(), digest_of(Tee::Tdx, wrap));

    const Launched native = launch(wrap, Platform::Native);
    ASSERT_TRUE(native.launch) << native.launch.error().what;
    ASSERT_EQ(native.launch->plan.regions.size(), 1u);
    const IgvmRegion &all = native.launch->plan.regions[0];
    EXPECT_EQ(all.gpa, 0xffffc000u);
    EXPECT_TRUE(std::ranges::equal(all.data, image));
    EXPECT_FALSE(native.launch->vcpus[0]); /* as after a reset */
    EXPECT_FALSE(native.launch->plan.policy);
}

TEST(IgvmWrapTest, HasThePolicyForSnp)
{
    const Blob image = snp_image().build();
    IgvmWrap wrap = wrap_of(image, {Platform::Native, Platform::SevSnp});

    wrap.policy = 0xb0000;
    EXPECT_EQ(launch(wrap, Platform::SevSnp).launch->plan.policy, 0xb0000u);
}

/* --- parameters ----------------------------------------------------------- */

TEST(IgvmWrapTest, HasTheParametersFilledInThatOvmfWants)
{
    const Blob image = wants_parameters().build();
    const Launched snp = launch(wrap_of(image, {Platform::SevSnp}),
                                Platform::SevSnp);
    ASSERT_TRUE(snp.launch) << snp.launch.error().what;

    /* 0x800000 zero, 0x801000 parameters, 0x802000 zero: one section. */
    const auto &regions = snp.launch->plan.regions;
    ASSERT_EQ(regions.size(), 7u);
    EXPECT_EQ(regions[1].size, 0x1000u);
    EXPECT_EQ(regions[2].kind, IgvmPages::Unmeasured);
    EXPECT_EQ(regions[2].gpa, 0x801000u);
    EXPECT_EQ(regions[3].kind, IgvmPages::Zero);
    EXPECT_EQ(regions[3].gpa, 0x802000u);
    const Bytes page = regions[2].data;
    const Blob map = igvm_memory_map(snp.guest.guest);
    EXPECT_TRUE(std::ranges::equal(page.first(map.size()), map));
    EXPECT_EQ(get_le<uint32_t>(&page[0xc0]), 1u);
}

TEST(IgvmWrapTest, WithParametersDiffersFromBiosInTheirPagesAlone)
{
    const Blob image = wants_parameters().build();
    IgvmWrap wrap = wrap_of(image, {Platform::SevSnp});

    EXPECT_NE(launch(wrap, Platform::SevSnp).digest(),
              digest_of(Tee::Snp, wrap));
    SnpDigest expected;
    ASSERT_TRUE(expected.add(SnpPage::Normal, 0xffffc000, image));
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x800000, 0x1000));
    ASSERT_TRUE(expected.add(SnpPage::Unmeasured, 0x801000, 0x1000));
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x802000, 0x1000));
    ASSERT_TRUE(expected.add(SnpPage::Secrets, 0x80d000, 0x1000));
    ASSERT_TRUE(expected.add(SnpPage::Cpuid, 0x80e000, 0x1000));
    ASSERT_TRUE(expected.add(SnpPage::Zero, 0x10000, 0x1000));
    ASSERT_TRUE(
        expected.add_vmsa(vmsa_page(initial_vmsa(reset_vector, milan, 1))));
    EXPECT_EQ(launch(wrap, Platform::SevSnp).digest(), expected.hex());

    wrap.parameters = false;
    EXPECT_EQ(launch(wrap, Platform::SevSnp).digest(),
              digest_of(Tee::Snp, wrap));
}

TEST(IgvmWrapTest, HasParametersOutsideOfEachSectionBehindThem)
{
    const Blob image = wants_parameters(0x700000, 0x2000).build();
    const Launched snp = launch(wrap_of(image, {Platform::SevSnp}),
                                Platform::SevSnp);
    ASSERT_TRUE(snp.launch) << snp.launch.error().what;
    EXPECT_EQ(snp.launch->plan.regions.back().gpa, 0x700000u);
    EXPECT_EQ(snp.launch->plan.regions.back().size, 0x2000u);
}

TEST(OvmfParametersTest, AreNoneInFirmwareThatKnowsNothingOfThem)
{
    const Blob images[] = {snp_image().build(),
                           with_metadata(words({16, 1, 0})).build()};
    for (const Blob &image : images) {
        auto parameters = ovmf_parameters(*Ovmf::parse(image));
        ASSERT_TRUE(parameters) << parameters.error().what;
        EXPECT_EQ(parameters->size, 0u);
        EXPECT_FALSE(parameters->has(0));
    }
}

TEST(OvmfParametersTest, AreRefusedIfTheirTableIsBroken)
{
    const struct {
        FirmwareImage image;
        const char *what;
    } bad[] = {
        {with_metadata(words({16, 2, 0})), "has version 2"},
        {with_metadata(words({28, 1, 0})), "28 bytes and 0 rows"},
        {with_metadata(words({16, 1, 1})), "16 bytes and 1 rows"},
        {with_metadata(words({20, 1, 0x15555556})), "rows"}, /* 2^32 bytes */
        {with_metadata(words({0x3208, 1, 1066})), "bytes are left"},
        {with_metadata(words({28, 1, 1, 0, 0, 0x101})), "of an area of 0x0"},
        {with_metadata(
             words({40, 1, 2, 0x1000, 0x1000, 0x100, 0x1000, 16, 0x102})),
         "VP count at 0x1000 of an area of 0x1000 bytes"},
        {wants_parameters(0x801001), "not made of whole pages"},
        {wants_parameters(0x801000, 0x800), "not made of whole pages"},
        {with_metadata(
             words({40, 1, 2, 0x1000, 0x1000, 0x100, 0x2000, 0x1000, 0x100})),
         "two areas"},
        {snp_image().entry(igvm_metadata, words({0x100})), "is not where"},
        {snp_image().entry(igvm_metadata, words({15})), "is not where"},
        {snp_image().entry(igvm_metadata, words({0x4001})), "is not where"},
        {snp_image().entry(igvm_metadata, {1, 2, 3}), "is not where"},
    };
    for (const auto &row : bad) {
        const Blob image = row.image.build();
        expect_refused(ovmf_parameters(*Ovmf::parse(image)), EINVAL, row.what);
        expect_refused(wrap_ovmf(wrap_of(image, {Platform::SevSnp})), EINVAL,
                       row.what);
        /* Who does not want them does not care. */
        IgvmWrap wrap = wrap_of(image, {Platform::SevSnp});
        wrap.parameters = false;
        EXPECT_TRUE(wrap_ovmf(wrap));
    }
}

/* --- what cannot be wrapped ----------------------------------------------- */

TEST(IgvmWrapTest, IsRefusedForWhatTheFirmwareLacks)
{
    const Blob none = FirmwareImage().build();

    expect_refused(wrap_ovmf(wrap_of(none, {Platform::SevSnp})), ENOENT,
                   "no SEV metadata");
    expect_refused(wrap_ovmf(wrap_of(none, {Platform::Tdx})), ENOENT,
                   "no TDVF metadata");
    EXPECT_TRUE(wrap_ovmf(wrap_of(none, {Platform::Native})));
    expect_refused(wrap_ovmf(wrap_of(none, {Platform::SevEs})), ENOENT,
                   "reset");
    expect_refused(wrap_ovmf(wrap_of(none, {Platform::Vsm})), EINVAL,
                   "not wrapped for VSM");
    expect_refused(wrap_ovmf(wrap_of(Blob(100), {Platform::Native})), EINVAL,
                   "no multiple of 4096");
    const Blob image = snp_image().build();
    for (unsigned vcpus : {0u, 4097u}) {
        IgvmWrap wrap = wrap_of(image, {Platform::SevSnp});
        wrap.vcpus = vcpus;
        expect_refused(wrap_ovmf(wrap), EINVAL, "vCPUs cannot be");
    }
}

} /* namespace */
