/*
 * IGVM files for x86 guests: pages, vCPUs, and what is measured of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <random>

#include <gtest/gtest.h>

#include "igvm_image.h"
#include "igvm_launch.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t top_page = 0xfffff000;

Blob save_area(uint64_t features = 1, uint32_t entry = reset_vector)
{
    const VmsaPage page = vmsa_page(initial_vmsa(entry, 0xa00f11, features));
    return Blob(page.begin(), page.end());
}

IgvmX86Guest guest_of(Platform platform, uint32_t vcpus = 1)
{
    IgvmX86Guest guest;
    guest.platform = platform;
    guest.guest = igvm_guest(vcpus);
    return guest;
}

/* The launch points into the bytes. */
struct Checked {
    Blob bytes;
    Result<IgvmLaunch> launch;
    IgvmX86Guest guest;

    Result<Digest> digest(ZeroPages zero = ZeroPages::Zero) const
    {
        return launch ? igvm_digest(*launch, guest, zero)
                      : Result<Digest>(std::unexpected(launch.error()));
    }
};

Checked check(const IgvmWriter &writer, const IgvmX86Guest &guest)
{
    Checked checked{writer.build(), IgvmLaunch(), guest};
    auto file = IgvmFile::parse(checked.bytes);

    checked.launch = file ? igvm_launch(*file, guest)
                          : Result<IgvmLaunch>(std::unexpected(file.error()));
    return checked;
}

/* A page below 4 GiB, and @areas for as many vCPUs. */
IgvmWriter snp_file(const std::vector<Blob> &areas, uint32_t mask = snp_mask)
{
    IgvmWriter writer = igvm_writer();
    writer.add(page_at(top_page, writer.data(page_of(5)), mask));
    for (size_t i = 0; i < areas.size(); i++) {
        writer.add(context_at(uint16_t(i), writer.data(areas[i]), mask));
    }
    return writer;
}

Result<IgvmLaunch> check_area(const Blob &area)
{
    return check(snp_file({area}), guest_of(Platform::SevSnp)).launch;
}

Blob with_byte(Blob area, size_t at, uint8_t byte)
{
    area[at] = byte;
    return area;
}

/* --- vCPUs ---------------------------------------------------------------- */

TEST(IgvmVmsaTest, BecomesTheRegistersThatItWasMadeOf)
{
    VmsaState state = initial_vmsa(0x80b004, 0xa00f11, 0x221);
    for (size_t i = 0; i < state.gpr.size(); i++) {
        state.gpr[i] = 0x1111111111111111 * i;
    }
    state.cr3 = 0x1000;
    state.cr4 |= 0x20;
    state.cr0 |= 0x80000001;
    state.efer |= 0x500;
    state.cs.attributes = 0xa9b;
    state.ss.attributes = 0xcf3;
    state.cpl = 3;
    const VmsaPage page = vmsa_page(state);
    auto launch = check_area(Blob(page.begin(), page.end()));
    ASSERT_TRUE(launch) << launch.error().what;
    ASSERT_TRUE(launch->vcpus[0]);
    EXPECT_EQ(vmsa_page(*launch->vcpus[0]), page);
    EXPECT_EQ(launch->vcpus[0]->gpr[15], 0xffffffffffffffffu);
    EXPECT_EQ(launch->sev_features, 0x221u);
}

TEST(IgvmVmsaTest, IsRefusedWhereKvmWouldMakeAnother)
{
    const struct {
        size_t at;
        uint8_t byte;
        const char *what;
    } bad[] = {
        {0x0d1, 0x00, "has 0x00 at 0xd1, where that which KVM"}, /* SVME */
        {0x148, 0x00, "at 0x148"},                               /* MCE */
        {0x15b, 0x60, "at 0x15b"},                               /* CD and NW */
        {0x170, 0x00, "at 0x170"},         /* RFLAGS' fixed bit */
        {0x0cb, 0x03, "at 0xcb"},          /* CPL without SS' DPL */
        {0x2e8, 0x01, "at 0x2e8"},         /* PKRU */
        {0x408, 0x00, "at 0x408"},         /* MXCSR */
        {0x411, 0x00, "at 0x411"},         /* FCW */
        {0x060, 0x01, "at 0x60"},          /* GDTR has no selector */
        {0x066, 0x01, "at 0x66"},          /* and a limit of 16 bits */
        {0x0a0, 0x01, "has 0x01 at 0xa0"}, /* a field that KVM leaves zero */
        {0xfff, 0x80, "has 0x80 at 0xfff"},
    };
    for (const auto &row : bad) {
        expect_refused(check_area(with_byte(save_area(), row.at, row.byte)),
                       EINVAL, row.what);
    }
}

