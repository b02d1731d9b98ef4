/*
 * IGVM files against a model of the guest: a plan, or why not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>

#include <gtest/gtest.h>

#include "igvm_image.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t four_gib = uint64_t(1) << 32;
constexpr uint64_t ram_end = 16 << 20;
constexpr uint64_t firmware = four_gib - (1 << 20);

/* The plan points into the bytes. */
struct Ran {
    Blob bytes;
    Result<IgvmPlan> plan;
};

Ran run(const IgvmWriter &writer, const IgvmGuest &guest = igvm_guest(),
        Platform platform = Platform::SevSnp)
{
    Ran ran{writer.build(), IgvmPlan()};
    auto file = IgvmFile::parse(ran.bytes);

    ran.plan = file ? dry_run(*file, platform, guest)
                    : Result<IgvmPlan>(std::unexpected(file.error()));
    return ran;
}

Ran run_page(const PageData &page, const IgvmGuest &guest = igvm_guest())
{
    return run(igvm_writer().add(page), guest);
}

/* A page somewhere, since a plan without one is refused. */
IgvmWriter with_page()
{
    return igvm_writer().add(page_at(0xf00000, no_data, snp_mask | tdx_mask));
}

ParameterArea area(uint32_t index, uint64_t size = 4096, uint32_t data = 0)
{
    return {.size = size, .index = index, .data = data};
}

ParameterInsert insert(uint32_t index, uint64_t gpa, uint32_t mask = snp_mask)
{
    return {.gpa = gpa, .mask = mask, .area = index};
}

/* --- pages ---------------------------------------------------------------- */

TEST(IgvmPagesTest, ThatFollowEachOtherAreOneRegion)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t a = writer.data(page_of(1)), b = writer.data(page_of(2)),
                   c = writer.data(page_of(3));
    const Ran ran = run(writer.add(page_at(0x1000, a, snp_mask))
                            .add(page_at(0x2000, b, snp_mask))
                            .add(page_at(0x9000, 0, tdx_mask))
                            .add(page_at(0x3000, 0, snp_mask))
                            .add(page_at(0x4000, 0, snp_mask))
                            .add(page_at(0x5000, a, snp_mask))
                            .add(page_at(0x6000, c, snp_mask))
                            .add(page_at(0x8000, a, snp_mask)));
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;
    const auto &regions = ran.plan->regions;

    ASSERT_EQ(regions.size(), 5u);
    EXPECT_EQ(regions[0].size, 0x2000u);
    EXPECT_EQ(regions[0].data.size(), 0x2000u);
    EXPECT_TRUE(std::ranges::equal(regions[0].data.subspan(4096), page_of(2)));
    EXPECT_EQ(regions[1].kind, IgvmPages::Zero);
    EXPECT_EQ(regions[1].gpa, 0x3000u);
    EXPECT_EQ(regions[1].size, 0x2000u);
    EXPECT_TRUE(regions[1].data.empty());
    EXPECT_EQ(regions[4].gpa, 0x8000u);
}

TEST(IgvmPagesTest, HaveTheKindThatTypeAndFlagsSay)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t data = writer.data(page_of(1));
    const Ran ran = run(
        writer.add(page_at(0x1000, data, snp_mask))
            .add(page_at(0x3000, data, snp_mask, Unmeasured))
            .add(page_at(0x5000, 0, snp_mask, Unmeasured))
            .add(page_at(0x7000, data, snp_mask, Shared))
            .add(page_at(0x9000, 0, snp_mask))
            .add(page_at(0xb000, 0, snp_mask, 0, PageType::Secrets))
            .add(page_at(0xd000, data, snp_mask, 0, PageType::Cpuid)));
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;

    std::vector<IgvmPages> kinds;
    for (const IgvmRegion &region : ran.plan->regions) {
        kinds.push_back(region.kind);
    }
    EXPECT_EQ(kinds, (std::vector{IgvmPages::Normal, IgvmPages::Unmeasured,
                                  IgvmPages::Unmeasured, IgvmPages::Shared,
                                  IgvmPages::Zero, IgvmPages::Secrets,
                                  IgvmPages::Cpuid}));
    /* The platform fills it, whatever the file has. */
    EXPECT_TRUE(ran.plan->regions.back().data.empty());
}

