/*
 * The catalogue
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * That its numbers are the kernel's is checked elsewhere (abi_check); here,
 * that its rows do not contradict themselves, and that what should be recorded
 * is.
 */

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "catalogue.h"
#include "kvm_abi.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

std::string title(const Row &row)
{
    return std::string(row.name) + " on " + to_string(row.on);
}

bool is_recorded(const Row &row)
{
    return row.effect != Effect::Foreign && !effect_passes_through(row.effect);
}

uint32_t family_of(const Row &row)
{
    return row.family ? row.family : row.request;
}

size_t key_fields(const Row &row)
{
    return std::ranges::count_if(row.key,
                                 [](Field field) { return field.width > 0; });
}

bool fits(Field field, size_t bytes)
{
    return size_t(field.offset) + field.width <= bytes;
}

} /* namespace */

TEST(Catalogue, EveryRowHasANameAndAClassOfFd)
{
    for (const Row &row : catalogue()) {
        ASSERT_NE(row.name, nullptr);
        EXPECT_NE(row.on, FdClass::None) << row.name;
        EXPECT_EQ(row.request >> 8 & 0xff, 0xaeu) << title(row);
    }
}

TEST(Catalogue, NoIoctlHasTwoRowsOnOneClassOfFd)
{
    std::set<std::pair<FdClass, uint32_t>> seen;
    for (const Row &row : catalogue()) {
        EXPECT_TRUE(seen.emplace(row.on, row.request).second) << title(row);
    }
}

TEST(Catalogue, EveryRowIsFoundByItsClassAndRequest)
{
    for (const Row &row : catalogue()) {
        EXPECT_EQ(find_row(row.on, row.request), &row) << title(row);
    }
}

TEST(Catalogue, AnIoctlThatNoRowNamesIsNotFound)
{
    EXPECT_EQ(find_row(FdClass::Vm, io(0xff)), nullptr);
    EXPECT_EQ(find_row(FdClass::Vm, KVM_RUN), nullptr);
    EXPECT_EQ(find_row(FdClass::None, KVM_RUN), nullptr);
    EXPECT_EQ(find_row(FdClass::Stats, ~0u), nullptr);
    EXPECT_EQ(find_row("KVM_NO_SUCH_IOCTL"), nullptr);
}

/*
 * abi_check finds an ioctl that has no row only with headers that name it.
 * These came with Linux 7.3, whose headers are not to be had everywhere.
 */
TEST(Catalogue, IoctlsThatOlderHeadersLackHaveRows)
{
    const Row *keyop = find_row(FdClass::Vm, iowr<uint8_t[16]>(0x53));
    const Row *compat_caps = find_row(FdClass::Vm, io(0xb8));
    ASSERT_NE(keyop, nullptr);
    ASSERT_NE(compat_caps, nullptr);
    EXPECT_STREQ(keyop->name, "KVM_S390_KEYOP");
    EXPECT_STREQ(compat_caps->name, "KVM_PPC_GET_COMPAT_CAPS");
    EXPECT_EQ(keyop->effect, Effect::Foreign);
    EXPECT_EQ(compat_caps->effect, Effect::Foreign);
}

TEST(Catalogue, OneNumberOnTwoClassesOfFdIsTwoRows)
{
    const Row *vm = find_row(FdClass::Vm, KVM_ENABLE_CAP);
    const Row *vcpu = find_row(FdClass::Vcpu, KVM_ENABLE_CAP);
    ASSERT_NE(vm, nullptr);
    ASSERT_NE(vcpu, nullptr);
    EXPECT_STREQ(vm->name, "KVM_ENABLE_CAP");
    EXPECT_STREQ(vcpu->name, "KVM_ENABLE_CAP");
    EXPECT_NE(vm->classify, vcpu->classify);
    EXPECT_EQ(find_row("KVM_ENABLE_CAP"), vm);
}

/*
 * By name, and on purpose a second time: a row that stops being recorded by
 * mistake, or starts to be, is noticed.
 */