TEST(IgvmVmsaTest, IsRefusedForModesThatNoCpuHas)
{
    /* EFER.LMA without paging; paging without protection; CR0 of 64 bits. */
    expect_refused(check_area(with_byte(save_area(), 0x0d1, 0x14)), EINVAL,
                   "do not agree whether it runs in 64-bit mode");
    expect_refused(check_area(with_byte(save_area(), 0x15b, 0x80)), EINVAL,
                   "its CR0 is 0x80000010");
    expect_refused(check_area(with_byte(save_area(), 0x15c, 1)), EINVAL,
                   "which no CPU takes");
    expect_refused(check_area(with_byte(save_area(), 0x013, 0x02)), EINVAL,
                   "do not agree"); /* CS.L in real mode */
}

TEST(IgvmVmsaTest, IsRefusedForFeaturesThatThePlatformLacks)
{
    EXPECT_TRUE(check_area(save_area(0x21)));
    expect_refused(check_area(save_area(0)), EINVAL,
                   "its SEV_FEATURES are 0x0");
    expect_refused(check_area(save_area(0x3)), EINVAL, "with bit 0");
    expect_refused(check_area(save_area(uint64_t(1) << 63 | 1)), EINVAL,
                   "its SEV_FEATURES are 0x8000000000000001");
    expect_refused(check(snp_file({save_area(1), save_area(0x21)}),
                         guest_of(Platform::SevSnp, 2))
                       .launch,
                   EINVAL, "and those of another vCPU 0x1");
    expect_refused(
        check(snp_file({save_area(1)}, sev_es_mask), guest_of(Platform::SevEs))
            .launch,
        EINVAL, "without bit 0");
}

TEST(IgvmVmsaTest, LiesWhereKvmHasItMeasured)
{
    IgvmWriter writer = snp_file({});
    writer.add(
        context_at(0, writer.data(save_area()), snp_mask, 0xfffffffef000));
    expect_refused(check(writer, guest_of(Platform::SevSnp)).launch, EINVAL,
                   "of vCPU 0: its address is 0xfffffffef000");
}

TEST(IgvmVcpusTest, EachHasAContextIfItIsMeasured)
{
    const IgvmWriter one = snp_file({save_area()});

    EXPECT_TRUE(check(one, guest_of(Platform::SevSnp)).launch);
    expect_refused(check(one, guest_of(Platform::SevSnp, 2)).launch, EINVAL,
                   "has no VP context for vCPU 1, and this guest has 2 vCPUs");
    expect_refused(check(snp_file({}), guest_of(Platform::SevSnp)).launch,
                   EINVAL, "has no VP context for vCPU 0");
    IgvmX86Guest guest = guest_of(Platform::SevSnp, 2);
    guest.reset_other_vcpus = true;
    EXPECT_TRUE(check(one, guest).launch);
}

TEST(IgvmVcpusTest, OfATdHaveNone)
{
    EXPECT_TRUE(check(snp_file({}, tdx_mask), guest_of(Platform::Tdx)).launch);
    expect_refused(
        check(snp_file({save_area()}, tdx_mask), guest_of(Platform::Tdx))
            .launch,
        EINVAL, "is for a TD");
    expect_refused(check(igvm_writer().add(page_at(top_page, 0, tdx_mask)),
                         guest_of(Platform::Tdx))
                       .launch,
                   EINVAL, "no page at 0xfffffff0, where a TD starts");
}

Blob native_context()
{
    Blob context(native_context_size);
    put_le(&context[8 * Rsi], uint64_t(0x8000));
    put_le(&context[128], uint64_t(0x100000)); /* RIP */
    put_le(&context[158], uint16_t(0x17));     /* GDTR */
    put_le(&context[160], uint64_t(0x9000));
    put_le(&context[168], uint16_t(0x10)); /* code */
    put_le(&context[170], uint16_t(0xa09b));
    put_le(&context[176], uint32_t(0xffffffff));
    put_le(&context[180], uint16_t(0x18)); /* data */
    put_le(&context[182], uint16_t(0xc093));
    put_le(&context[192], uint64_t(0x7000));     /* GS */
    put_le(&context[200], uint64_t(0x80000011)); /* CR0 */
    put_le(&context[208], uint64_t(0xa000));
    put_le(&context[216], uint64_t(0x20));
    put_le(&context[224], uint64_t(0x500));
    return context;
}