TEST(IgvmPagesTest, OfTwoMebibytesTakeAsMuchOfTheFile)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t data = writer.data(Blob(large_page_size, 7));
    const Ran ran = run(writer.add(page_at(0x200000, data, snp_mask, LargePage))
                            .add(page_at(0x400000, 0, snp_mask, LargePage)));
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;
    EXPECT_EQ(ran.plan->regions[0].data.size(), large_page_size);
    EXPECT_EQ(ran.plan->regions[1].size, large_page_size);

    IgvmWriter small = igvm_writer();
    const uint32_t page = small.data(page_of(1));
    expect_refused(
        run(small.add(page_at(0x200000, page, snp_mask, LargePage))).plan,
        EINVAL, "wants 0x200000 bytes at");
    expect_refused(run_page(page_at(0x1000, 0, snp_mask, LargePage)).plan,
                   EINVAL, "no multiple of that");
}

TEST(IgvmPagesTest, LieInRamOrInTheFirmwaresWindow)
{
    for (uint64_t gpa : {uint64_t(0), ram_end - 4096, firmware, four_gib - 4096,
                         four_gib, four_gib + ram_end - 4096}) {
        const Ran ran = run_page(page_at(gpa, 0, snp_mask));
        EXPECT_TRUE(ran.plan) << ran.plan.error().what;
    }
    for (uint64_t gpa :
         {ram_end, firmware - 4096, four_gib + ram_end, uint64_t(1) << 52,
          uint64_t(1) << 63, uint64_t(0xfffffffff000),
          uint64_t(0xfffffffffffff000)}) {
        expect_refused(run_page(page_at(gpa, 0, snp_mask)).plan, EINVAL,
                       "which this guest does not have");
    }
    for (uint64_t gpa : {uint64_t(1), uint64_t(0x1800), UINT64_MAX}) {
        expect_refused(run_page(page_at(gpa, 0, snp_mask)).plan, EINVAL,
                       "no multiple of that");
    }
    /* Half in the window, half in RAM: neither has all of it. */
    IgvmGuest guest = igvm_guest();
    guest.firmware = {four_gib - 4096, 4096};
    guest.ram[1] = {four_gib, 16 << 20};
    expect_refused(
        run_page(page_at(four_gib - large_page_size, 0, snp_mask, LargePage),
                 guest)
            .plan,
        EINVAL, "which this guest does not have");
}

TEST(IgvmPagesTest, DoNotOverlap)
{
    auto two = [](const PageData &a, const PageData &b) {
        return run(igvm_writer().add(a).add(b)).plan;
    };

    expect_refused(
        two(page_at(0x1000, 0, snp_mask), page_at(0x1000, 0, snp_mask)), EINVAL,
        "both fill the address 0x1000");
    expect_refused(two(page_at(0x3ff000, 0, snp_mask),
                       page_at(0x200000, 0, snp_mask, LargePage)),
                   EINVAL, "both fill the address 0x3ff000");
    expect_refused(two(page_at(0x200000, 0, snp_mask, LargePage),
                       page_at(0x201000, 0, snp_mask, Shared)),
                   EINVAL, "both fill the address 0x201000");
    /* Of two platforms, they may. */
    EXPECT_TRUE(
        two(page_at(0x1000, 0, snp_mask), page_at(0x1000, 0, tdx_mask)));
    EXPECT_TRUE(
        two(page_at(0x2000, 0, snp_mask), page_at(0x1000, 0, snp_mask)));
}

TEST(IgvmPagesTest, AreRefusedForWhatIsNotKnownOfThem)
{
    expect_refused(run_page(page_at(0, 0, snp_mask, 8)).plan, EINVAL,
                   "has the flags 0x8");
    expect_refused(run_page(page_at(0, 0, snp_mask, 0, PageType(4))).plan,
                   EINVAL, "is of type 4");
    expect_refused(
        run_page(page_at(0, 0, snp_mask, 0, PageType::CpuidXfem)).plan, EINVAL,
        "is of type 3, which KVM does not have");
    for (uint32_t flags : {LargePage, Unmeasured, Shared}) {
        expect_refused(
            run_page(page_at(0, 0, snp_mask, flags, PageType::Cpuid)).plan,
            EINVAL, "is one measured, private page");
    }
}