TEST(Catalogue, WhatIsRecordedIsWhatDefinesAVm)
{
    using enum Effect;
    using enum FdClass;
    const std::map<std::pair<FdClass, std::string>, Effect> expected = {
        {{System, "KVM_CREATE_VM"}, Create},
        {{Vm, "KVM_CREATE_VCPU"}, Create},
        {{Vm, "KVM_CREATE_DEVICE"}, Create},
        {{Vm, "KVM_CREATE_GUEST_MEMFD"}, Create},
        {{Vm, "KVM_GET_STATS_FD"}, Create},
        {{Vcpu, "KVM_GET_STATS_FD"}, Create},
        {{Vm, "KVM_SET_NR_MMU_PAGES"}, Define},
        {{Vm, "KVM_SET_TSS_ADDR"}, Define},
        {{Vm, "KVM_SET_IDENTITY_MAP_ADDR"}, Define},
        {{Vm, "KVM_SET_BOOT_CPU_ID"}, Define},
        {{Vm, "KVM_CREATE_IRQCHIP"}, Define},
        {{Vm, "KVM_CREATE_PIT"}, Define},
        {{Vm, "KVM_CREATE_PIT2"}, Define},
        {{Vm, "KVM_REINJECT_CONTROL"}, Define},
        {{Vm, "KVM_SET_GSI_ROUTING"}, Define},
        {{Vm, "KVM_SET_TSC_KHZ"}, Define},
        {{Vm, "KVM_XEN_HVM_CONFIG"}, Define},
        {{Vm, "KVM_XEN_HVM_SET_ATTR"}, Define},
        {{Vm, "KVM_ENABLE_CAP"}, Define},
        {{Vm, "KVM_SET_PMU_EVENT_FILTER"}, Define},
        {{Vm, "KVM_X86_SET_MSR_FILTER"}, Define},
        {{Vm, "KVM_SET_MEMORY_ATTRIBUTES"}, Define},
        {{Vm, "KVM_SET_USER_MEMORY_REGION"}, Add},
        {{Vm, "KVM_SET_USER_MEMORY_REGION2"}, Add},
        {{Vm, "KVM_REGISTER_COALESCED_MMIO"}, Add},
        {{Vm, "KVM_UNREGISTER_COALESCED_MMIO"}, Remove},
        {{Vm, "KVM_IRQFD"}, Add},
        {{Vm, "KVM_IOEVENTFD"}, Add},
        {{Vm, "KVM_HYPERV_EVENTFD"}, Add},
        {{Vm, "KVM_MEMORY_ENCRYPT_REG_REGION"}, Add},
        {{Vm, "KVM_MEMORY_ENCRYPT_UNREG_REGION"}, Remove},
        {{Vm, "KVM_MEMORY_ENCRYPT_OP"}, Launch},
        {{Vcpu, "KVM_MEMORY_ENCRYPT_OP"}, Launch},
        {{Vcpu, "KVM_SET_CPUID"}, Define},
        {{Vcpu, "KVM_SET_CPUID2"}, Define},
        {{Vcpu, "KVM_SET_MSRS"}, Define},
        {{Vcpu, "KVM_SET_ONE_REG"}, Define},
        {{Vcpu, "KVM_SET_SIGNAL_MASK"}, Define},
        {{Vcpu, "KVM_SET_TSC_KHZ"}, Define},
        {{Vcpu, "KVM_TPR_ACCESS_REPORTING"}, Define},
        {{Vcpu, "KVM_X86_SETUP_MCE"}, Define},
        {{Vcpu, "KVM_XEN_VCPU_SET_ATTR"}, Define},
        {{Vcpu, "KVM_ENABLE_CAP"}, Define},
        {{Vcpu, "KVM_SET_GUEST_DEBUG"}, Add},
        {{Device, "KVM_SET_DEVICE_ATTR"}, Add},
    };
    std::map<std::pair<FdClass, std::string>, Effect> recorded;
    for (const Row &row : catalogue()) {
        if (is_recorded(row)) {
            recorded[{row.on, row.name}] = row.effect;
        }
    }
    for (const auto &[key, effect] : expected) {
        EXPECT_TRUE(recorded.contains(key))
            << key.second << " on " << to_string(key.first)
            << " is no longer recorded";
        if (recorded.contains(key)) {
            EXPECT_EQ(recorded[key], effect) << key.second;
        }
    }
    for (const auto &[key, effect] : recorded) {
        EXPECT_TRUE(expected.contains(key))
            << key.second << " on " << to_string(key.first)
            << " is recorded: say so here too";
    }
}

TEST(Catalogue, EveryRecordedStructHasASize)
{
    for (const Row &row : catalogue()) {
        if (is_recorded(row) && row.arg == ArgKind::Struct) {
            EXPECT_GT(fixed_size(row), 0u) << title(row);
        }
        if (row.arg != ArgKind::Struct) {
            EXPECT_EQ(fixed_size(row), 0u) << title(row);
        }
    }
}