Result<IgvmLaunch> check_native(const Blob &context, uint16_t vp = 0)
{
    IgvmWriter writer = snp_file({}, native_mask);
    writer.add(context_at(vp, writer.data(context), native_mask, 0));
    return check(writer, guest_of(Platform::Native, 2)).launch;
}

TEST(IgvmNativeTest, TheFirstVcpuStartsAsItsContextSays)
{
    EXPECT_TRUE(
        check(snp_file({}, native_mask), guest_of(Platform::Native)).launch);
    auto launch = check_native(native_context());
    ASSERT_TRUE(launch) << launch.error().what;
    ASSERT_TRUE(launch->vcpus[0]);
    const VmsaState &state = *launch->vcpus[0];
    EXPECT_EQ(state.gpr[Rsi], 0x8000u);
    EXPECT_EQ(state.rip, 0x100000u);
    EXPECT_EQ(state.rflags, 2u);
    EXPECT_EQ(state.gdtr.base, 0x9000u);
    EXPECT_EQ(state.gdtr.limit, 0x17u);
    EXPECT_EQ(state.cs.attributes, 0xa9bu);
    EXPECT_EQ(state.cs.limit, 0xffffffffu);
    EXPECT_EQ(state.ss.selector, 0x18u);
    EXPECT_EQ(state.ss.attributes, 0xc93u);
    EXPECT_EQ(state.gs.base, 0x7000u);
    EXPECT_EQ(state.cr3, 0xa000u);
    EXPECT_EQ(state.efer, 0x500u);
    EXPECT_FALSE(launch->vcpus[1]);
}

TEST(IgvmNativeTest, AContextIsRefusedThatIsCutShortOrOfAnotherVcpu)
{
    Blob cut = native_context();
    cut.pop_back();
    expect_refused(check_native(cut), EINVAL, "wants 0xe8 bytes");
    expect_refused(check_native(native_context(), 1), EINVAL,
                   "only the first vCPU of an ordinary guest");
    Blob mode = native_context();
    put_le(&mode[216], uint64_t(0));
    expect_refused(check_native(mode), EINVAL, "do not agree");
}

/* --- pages ---------------------------------------------------------------- */

TEST(IgvmPagesTest, ThatThePlatformFillsAreOfSnpAlone)
{
    for (auto [platform, mask] : {std::pair{Platform::Tdx, tdx_mask},
                                  {Platform::Native, native_mask},
                                  {Platform::SevEs, sev_es_mask},
                                  {Platform::Sev, sev_mask}}) {
        for (PageType type : {PageType::Secrets, PageType::Cpuid}) {
            IgvmWriter writer = snp_file({}, mask);
            writer.add(page_at(0x1000, 0, mask, 0, type));
            expect_refused(check(writer, guest_of(platform)).launch, EINVAL,
                           "only SEV-SNP has such");
        }
    }
}

TEST(IgvmArchitectureTest, IsX64)
{
    Blob bytes = snp_file({save_area()}).build(2);
    put_le(&bytes[24], uint32_t(1));
    set_igvm_checksum(bytes);
    auto file = IgvmFile::parse(bytes);
    ASSERT_TRUE(file);
    expect_refused(igvm_launch(*file, guest_of(Platform::SevSnp)), EINVAL,
                   "is for the architecture 1");
}

/* --- digests -------------------------------------------------------------- */

IgvmWriter all_kinds(uint32_t mask, bool of_snp)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t data = writer.data(page_of(1));

    writer.add(page_at(0x3000, data, mask))
        .add(page_at(0x1000, 0, mask))
        .add(page_at(0x2000, 0, mask))
        .add(page_at(0x5000, data, mask, Unmeasured))
        .add(page_at(0x6000, data, mask, Shared))
        .add({.size = 4096, .index = 0, .data = 0})
        .add(Type::VpCount, Parameter{0, 0})
        .add({.gpa = 0x7000, .mask = mask, .area = 0});
    if (of_snp) {
        writer.add(page_at(0x8000, 0, mask, 0, PageType::Secrets))
            .add(page_at(0x9000, 0, mask, 0, PageType::Cpuid));
    }
    return writer.add(page_at(top_page, data, mask));
}