TEST(IgvmPagesTest, AreRefusedForDataThatIsNotInTheFile)
{
    IgvmWriter writer = igvm_writer();
    writer.data(page_of(1));
    writer.add(page_at(0x1000, 2, snp_mask)); /* a byte too late */
    expect_refused(run(writer).plan, EINVAL, "wants 0x1000 bytes at");
}

TEST(IgvmPagesTest, AreNotMoreThanTheGuestMayAskFor)
{
    IgvmGuest guest = igvm_guest();
    guest.most_launched = 2 * large_page_size;
    IgvmWriter writer = igvm_writer();
    for (uint64_t gpa : {0x200000, 0x400000}) {
        writer.add(page_at(gpa, 0, snp_mask, LargePage));
    }
    EXPECT_TRUE(run(writer, guest).plan);
    writer.add(page_at(0x1000, 0, snp_mask));
    expect_refused(run(writer, guest).plan, EFBIG, "bytes launched");

    guest = igvm_guest();
    guest.most_memory = 4096;
    EXPECT_TRUE(run_page(page_at(firmware, 0, snp_mask), guest).plan);
    expect_refused(run(igvm_writer()
                           .add(page_at(firmware, 0, snp_mask))
                           .add(page_at(firmware + 4096, 0, snp_mask)),
                       guest)
                       .plan,
                   EFBIG, "may take beyond RAM");
}

TEST(IgvmPlatformTest, MustBeOneOfTheFiles)
{
    IgvmWriter writer;
    writer
        .add({.mask = 1,
              .highest_vtl = 2,
              .platform = Platform::Tdx,
              .version = 1,
              .shared_gpa_boundary = uint64_t(1) << 47})
        .add(page_at(0, 0, 1));
    expect_refused(run(writer).plan, ENOENT,
                   "the IGVM file is for TDX, and not for SEV-SNP");
    EXPECT_TRUE(run(writer, igvm_guest(), Platform::Tdx).plan);
    expect_refused(run(igvm_writer().add(page_at(0, 0, tdx_mask))).plan, EINVAL,
                   "no page for this platform");
}

/* --- areas ---------------------------------------------------------------- */

TEST(IgvmAreaTest, HasWhatTheFileAndTheHostPutIntoIt)
{
    IgvmGuest guest = igvm_guest(3);
    guest.parameters[Type::Madt] = {'A', 'P', 'I', 'C'};
    IgvmWriter writer = igvm_writer();
    const uint32_t data = writer.data(page_of(9));
    const Ran ran = run(writer.add(area(7, 4096, data))
                            .add(Type::VpCount, Parameter{7, 0x10})
                            .add(Type::MemoryMap, Parameter{7, 0x20})
                            .add(Type::Madt, Parameter{7, 4092})
                            .add(Type::EnvironmentInfo, Parameter{7, 0})
                            .add(insert(7, 0x5000)),
                        guest);
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;
    ASSERT_EQ(ran.plan->regions.size(), 1u);
    const IgvmRegion &region = ran.plan->regions[0];
    EXPECT_EQ(region.kind, IgvmPages::Unmeasured);
    EXPECT_EQ(region.gpa, 0x5000u);
    ASSERT_EQ(region.data.size(), 4096u);

    Blob expected = page_of(9);
    put_le(&expected[0], uint32_t(1));
    put_le(&expected[0x10], uint32_t(3));
    const uint64_t map[] = {0, 4096, 0, 0x100000, 4096, 0, 0, 0, 0};
    memcpy(&expected[0x20], map, sizeof map);
    memcpy(&expected[4092], "APIC", 4);
    EXPECT_TRUE(std::ranges::equal(region.data, expected));
}

TEST(IgvmAreaTest, IsRefusedForASizeThatCannotBe)
{
    for (uint64_t size : {uint64_t(0), uint64_t(1), uint64_t(4095), UINT64_MAX,
                          (uint64_t(1) << 63) + 1}) {
        expect_refused(run(with_page().add(area(0, size))).plan, EINVAL,
                       "not whole pages");
    }
    for (uint64_t size : {uint64_t(1) << 63, uint64_t(65) << 20,
                          UINT64_MAX - 4095, uint64_t(1) << 32}) {
        expect_refused(run(with_page().add(area(0, size))).plan, EFBIG,
                       "may take beyond RAM");
    }
    IgvmWriter writer = with_page();
    for (uint32_t i = 0; i < 64; i++) {
        writer.add(area(i, 1 << 20));
    }
    EXPECT_TRUE(run(writer).plan);
    expect_refused(run(writer.add(area(64))).plan, EFBIG,
                   "may take beyond RAM");
}