TEST(Catalogue, EveryFieldLiesInsideItsArgument)
{
    for (const Row &row : catalogue()) {
        const size_t fixed = fixed_size(row);
        const size_t pointed = row.pointer.bits / 8;
        std::vector<Field> fields = {row.removal.field, row.tail.count,
                                     row.created};

        for (Field key : row.key) {
            if (key.inside) {
                EXPECT_TRUE(fits(key, pointed)) << title(row);
            } else if (row.each_element) {
                EXPECT_TRUE(fits(key, row.tail.element)) << title(row);
            } else {
                fields.push_back(key);
            }
        }
        for (const FdField &fd : row.fds) {
            if (fd.role == FdRole::None) {
                continue;
            }
            EXPECT_TRUE(fits({fd.offset, 4}, fd.inside ? pointed : fixed))
                << title(row);
            fields.push_back(fd.flags);
        }
        if (row.pointer.bits) {
            const Pointer &pointer = row.pointer;
            const uint16_t last = (pointer.repeat - 1) * pointer.stride;
            fields.push_back({uint16_t(pointer.offset + last), 8});
            if (pointer.count.width) {
                fields.push_back({uint16_t(pointer.count.offset + last),
                                  pointer.count.width});
            }
            fields.push_back(pointer.when);
        }
        for (Field field : fields) {
            EXPECT_TRUE(!field.width || fits(field, fixed))
                << title(row) << ": " << field.offset << "+" << int(field.width)
                << " of " << fixed;
        }
    }
}

TEST(Catalogue, FieldsAreOfWidthsThatCanBeRead)
{
    const std::set<int> widths = {0, 1, 2, 4, 8};
    for (const Row &row : catalogue()) {
        for (Field field : row.key) {
            EXPECT_TRUE(widths.contains(field.width)) << title(row);
        }
        EXPECT_TRUE(widths.contains(row.removal.field.width)) << title(row);
        EXPECT_TRUE(widths.contains(row.tail.count.width)) << title(row);
        EXPECT_TRUE(widths.contains(row.created.width)) << title(row);
        EXPECT_TRUE(!row.tail.element || row.tail.count.width) << title(row);
    }
}

TEST(Catalogue, EveryThingThatIsAddedCanBeTakenAway)
{
    for (const Row &row : catalogue()) {
        if (row.effect != Effect::Add) {
            EXPECT_EQ(row.removal.when, Removal::When::Never) << title(row);
            continue;
        }
        const bool by_itself = row.removal.when != Removal::When::Never;
        const bool by_another = std::ranges::any_of(
            catalogue(), [&](const Row &other) {
                return other.effect == Effect::Remove && other.on == row.on &&
                       family_of(other) == family_of(row);
            });
        EXPECT_NE(by_itself, by_another) << title(row);
    }
}

TEST(Catalogue, WhatTakesAwayHasSomethingToTakeAway)
{
    for (const Row &row : catalogue()) {
        if (row.effect != Effect::Remove) {
            EXPECT_FALSE(row.removes_containing) << title(row);
            continue;
        }
        EXPECT_TRUE(std::ranges::any_of(catalogue(), [&](const Row &other) {
            return other.effect == Effect::Add && other.on == row.on &&
                   family_of(other) == family_of(row);
        })) << title(row);
    }
}

TEST(Catalogue, RowsOfOneFamilyShareTheirKeyAndTheirClassOfFd)
{
    for (const Row &a : catalogue()) {
        for (const Row &b : catalogue()) {
            if (!a.family || a.family != b.family) {
                continue;
            }
            EXPECT_EQ(a.on, b.on) << a.name << ", " << b.name;
            for (size_t i = 0; i < a.key.size(); i++) {
                EXPECT_EQ(a.key[i].offset, b.key[i].offset) << title(a);
                EXPECT_EQ(a.key[i].width, b.key[i].width) << title(a);
            }
        }
    }
}

TEST(Catalogue, WhatCreatesSaysWhatItCreates)
{
    for (const Row &row : catalogue()) {
        EXPECT_EQ(row.effect == Effect::Create, row.creates != FdClass::None)
            << title(row);
        EXPECT_EQ(row.created_in_arg, row.created.width > 0) << title(row);
    }
}

TEST(Catalogue, LaunchStepsHaveNoKeyBecauseTheyAreKeptInOrder)
{
    for (const Row &row : catalogue()) {
        if (row.effect == Effect::Launch) {
            EXPECT_EQ(key_fields(row), 0u) << title(row);
            EXPECT_FALSE(row.value_is_key) << title(row);
            EXPECT_EQ(row.family, 0u) << title(row);
        }
    }
}