TEST(IgvmDigestTest, OfSnpIsTheChainOfPagesAndThenOfVcpus)
{
    IgvmWriter writer = all_kinds(snp_mask, true);
    /* The second comes first in the file. */
    writer.add(context_at(1, writer.data(save_area(1, 0x80b004)), snp_mask))
        .add(context_at(0, writer.data(save_area()), snp_mask));
    const Checked checked = check(writer, guest_of(Platform::SevSnp, 2));

    for (bool zero : {true, false}) {
        SnpDigest expected;
        ASSERT_TRUE(expected.add(SnpPage::Normal, 0x3000, page_of(1)));
        ASSERT_TRUE(zero ? expected.add(SnpPage::Zero, 0x1000, 8192)
                         : expected.add(SnpPage::Normal, 0x1000, Blob(8192)));
        ASSERT_TRUE(expected.add(SnpPage::Unmeasured, 0x5000, 4096));
        ASSERT_TRUE(expected.add(SnpPage::Unmeasured, 0x7000, 4096));
        ASSERT_TRUE(expected.add(SnpPage::Secrets, 0x8000, 4096));
        ASSERT_TRUE(expected.add(SnpPage::Cpuid, 0x9000, 4096));
        ASSERT_TRUE(expected.add(SnpPage::Normal, top_page, page_of(1)));
        ASSERT_TRUE(expected.add_vmsa(save_area()));
        ASSERT_TRUE(expected.add_vmsa(save_area(1, 0x80b004)));
        auto digest = checked.digest(zero ? ZeroPages::Zero
                                          : ZeroPages::Normal);
        ASSERT_TRUE(digest) << digest.error().what;
        EXPECT_EQ(digest->hex(), expected.hex());
    }
}

TEST(IgvmDigestTest, OfSnpHasVcpusWithoutAContextAsAfterAReset)
{
    IgvmX86Guest guest = guest_of(Platform::SevSnp, 2);
    guest.reset_other_vcpus = true;
    guest.cpu_signature = 0xa00f11;
    auto digest = check(snp_file({save_area(0x21)}), guest).digest();
    ASSERT_TRUE(digest) << digest.error().what;

    SnpDigest expected;
    ASSERT_TRUE(expected.add(SnpPage::Normal, top_page, page_of(5)));
    ASSERT_TRUE(expected.add_vmsa(save_area(0x21)));
    ASSERT_TRUE(expected.add_vmsa(save_area(0x21)));
    EXPECT_EQ(digest->hex(), expected.hex());
}

TEST(IgvmDigestTest, OfTdxIsOfPagesAlone)
{
    auto digest =
        check(all_kinds(tdx_mask, false), guest_of(Platform::Tdx)).digest();
    ASSERT_TRUE(digest) << digest.error().what;

    TdxDigest expected;
    ASSERT_TRUE(expected.add(0x3000, page_of(1), true));
    ASSERT_TRUE(expected.add(0x1000, Blob(8192), true));
    ASSERT_TRUE(expected.add(0x5000, 4096));
    ASSERT_TRUE(expected.add(0x7000, 4096));
    ASSERT_TRUE(expected.add(top_page, page_of(1), true));
    EXPECT_EQ(digest->hex(), expected.hex());
}

TEST(IgvmDigestTest, OfSevIsOfEncryptedPagesAndWithEsOfVcpus)
{
    SevDigest expected;
    expected.update(page_of(1));
    expected.update(Blob(8192));
    expected.update(page_of(1));
    auto sev =
        check(all_kinds(sev_mask, false), guest_of(Platform::Sev)).digest();
    ASSERT_TRUE(sev) << sev.error().what;
    EXPECT_EQ(sev->hex(), expected.hex());

    IgvmWriter writer = all_kinds(sev_es_mask, false);
    writer.add(context_at(0, writer.data(save_area(0)), sev_es_mask, 0));
    expected.update(save_area(0));
    auto es = check(writer, guest_of(Platform::SevEs)).digest();
    ASSERT_TRUE(es) << es.error().what;
    EXPECT_EQ(es->hex(), expected.hex());
}

TEST(IgvmDigestTest, IsThereOnlyWhereSomethingIsMeasured)
{
    expect_refused(
        check(snp_file({}, native_mask), guest_of(Platform::Native)).digest(),
        EINVAL, "nothing is measured of a guest of the platform native");
}

/* --- the ID block --------------------------------------------------------- */

IgvmWriter with_id_block(const SnpIdBlock &block, bool policy = true)
{
    IgvmWriter writer = igvm_writer();
    if (policy) {
        writer.add({.policy = 0x30000, .mask = snp_mask, .reserved = 0});
    }
    writer.add(page_at(top_page, writer.data(page_of(5)), snp_mask));
    writer.add(context_at(0, writer.data(save_area()), snp_mask));
    return writer.add(Type::SnpIdBlock, block);
}