TEST(IgvmAreaTest, IsThereBeforeItIsUsedAndGoneAfterwards)
{
    const Parameter count{1, 0};

    expect_refused(run(with_page().add(insert(1, 0))).plan, EINVAL,
                   "about area 1, which is not there before it");
    expect_refused(run(with_page().add(Type::VpCount, count)).plan, EINVAL,
                   "which is not there before it");
    expect_refused(run(with_page().add(area(1)).add(area(1))).plan, EINVAL,
                   "is the second of number 1");
    IgvmWriter inserted = with_page().add(area(1)).add(insert(1, 0));
    EXPECT_TRUE(run(inserted).plan);
    expect_refused(run(IgvmWriter(inserted).add(Type::VpCount, count)).plan,
                   EINVAL, "which was inserted before it");
    expect_refused(run(IgvmWriter(inserted).add(insert(1, 0x1000))).plan,
                   EINVAL, "which was inserted before it");
    expect_refused(run(IgvmWriter(inserted).add(area(1))).plan, EINVAL,
                   "is the second of number 1");
    /* For another platform it was not. */
    EXPECT_TRUE(run(with_page()
                        .add(area(1))
                        .add(insert(1, 0, tdx_mask))
                        .add(insert(1, 0x1000)))
                    .plan);
}

TEST(IgvmAreaTest, IsNotWrittenPastItsEnd)
{
    IgvmGuest guest = igvm_guest();
    guest.parameters[Type::Srat] = Blob(100, 1);
    auto filled = [&](Type type, uint32_t offset) {
        return run(igvm_writer()
                       .add(area(0))
                       .add(type, Parameter{0, offset})
                       .add(insert(0, 0)),
                   guest)
            .plan;
    };

    EXPECT_TRUE(filled(Type::Srat, 4096 - 100));
    EXPECT_TRUE(filled(Type::VpCount, 4092));
    for (uint32_t offset : {4096u - 99, 4095u, 4096u}) {
        expect_refused(filled(Type::Srat, offset), EINVAL,
                       "and this guest's takes 0x64");
    }
    expect_refused(filled(Type::VpCount, 4093), EINVAL,
                   "has room for 0x3 bytes");
    expect_refused(filled(Type::MemoryMap, 4096 - 71), EINVAL,
                   "this guest's takes 0x48");
    for (uint32_t offset : {4097u, UINT32_MAX}) {
        expect_refused(filled(Type::Srat, offset), EINVAL,
                       "which has 0x1000 bytes");
    }
}

TEST(IgvmAreaTest, IsNotFilledAgainAndAgainWithoutAnEnd)
{
    IgvmGuest guest = igvm_guest();
    guest.parameters[Type::Madt] = Blob(2048, 1);
    guest.most_filled = 4096 + 8192;
    IgvmWriter writer = with_page().add(area(0)).add(area(1));
    for (int i = 0; i < 4; i++) {
        writer.add(Type::Madt, Parameter{0, 0});
    }
    EXPECT_TRUE(run(writer, guest).plan);
    expect_refused(
        run(IgvmWriter(writer).add(Type::VpCount, Parameter{0, 0}), guest).plan,
        EFBIG, "wants 0x4 bytes filled in");
    /* The area is copied, too. */
    guest.most_filled += 4096 + 3;
    expect_refused(
        run(IgvmWriter(writer).add(Type::VpCount, Parameter{1, 0}), guest).plan,
        EFBIG, "wants 0x1004 bytes filled in");
    guest.most_filled++;
    EXPECT_TRUE(run(writer.add(Type::VpCount, Parameter{1, 0}), guest).plan);
}

TEST(IgvmAreaTest, IsNotCopiedIfNothingIsFilledIn)
{
    IgvmWriter writer = igvm_writer();
    const uint32_t data = writer.data(page_of(9));
    const Ran ran = run(writer.add(area(0, 4096, data))
                            .add(area(1, 32 << 12))
                            .add(insert(0, 0x5000))
                            .add(insert(1, 0x100000)));
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;
    EXPECT_TRUE(ran.plan->areas.empty());
    ASSERT_EQ(ran.plan->regions.size(), 2u);
    EXPECT_TRUE(std::ranges::equal(ran.plan->regions[0].data, page_of(9)));
    EXPECT_TRUE(ran.plan->regions[1].data.empty()); /* zeros */
    EXPECT_EQ(ran.plan->regions[1].size, 32u << 12);
}