TEST(Catalogue, WhatIsNeverRecordedHasNothingToSayOfRecording)
{
    for (const Row &row : catalogue()) {
        if (is_recorded(row)) {
            continue;
        }
        /* What waits while the guest is detached is told apart. */
        EXPECT_EQ(key_fields(row) != 0,
                  row.when_detached == WhenDetached::Waits)
            << title(row);
        EXPECT_EQ(row.tail.element, 0) << title(row);
        EXPECT_EQ(row.pointer.bits, 0u) << title(row);
        EXPECT_EQ(row.fds[0].role, FdRole::None) << title(row);
        EXPECT_FALSE(row.exclusive || row.moves_to_end || row.each_element)
            << title(row);
    }
}

TEST(Catalogue, ForeignRowsSayWhy)
{
    for (const Row &row : catalogue()) {
        if (row.effect == Effect::Foreign) {
            EXPECT_NE(row.note, nullptr) << title(row);
        }
    }
}

TEST(Catalogue, WhatIsTakenElementByElementHasElementsAndAKey)
{
    for (const Row &row : catalogue()) {
        if (row.each_element) {
            EXPECT_GT(row.tail.element, 0) << title(row);
            EXPECT_GT(key_fields(row), 0u) << title(row);
        }
    }
}

TEST(Catalogue, OnlyWhatNamesAFileIsExclusive)
{
    for (const Row &row : catalogue()) {
        if (row.exclusive) {
            EXPECT_NE(row.fds[0].role, FdRole::None) << title(row);
        }
    }
    EXPECT_TRUE(find_row("KVM_IRQFD")->exclusive);
    EXPECT_FALSE(find_row("KVM_IOEVENTFD")->exclusive);
}

TEST(Catalogue, PointersThatRepeatDoNotOverlap)
{
    for (const Row &row : catalogue()) {
        if (row.pointer.bits) {
            EXPECT_GE(row.pointer.repeat, 1) << title(row);
            EXPECT_GE(row.pointer.round, 8) << title(row);
            EXPECT_EQ(row.pointer.round % 8, 0) << title(row);
        }
        if (row.pointer.repeat > 1) {
            EXPECT_GE(row.pointer.stride, 8) << title(row);
        }
    }
}

TEST(Catalogue, TheKeyOfAnIoeventfdIsTheSameForAssignAndDeassign)
{
    const Row *row = find_row("KVM_IOEVENTFD");
    const Field flags = row->key[2];
    EXPECT_EQ(flags.offset, row->removal.field.offset);
    EXPECT_EQ(flags.ignore, row->removal.mask);
}

TEST(Passthrough, NothingThatSomeClassOfFdRecordsPassesThrough)
{
    for (const Row &row : catalogue()) {
        if (row.classify || !effect_passes_through(row.effect)) {
            EXPECT_NE(kvm_reset_passthrough[ioc_number(row.request)],
                      row.request)
                << title(row);
        }
    }
}

TEST(Passthrough, EachNumberHasARequestIfThereIsOne)
{
    for (uint32_t number = 0; number < 256; number++) {
        std::set<uint32_t> passing, recorded;
        for (const Row &row : catalogue()) {
            if (ioc_number(row.request) == number) {
                const bool is = !row.classify &&
                                effect_passes_through(row.effect);
                (is ? passing : recorded).insert(row.request);
            }
        }
        std::erase_if(passing,
                      [&](uint32_t r) { return recorded.contains(r); });
        if (passing.empty()) {
            EXPECT_EQ(kvm_reset_passthrough[number], 0u) << number;
        } else {
            EXPECT_TRUE(passing.contains(kvm_reset_passthrough[number]))
                << number;
        }
    }
}

TEST(Passthrough, TheHotIoctlsTakeTheFastPath)
{
    const char *hot[] = {
        "KVM_RUN",
        "KVM_SIGNAL_MSI",
        "KVM_IRQ_LINE",
        "KVM_IRQ_LINE_STATUS",
        "KVM_INTERRUPT",
        "KVM_GET_REGS",
        "KVM_SET_REGS",
        "KVM_GET_SREGS",
        "KVM_SET_SREGS",
        "KVM_GET_SREGS2",
        "KVM_SET_SREGS2",
        "KVM_GET_MSRS",
        "KVM_GET_VCPU_EVENTS",
        "KVM_SET_VCPU_EVENTS",
        "KVM_GET_LAPIC",
        "KVM_SET_LAPIC",
        "KVM_GET_DIRTY_LOG",
        "KVM_CLEAR_DIRTY_LOG",
        "KVM_RESET_DIRTY_RINGS",
        "KVM_KVMCLOCK_CTRL",
    };
    for (const char *name : hot) {
        const Row *row = find_row(name);
        ASSERT_NE(row, nullptr) << name;
        EXPECT_EQ(kvm_reset_passthrough[ioc_number(row->request)], row->request)
            << name;
    }
}
