/*
 * What is added to a nested guest's state, of what KVM does not tell
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "guest.h"
#include "nested_state.h"
#include "state_pieces.h"

using namespace kvm_reset;

namespace {

constexpr size_t vmcb_at = sizeof(kvm_nested_state);
constexpr size_t enlightenments = vmcb_at + 0x3e0;

class NestedStateTest : public ::testing::Test {
protected:
    Guest guest;
    std::vector<uint8_t> memory = std::vector<uint8_t>(0x4000);
    std::vector<uint8_t> state = std::vector<uint8_t>(vmcb_at + 0x1000);

    void SetUp() override
    {
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION,
                              kvm_userspace_memory_region{
                                  .slot = 0,
                                  .guest_phys_addr = 0x100000,
                                  .memory_size = memory.size(),
                                  .userspace_addr = uintptr_t(memory.data())}),
                  0);
        for (size_t i = 0; i < memory.size(); i++) {
            memory[i] = uint8_t(1 + i % 251);
        }
        is_svm(KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_GUEST_MODE,
               0x102000);
    }

    void is_svm(uint32_t format, uint32_t flags, uint64_t vmcb)
    {
        write_field(state, field_of(&kvm_nested_state::format), format);
        write_field(state, field_of(&kvm_nested_state::flags), flags);
        memcpy(&state[offsetof(kvm_nested_state, hdr)], &vmcb, sizeof vmcb);
    }

    void stays_as_it_is()
    {
        std::vector<uint8_t> before = state;
        ASSERT_TRUE(add());
        EXPECT_EQ(state, before);
    }

    Result<void> add()
    {
        return add_enlightenments(guest.kernel, guest.recorder.snapshot(),
                                  state);
    }
};

TEST_F(NestedStateTest, TheEnlightenmentsOfTheVmcbAreAdded)
{
    std::vector<uint8_t> expected = state;
    std::copy_n(memory.begin() + 0x23e0, 32, expected.begin() + enlightenments);
    ASSERT_TRUE(add());
    EXPECT_EQ(state, expected);
}

TEST_F(NestedStateTest, WithoutAnL2NothingIs)
{
    is_svm(KVM_STATE_NESTED_FORMAT_SVM, 0, 0x102000);
    stays_as_it_is();
}

TEST_F(NestedStateTest, OfIntelsStateNothingIs)
{
    is_svm(0, KVM_STATE_NESTED_GUEST_MODE, 0x102000);
    stays_as_it_is();
}

TEST_F(NestedStateTest, WhereThereIsNoMemoryNothingIs)
{
    /* Before it, at its end, behind it, at the end of all addresses. */
    for (uint64_t vmcb :
         {0xff000ull, 0x104000ull - 0x3f0, 0x104000ull, ~0ull - 0x3df}) {
        SCOPED_TRACE(vmcb);
        is_svm(KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_GUEST_MODE, vmcb);
        stays_as_it_is();
    }
}

TEST_F(NestedStateTest, MemoryThatCannotBeReadIsToldOf)
{
    ASSERT_EQ(
        guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION,
                    kvm_userspace_memory_region{.slot = 1,
                                                .guest_phys_addr = 0x200000,
                                                .memory_size = 0x1000,
                                                .userspace_addr = 0x1000}),
        0);
    is_svm(KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_GUEST_MODE, 0x200000);
    Result<void> added = add();
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, EFAULT);
}

TEST_F(NestedStateTest, AStateWithoutAVmcbStaysAsItIs)
{
    state.resize(vmcb_at);
    stays_as_it_is();
}

/* KVM takes the enlightenments of a guest that has hypercalls already. */
TEST(StatePiecesTest, HypercallsAreThereBeforeNestedState)
{
    auto place = [](const char *name) {
        auto pieces = x86_state_pieces();
        return std::ranges::find_if(pieces, [name](const StatePiece &piece) {
            return !strcmp(piece.name, name);
        });
    };
    ASSERT_NE(place("NESTED_STATE"), x86_state_pieces().end());
    EXPECT_LT(place("HYPERCALL"), place("NESTED_STATE"));
    EXPECT_EQ(place("NESTED_STATE")->amend, add_enlightenments);
}

} /* namespace */