SnpIdBlock id_block_of(const Digest &digest)
{
    SnpIdBlock block{};
    block.mask = snp_mask;
    block.version = 1;
    block.guest_svn = 7;
    block.id_key_algorithm = 1;
    std::ranges::copy(digest.span(), block.digest);
    block.family_id[0] = 0xfa;
    block.image_id[15] = 0x1a;
    block.id_signature.r[0] = 1;
    block.id_signature.s[71] = 2;
    block.id_key.curve = 2;
    block.id_key.x[0] = 3;
    block.id_key.y[71] = 4;
    block.author_signature.r[0] = 5;
    block.author_key.y[71] = 6;
    return block;
}

TEST(IgvmIdBlockTest, BecomesWhatTheFirmwareTakes)
{
    const Digest digest =
        *check(snp_file({save_area()}), guest_of(Platform::SevSnp)).digest();
    SnpIdBlock block = id_block_of(digest);
    for (uint8_t author : {0, 1}) {
        block.author_key_enabled = author;
        const Checked checked = check(with_id_block(block),
                                      guest_of(Platform::SevSnp));
        ASSERT_TRUE(checked.launch) << checked.launch.error().what;
        const SnpIdentity &identity = *checked.launch->identity;
        const auto &auth = identity.authentication;

        EXPECT_EQ(checked.digest()->hex(), digest.hex());
        EXPECT_TRUE(
            std::ranges::equal(digest.span(), Bytes(identity.block).first(48)));
        EXPECT_EQ(identity.block[48], 0xfa);
        EXPECT_EQ(identity.block[79], 0x1a);
        EXPECT_EQ(get_le<uint32_t>(&identity.block[84]), 7u);
        EXPECT_EQ(get_le<uint64_t>(&identity.block[88]), 0x30000u);
        EXPECT_EQ(auth[0], 1);
        EXPECT_EQ(auth[0x40], 1);
        EXPECT_EQ(auth[0x40 + 143], 2);
        EXPECT_EQ(auth[0x240], 2);
        EXPECT_EQ(auth[0x244], 3);
        EXPECT_EQ(auth[0x244 + 143], 4);
        EXPECT_EQ(identity.author_key, author);
        EXPECT_EQ(auth[0x680], author ? 5 : 0);
        EXPECT_EQ(auth[0x884 + 143], author ? 6 : 0);
    }
}

TEST(IgvmIdBlockTest, IsRefusedIfTheLaunchWouldFailForIt)
{
    const SnpIdBlock block = id_block_of(Digest());
    const IgvmX86Guest guest = guest_of(Platform::SevSnp);

    expect_refused(check(with_id_block(block), guest).digest(), EINVAL,
                   "is of another launch: this guest's digest is ");
    expect_refused(check(with_id_block(block, false), guest).launch, EINVAL,
                   "and no guest policy");
    SnpIdBlock newer = block;
    newer.version = 2;
    expect_refused(check(with_id_block(newer), guest).launch, EINVAL,
                   "has version 2");
    expect_refused(
        check(with_id_block(block).add(Type::SnpIdBlock, block), guest).launch,
        EINVAL, "is its second for one guest");
}

/* --- all ------------------------------------------------------------------ */

/* What only a sanitizer sees: a read outside of the file. */
TEST(IgvmLaunchTest, NothingInABrokenFileLeadsOutsideOfIt)
{
    std::mt19937 random(1);
    IgvmWriter writer = all_kinds(snp_mask, true);
    writer.add(context_at(0, writer.data(save_area()), snp_mask));
    const Blob good = writer.build();
    const uint32_t headers = get_le<uint32_t>(&good[12]);
    unsigned refused = 0, measured = 0;

    for (int i = 0; i < 20000; i++) {
        Blob bytes = good;
        for (unsigned n = random() % 3 + 1; n; n--) {
            bytes[8 + random() % (headers + 16)] = uint8_t(random());
        }
        /* Where the headers are is as it was, so that they can be summed. */
        std::copy_n(good.begin() + 8, 8, bytes.begin() + 8);
        set_igvm_checksum(bytes);
        auto file = IgvmFile::parse(bytes);
        auto launch = file ? igvm_launch(*file, guest_of(Platform::SevSnp))
                           : std::unexpected(file.error());
        if (!launch) {
            refused++;
        } else if (igvm_digest(*launch, guest_of(Platform::SevSnp))) {
            measured++;
        }
    }
    EXPECT_GT(refused, 1000u);
    EXPECT_GT(measured, 1000u);
}

} /* namespace */
