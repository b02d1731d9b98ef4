/*
 * Save areas of vCPUs, and the signatures of CPU models
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include "cpu_signature.h"
#include "firmware_image.h"
#include "little_endian.h"
#include "vmsa.h"

using namespace kvm_reset;

namespace {

std::string sha256(const VmsaPage &page)
{
    return Hash::of(HashKind::Sha256, page).hex();
}

TEST(VmsaTest, TheFirstVcpuIsAtTheResetVectorInEveryByte)
{
    EXPECT_EQ(sha256(vmsa_page(initial_vmsa(reset_vector, 0x800f12, 1))),
              "591598a62aa556861a392da67feab71a919975d97a579eb1df12503178c9cb"
              "b3");
}

TEST(VmsaTest, TheOthersAreAtTheFirmwaresAddressInEveryByte)
{
    EXPECT_EQ(sha256(vmsa_page(initial_vmsa(0x80b004, 0x800f12, 1))),
              "4ffee74d299a5d74748460fd6238d5cdbb7da2fe1c12476a9bf3c8ecdbdcd9"
              "05");
}

TEST(VmsaTest, TheEntryIsSplitIntoSegmentAndOffset)
{
    const VmsaState state = initial_vmsa(0x12345678, 0, 0);

    EXPECT_EQ(state.cs.base, 0x12340000u);
    EXPECT_EQ(state.rip, 0x5678u);
    EXPECT_EQ(state.cs.selector, 0xf000u);
}

TEST(VmsaTest, EachFieldLandsWhereTheManualPutsIt)
{
    VmsaState state;

    for (int i = 0; i < 16; i++) {
        state.gpr[i] = 0x1000 + i;
    }
    state.tr = {.selector = 1, .attributes = 2, .limit = 3, .base = 4};
    state.cpl = 3;
    state.xss = 5;
    state.cr2 = 6;
    state.cr3 = 7;
    state.pkru = 8;
    state.sev_features = 9;
    state.mxcsr = 10;
    state.x87_fcw = 11;
    const VmsaPage page = vmsa_page(state);

    EXPECT_EQ(get_le<uint64_t>(&page[0x1f8]), 0x1000u); /* RAX */
    EXPECT_EQ(get_le<uint64_t>(&page[0x308]), 0x1001u); /* RCX */
    EXPECT_EQ(get_le<uint64_t>(&page[0x310]), 0x1002u); /* RDX */
    EXPECT_EQ(get_le<uint64_t>(&page[0x318]), 0x1003u); /* RBX */
    EXPECT_EQ(get_le<uint64_t>(&page[0x1d8]), 0x1004u); /* RSP */
    EXPECT_EQ(get_le<uint64_t>(&page[0x338]), 0x1007u); /* RDI */
    EXPECT_EQ(get_le<uint64_t>(&page[0x340]), 0x1008u); /* R8 */
    EXPECT_EQ(get_le<uint64_t>(&page[0x378]), 0x100fu); /* R15 */
    EXPECT_EQ(get_le<uint16_t>(&page[0x090]), 1u);
    EXPECT_EQ(get_le<uint16_t>(&page[0x092]), 2u);
    EXPECT_EQ(get_le<uint32_t>(&page[0x094]), 3u);
    EXPECT_EQ(get_le<uint64_t>(&page[0x098]), 4u);
    EXPECT_EQ(page[0x0cb], 3u);
    EXPECT_EQ(get_le<uint64_t>(&page[0x140]), 5u);
    EXPECT_EQ(get_le<uint64_t>(&page[0x240]), 6u);
    EXPECT_EQ(get_le<uint64_t>(&page[0x150]), 7u);
    EXPECT_EQ(get_le<uint32_t>(&page[0x2e8]), 8u);
    EXPECT_EQ(get_le<uint64_t>(&page[0x3b0]), 9u);
    EXPECT_EQ(get_le<uint32_t>(&page[0x408]), 10u);
    EXPECT_EQ(get_le<uint16_t>(&page[0x410]), 11u);
}

TEST(VmsaTest, AttributesArePackedIntoTwelveBits)
{
    EXPECT_EQ(vmsa_attributes(0xb, true, 0, true), 0x9b);
    EXPECT_EQ(vmsa_attributes(0x3, true, 3, true), 0xf3);
    EXPECT_EQ(vmsa_attributes(0x2, false, 0, true), 0x82);
    EXPECT_EQ(vmsa_attributes(0, false, 0, false, true, true, true, true),
              0xf00);
}

TEST(CpuSignatureTest, IsThatOfEachModelOfQemu)
{
    const struct {
        const char *name;
        uint32_t signature;
    } known[] = {
        {"EPYC", 0x800f12},          {"EPYC-v1", 0x800f12},
        {"EPYC-v4", 0x800f12},       {"EPYC-v5", 0x800f12},
        {"EPYC-IBPB", 0x800f12},     {"EPYC-Rome", 0x830f10},
        {"EPYC-Rome-v5", 0x830f10},  {"EPYC-Milan", 0xa00f11},
        {"EPYC-Milan-v3", 0xa00f11}, {"EPYC-Genoa", 0xa10f10},
        {"EPYC-Genoa-v2", 0xa10f10}, {"EPYC-Turin", 0xb00f00},
        {"EPYC-Turin-v1", 0xb00f00}, {"Dhyana", 0x900f01},
    };

    for (const auto &model : known) {
        auto signature = cpu_signature_of(model.name);
        ASSERT_TRUE(signature) << model.name;
        EXPECT_EQ(*signature, model.signature) << model.name;
    }
}

TEST(CpuSignatureTest, EveryListedNameIsKnown)
{
    EXPECT_GE(cpu_names().size(), 25u);
    for (const std::string &name : cpu_names()) {
        EXPECT_TRUE(cpu_signature_of(name)) << name;
    }
}

TEST(CpuSignatureTest, AnUnknownModelIsRefusedWithThoseThereAre)
{
    for (const char *name :
         {"", "EPYC-", "EPYC-v", "EPYC-v0", "EPYC-v01", "EPYC-v99", "epyc",
          "EPYC-IBPB-v1", "EPYC-v4 ", "host", "EPYC-v4,+svm"}) {
        auto signature = cpu_signature_of(name);
        ASSERT_FALSE(signature) << name;
        EXPECT_EQ(signature.error().code, EINVAL);
        EXPECT_TRUE(says(signature.error(), "EPYC-Milan[-v1..3]"))
            << signature.error().what;
    }
}

TEST(CpuSignatureTest, ALargeFamilyGoesIntoTheExtendedField)
{
    EXPECT_EQ(*cpu_signature(15, 0, 0), 0xf00u);
    EXPECT_EQ(*cpu_signature(16, 0, 0), 0x100f00u);
    EXPECT_EQ(*cpu_signature(6, 2, 3), 0x623u);
    EXPECT_EQ(*cpu_signature(270, 255, 15), 0x0fff0fffu);
    EXPECT_FALSE(cpu_signature(271, 0, 0));
    EXPECT_FALSE(cpu_signature(0, 256, 0));
    EXPECT_FALSE(cpu_signature(0, 0, 16));
}

} /* namespace */