TEST(IgvmAreaTest, IsRefusedForWhatTheGuestLacksOnlyIfItIsInserted)
{
    const Parameter slit{0, 0};
    IgvmWriter writer = with_page().add(area(0)).add(Type::Slit, slit);

    EXPECT_TRUE(run(writer).plan);
    EXPECT_TRUE(run(writer.add(insert(0, 0, tdx_mask))).plan);
    expect_refused(run(writer.add(insert(0, 0))).plan, EINVAL,
                   "SLIT at 0xc8 of the file asks for something that this "
                   "guest does not have");
}

TEST(IgvmAreaTest, LiesWhereAPageCould)
{
    for (uint64_t gpa :
         {ram_end, ram_end - 4096, uint64_t(0xfffffffffffff000)}) {
        expect_refused(
            run(with_page().add(area(0, 8192)).add(insert(0, gpa))).plan,
            EINVAL, "which this guest does not have");
    }
    expect_refused(run(with_page().add(area(0)).add(insert(0, 0x800))).plan,
                   EINVAL, "not made of whole pages");
    expect_refused(
        run(with_page().add(area(0, 8192)).add(insert(0, 0xeff000))).plan,
        EINVAL, "both fill the address 0xf00000");
}

/* --- the rest ------------------------------------------------------------- */

TEST(IgvmContextsTest, AreOfVcpusThatAreThere)
{
    IgvmWriter writer = with_page();
    const uint32_t data = writer.data(page_of(1));
    writer.add(context_at(1, data, snp_mask))
        .add(context_at(0, data, snp_mask));

    const Ran ran = run(writer, igvm_guest(2));
    ASSERT_TRUE(ran.plan) << ran.plan.error().what;
    ASSERT_EQ(ran.plan->contexts.size(), 2u);
    EXPECT_EQ(ran.plan->contexts[0].context.vp, 1u);

    expect_refused(run(writer, igvm_guest(1)).plan, EINVAL,
                   "is of vCPU 1, and this guest has 1 of them");
    writer.add(context_at(0, data, snp_mask));
    expect_refused(run(writer, igvm_guest(2)).plan, EINVAL,
                   "is the second of vCPU 0");
    IgvmWriter last = with_page();
    last.add(context_at(UINT16_MAX, data, snp_mask));
    expect_refused(run(last, igvm_guest(4096)).plan, EINVAL, "vCPU 65535");
}

TEST(IgvmPolicyTest, IsOneForEachPlatform)
{
    const GuestPolicy snp{.policy = 0x30000, .mask = snp_mask, .reserved = 0};
    const GuestPolicy tdx{.policy = 1, .mask = tdx_mask, .reserved = 0};
    const PageData page = page_at(0, 0, snp_mask);

    EXPECT_EQ(run(igvm_writer().add(tdx).add(snp).add(page)).plan->policy,
              0x30000u);
    expect_refused(run(igvm_writer().add(snp).add(snp).add(page)).plan, EINVAL,
                   "is its second for one guest");
}

TEST(IgvmRequiredMemoryTest, IsRamThatPagesMayLieIn)
{
    auto with = [](uint64_t gpa, uint32_t size) {
        return run(with_page().add(Type::RequiredMemory,
                                   RequiredMemory{.gpa = gpa,
                                                  .mask = snp_mask,
                                                  .size = size,
                                                  .flags = 0,
                                                  .reserved = 0}))
            .plan;
    };

    EXPECT_TRUE(with(0, ram_end));
    EXPECT_TRUE(with(0xf00000, 4096));
    for (auto [gpa, size] : {std::pair<uint64_t, uint32_t>{0, ram_end + 1},
                             {firmware, 4096},
                             {ram_end, 1},
                             {UINT64_MAX, 1},
                             {UINT64_MAX, UINT32_MAX}}) {
        expect_refused(with(gpa, size), EINVAL, "where this guest has none");
    }
}

} /* namespace */
