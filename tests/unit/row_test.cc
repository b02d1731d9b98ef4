/*
 * Every row that records: the new VM is told the same
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list below is written down apart from the catalogue.  A row that is
 * turned into a query, loses a pointer or a tail, or whose removal is
 * forgotten makes a test here fail; so does a row that is added to the
 * catalogue and not to this list.
 */

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include "catalogue.h"
#include "guest.h"
#include "classify.h"

using namespace kvm_reset;

namespace {

/* Not from kvm_abi.h, which the catalogue reads. */
constexpr uint32_t number(uint32_t direction, uint32_t n, uint32_t size)
{
    return direction << 30 | size << 16 | 0xae00 | n;
}
constexpr uint32_t plain(uint32_t n)
{
    return number(0, n, 0);
}
constexpr uint32_t in(uint32_t n, uint32_t size)
{
    return number(1, n, size);
}
constexpr uint32_t out(uint32_t n, uint32_t size)
{
    return number(2, n, size);
}
constexpr uint32_t both(uint32_t n, uint32_t size)
{
    return number(3, n, size);
}

constexpr uint32_t create_vm = plain(0x01);
constexpr uint32_t create_vcpu = plain(0x41);
constexpr uint32_t set_user_memory_region = in(0x46, 32);
constexpr uint32_t set_user_memory_region2 = in(0x49, 160);
constexpr uint32_t set_tss_addr = plain(0x47);
constexpr uint32_t set_identity_map_addr = in(0x48, 8);
constexpr uint32_t create_irqchip = plain(0x60);
constexpr uint32_t register_coalesced_mmio = in(0x67, 16);
constexpr uint32_t unregister_coalesced_mmio = in(0x68, 16);
constexpr uint32_t set_gsi_routing = in(0x6a, 8);
constexpr uint32_t reinject_control = plain(0x71);
constexpr uint32_t irqfd = in(0x76, 32);
constexpr uint32_t create_pit2 = in(0x77, 64);
constexpr uint32_t ioeventfd = in(0x79, 64);
constexpr uint32_t set_msrs = in(0x89, 8);
constexpr uint32_t set_cpuid = in(0x8a, 8);
constexpr uint32_t set_signal_mask = in(0x8b, 4);
constexpr uint32_t set_cpuid2 = in(0x90, 8);
constexpr uint32_t set_guest_debug = in(0x9b, 72);
constexpr uint32_t set_tsc_khz = plain(0xa2);
constexpr uint32_t enable_cap = in(0xa3, 104);
constexpr uint32_t set_one_reg = in(0xac, 16);
constexpr uint32_t set_pmu_event_filter = in(0xb2, 32);
constexpr uint32_t hyperv_eventfd = in(0xbd, 24);
constexpr uint32_t set_msr_filter = in(0xc6, 392);
constexpr uint32_t get_stats_fd = plain(0xce);
constexpr uint32_t set_memory_attributes = in(0xd2, 32);
constexpr uint32_t create_guest_memfd = both(0xd4, 64);
constexpr uint32_t create_device = both(0xe0, 12);
constexpr uint32_t set_device_attr = in(0xe1, 24);

/* The fd that a case's ioctl is issued on. */
enum class On {
    Vm,
    Vcpu,
    Device
};

/* An argument under construction: bytes that all differ, then some set. */
class Bytes {
public:
    explicit Bytes(size_t size) : bytes_(size)
    {
        for (size_t i = 0; i < size; i++) {
            bytes_[i] = i * 7 + 1;
        }
    }

    Bytes &set(size_t offset, size_t width, uint64_t value)
    {
        memcpy(bytes_.data() + offset, &value, width);
        return *this;
    }

    Bytes &point(size_t offset, size_t size)
    {
        pointed_.push_back(std::make_unique<Bytes>(size));
        return set(offset, 8, pointed_.back()->address());
    }

    Bytes &pointed(size_t index) { return *pointed_[index]; }
    uint64_t address() const { return uint64_t(bytes_.data()); }
    void spoil()
    {
        std::ranges::fill(bytes_, 0xee);
        for (auto &bytes : pointed_) {
            bytes->spoil();
        }
    }

private:
    std::vector<uint8_t> bytes_;
    std::vector<std::unique_ptr<Bytes>> pointed_;
};

/* A guest with one of each kind of fd, made when it is asked for. */
class RowGuest {
public:
    Guest guest;
    int vcpu = guest.vcpu(0);

    int on(On on)
    {
        if (on == On::Device && device_ < 0) {
            device_ = guest.vfio_device();
        }
        return on == On::Vm ? guest.vm : on == On::Vcpu ? vcpu : device_;
    }

    int eventfd()
    {
        return eventfd_ < 0 ? eventfd_ = guest.kernel.eventfd() : eventfd_;
    }

    int file()
    {
        return file_ < 0 ? file_ = guest.kernel.file("/dev/some") : file_;
    }

    void expect_the_same_in_the_new_vm(On where, uint32_t request)
    {
        std::vector<IssuedIoctl> before = guest.kernel.ioctls(on(where),
                                                              request);
        ASSERT_FALSE(before.empty());
        uint64_t old = guest.kernel.file_at(guest.vm);
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_NE(guest.kernel.file_at(guest.vm), old);
        EXPECT_EQ(guest.kernel.ioctls(on(where), request), before);
    }

private:
    int device_ = -1, eventfd_ = -1, file_ = -1;
};

using Fill = void (*)(RowGuest &row, Bytes &arg);

struct Case {
    const char *name; /* as in <linux/kvm.h> */
    On on;
    uint32_t request;
    size_t size = 0; /* bytes; 0: @value is the argument */
    uint64_t value = 0;
    Fill fill = nullptr;
    /* What takes it away again, if anything does. */
    uint32_t removal = 0;
    Fill remove = nullptr;
    /* Tells cases of one row apart: a capability, a type. */
    const char *which = "";
    uint64_t key = 0;
};

std::ostream &operator<<(std::ostream &out, const Case &one)
{
    return out << one.name << one.which;
}

void set_slot(RowGuest &, Bytes &arg)
{
    arg.set(4, 4, 3).set(16, 8, 0x1000);
}

void unset_slot(RowGuest &, Bytes &arg)
{
    arg.set(4, 4, 3).set(16, 8, 0);
}

void set_irqfd(RowGuest &row, Bytes &arg)
{
    arg.set(0, 4, row.eventfd());
    arg.set(8, 4, 0);
}

void set_resample_irqfd(RowGuest &row, Bytes &arg)
{
    arg.set(0, 4, row.eventfd());
    arg.set(8, 4, 2).set(12, 4, row.guest.kernel.eventfd());
}

void unset_irqfd(RowGuest &row, Bytes &arg)
{
    arg.set(0, 4, row.eventfd());
    arg.set(8, 4, 1);
}

void set_ioeventfd(RowGuest &row, Bytes &arg)
{
    arg.set(20, 4, row.eventfd());
    arg.set(24, 4, 3);
}

void unset_ioeventfd(RowGuest &row, Bytes &arg)
{
    arg.set(20, 4, row.eventfd());
    arg.set(24, 4, 7);
}

void set_hyperv_eventfd(RowGuest &row, Bytes &arg)
{
    arg.set(4, 4, row.eventfd());
    arg.set(8, 4, 0);
}

void unset_hyperv_eventfd(RowGuest &row, Bytes &arg)
{
    arg.set(4, 4, row.eventfd());
    arg.set(8, 4, 1);
}

void msr_filter(RowGuest &, Bytes &arg)
{
    for (size_t range = 0; range < 16; range++) {
        size_t at = 8 + range * 24;
        arg.set(at + 4, 4, range * 40);
        if (range == 7) {
            arg.set(at + 16, 8, 0); /* an address that is null */
        } else {
            arg.point(at + 16, (range * 40 + 63) / 64 * 8 + 1);
        }
    }
}

void vfio_file(RowGuest &row, Bytes &arg, unsigned attr)
{
    arg.set(0, 4, 0).set(4, 4, 1).set(8, 8, attr).point(16, 4);
    arg.pointed(0).set(0, 4, row.file());
}

void set_vfio_file(RowGuest &row, Bytes &arg)
{
    vfio_file(row, arg, 1);
}
void unset_vfio_file(RowGuest &row, Bytes &arg)
{
    vfio_file(row, arg, 2);
}

void no_flags_at_8(RowGuest &, Bytes &arg)
{
    arg.set(8, 4, 0);
}
void no_long_flags_at_8(RowGuest &, Bytes &arg)
{
    arg.set(8, 8, 0);
}
void count_2_at_0(RowGuest &, Bytes &arg)
{
    arg.set(0, 4, 2);
}
void count_3_at_4(RowGuest &, Bytes &arg)
{
    arg.set(4, 4, 3);
}
void one_msr(RowGuest &, Bytes &arg)
{
    arg.set(0, 4, 1).set(8, 4, 0x480);
}
void debug_off(RowGuest &, Bytes &arg)
{
    arg.set(0, 4, 0);
}
void nothing(RowGuest &, Bytes &)
{}

void feature_msr_register(RowGuest &, Bytes &arg)
{
    arg.set(0, 8, 0x203000020000010aull).point(8, 8);
}

const Case cases[] = {
    {"KVM_CREATE_VCPU", On::Vm, create_vcpu, 0, 5},
    {"KVM_SET_NR_MMU_PAGES", On::Vm, plain(0x44), 0, 1234},
    {"KVM_SET_USER_MEMORY_REGION", On::Vm, set_user_memory_region, 32, 0,
     set_slot, set_user_memory_region, unset_slot},
    {"KVM_SET_USER_MEMORY_REGION2", On::Vm, set_user_memory_region2, 160, 0,
     set_slot, set_user_memory_region2, unset_slot},
    {"KVM_SET_TSS_ADDR", On::Vm, set_tss_addr, 0, 0xfffbd000},
    {"KVM_SET_IDENTITY_MAP_ADDR", On::Vm, set_identity_map_addr, 8, 0, nothing},
    {"KVM_CREATE_IRQCHIP", On::Vm, create_irqchip},
    {"KVM_CREATE_PIT", On::Vm, plain(0x64)},
    {"KVM_CREATE_PIT2", On::Vm, create_pit2, 64, 0, nothing},
    {"KVM_REINJECT_CONTROL", On::Vm, reinject_control, 32, 0, nothing},
    {"KVM_REGISTER_COALESCED_MMIO", On::Vm, register_coalesced_mmio, 16, 0,
     nothing, unregister_coalesced_mmio, nothing},
    {"KVM_SET_GSI_ROUTING", On::Vm, set_gsi_routing, 8 + 2 * 48, 0,
     count_2_at_0},
    {"KVM_IRQFD", On::Vm, irqfd, 32, 0, set_irqfd, irqfd, unset_irqfd},
    {"KVM_IRQFD", On::Vm, irqfd, 32, 0, set_resample_irqfd, irqfd, unset_irqfd,
     "_resample"},
    {"KVM_IOEVENTFD", On::Vm, ioeventfd, 64, 0, set_ioeventfd, ioeventfd,
     unset_ioeventfd},
    {"KVM_HYPERV_EVENTFD", On::Vm, hyperv_eventfd, 24, 0, set_hyperv_eventfd,
     hyperv_eventfd, unset_hyperv_eventfd},
    {"KVM_SET_BOOT_CPU_ID", On::Vm, plain(0x78), 0, 3},
    {"KVM_XEN_HVM_CONFIG", On::Vm, in(0x7a, 56), 56, 0, nothing},
    {"KVM_SET_TSC_KHZ", On::Vm, set_tsc_khz, 0, 2900000, nullptr, 0, nullptr,
     "_vm"},
    {"KVM_SET_PMU_EVENT_FILTER", On::Vm, set_pmu_event_filter, 32 + 3 * 8, 0,
     count_3_at_4},
    {"KVM_X86_SET_MSR_FILTER", On::Vm, set_msr_filter, 392, 0, msr_filter},
    {"KVM_MEMORY_ENCRYPT_REG_REGION", On::Vm, out(0xbb, 16), 16, 0, nothing,
     out(0xbc, 16), nothing},
    {"KVM_SET_MEMORY_ATTRIBUTES", On::Vm, set_memory_attributes, 32, 0,
     nothing},
    {"KVM_CREATE_GUEST_MEMFD", On::Vm, create_guest_memfd, 64, 0,
     no_long_flags_at_8},
    {"KVM_GET_STATS_FD", On::Vm, get_stats_fd, 0, 0, nullptr, 0, nullptr,
     "_vm"},
    {"KVM_CREATE_DEVICE", On::Vm, create_device, 12, 0, no_flags_at_8},

    {"KVM_SET_MSRS", On::Vcpu, set_msrs, 8 + 16, 0, one_msr},
    {"KVM_SET_CPUID", On::Vcpu, set_cpuid, 8 + 2 * 24, 0, count_2_at_0},
    {"KVM_SET_CPUID2", On::Vcpu, set_cpuid2, 8 + 2 * 40, 0, count_2_at_0},
    {"KVM_SET_SIGNAL_MASK", On::Vcpu, set_signal_mask, 4 + 2, 0, count_2_at_0},
    {"KVM_TPR_ACCESS_REPORTING", On::Vcpu, both(0x92, 40), 40, 0, nothing},
    {"KVM_SET_GUEST_DEBUG", On::Vcpu, set_guest_debug, 72, 0, nothing,
     set_guest_debug, debug_off},
    {"KVM_X86_SETUP_MCE", On::Vcpu, in(0x9c, 8), 8, 0, nothing},
    {"KVM_SET_TSC_KHZ", On::Vcpu, set_tsc_khz, 0, 2900000, nullptr, 0, nullptr,
     "_vcpu"},
    {"KVM_SET_ONE_REG", On::Vcpu, set_one_reg, 16, 0, feature_msr_register},
    {"KVM_GET_STATS_FD", On::Vcpu, get_stats_fd, 0, 0, nullptr, 0, nullptr,
     "_vcpu"},

    {"KVM_SET_DEVICE_ATTR", On::Device, set_device_attr, 24, 0, set_vfio_file,
     set_device_attr, unset_vfio_file},
};

/* What defines behind one number. */
struct Family {
    const char *name;
    On on;
    uint32_t request;
    size_t size;
    unsigned width; /* of the key, at offset 0 */
    std::vector<uint64_t> keys;
};

const Family families[] = {
    {"KVM_ENABLE_CAP", On::Vm, enable_cap, 104, 4, {116, 121, 128, 129, 143,
                                                    159, 164, 168, 182, 188,
                                                    192, 193, 196, 201, 204,
                                                    212, 213, 218, 219, 220,
                                                    223, 225, 237}},
    {"KVM_ENABLE_CAP",
     On::Vcpu,
     enable_cap,
     104,
     4,
     {123, 148, 163, 175, 190, 199}},
    {"KVM_XEN_HVM_SET_ATTR", On::Vm, in(0xc9, 72), 72, 2, {0, 2, 4, 5}},
    {"KVM_XEN_VCPU_SET_ATTR", On::Vcpu, in(0xcb, 72), 72, 2, {6, 8}},
};

FdClass class_of(On on)
{
    return on == On::Vm   ? FdClass::Vm
         : on == On::Vcpu ? FdClass::Vcpu
                          : FdClass::Device;
}

int issue(RowGuest &row, On on, uint32_t request, size_t size, uint64_t value,
          Fill fill)
{
    if (!size) {
        return row.guest.recorder.ioctl(row.on(on), request, value);
    }
    Bytes arg(size);
    fill(row, arg);
    int ret = row.guest.recorder.ioctl(row.on(on), request, arg.address());
    arg.spoil();
    return ret;
}

class RowTest : public ::testing::TestWithParam<Case> {};

TEST_P(RowTest, TheNewVmIsToldTheSame)
{
    const Case &one = GetParam();
    RowGuest row;

    /* An irqchip comes before vCPUs. */
    if (one.request == create_irqchip) {
        row.guest.recorder.close(row.guest.vm);
        row.guest.vm = row.guest.ioctl(row.guest.kvm, create_vm, 0);
    }
    ASSERT_GE(issue(row, one.on, one.request, one.size, one.value, one.fill),
              0);
    EXPECT_FALSE(row.guest.recorder.blocker());
    /* Only what the fake kernel takes of an argument can be compared. */
    IssuedIoctl taken =
        row.guest.kernel.ioctls(row.on(one.on), one.request).back();
    EXPECT_EQ(taken.bytes.size(), one.size)
        << "say in fake_kernel_told.cc how long the argument is";
    EXPECT_EQ(taken.value, one.value)
        << "say in fake_kernel_told.cc that the argument is a number";
    row.expect_the_same_in_the_new_vm(one.on, one.request);
}

TEST_P(RowTest, WhatWasTakenAwayIsNotToldAgain)
{
    const Case &one = GetParam();
    RowGuest row;

    if (!one.removal) {
        return;
    }
    row.on(one.on);
    size_t before = row.guest.recorder.entries();
    ASSERT_GE(issue(row, one.on, one.request, one.size, 0, one.fill), 0);
    EXPECT_EQ(row.guest.recorder.entries(), before + 1);
    ASSERT_GE(issue(row, one.on, one.removal, one.size, 0, one.remove), 0);
    EXPECT_EQ(row.guest.recorder.entries(), before);
    ASSERT_TRUE(row.guest.reset());
    EXPECT_TRUE(row.guest.kernel.ioctls(row.on(one.on), one.request).empty());
}

INSTANTIATE_TEST_SUITE_P(, RowTest, ::testing::ValuesIn(cases),
                         [](const auto &info) {
                             return std::string(info.param.name) +
                                    info.param.which;
                         });

/* One call of a family, by its key. */
struct Member {
    const Family *family;
    uint64_t key;
};

class FamilyTest : public ::testing::TestWithParam<Member> {};

TEST_P(FamilyTest, TheNewVmIsToldTheSame)
{
    const Family &family = *GetParam().family;
    RowGuest row;
    Bytes arg(family.size);

    arg.set(0, family.width, GetParam().key);
    if (family.request == enable_cap && GetParam().key == 163) {
        arg.point(8, 2);
    } else if (family.request == enable_cap && GetParam().key == 196) {
        arg.set(8, 8, row.file());
    }
    ASSERT_GE(row.guest.recorder.ioctl(row.on(family.on), family.request,
                                       arg.address()),
              0);
    EXPECT_FALSE(row.guest.recorder.blocker());
    arg.spoil();
    row.expect_the_same_in_the_new_vm(family.on, family.request);
}

std::vector<Member> members()
{
    std::vector<Member> all;

    for (const Family &family : families) {
        for (uint64_t key : family.keys) {
            all.push_back({&family, key});
        }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(, FamilyTest, ::testing::ValuesIn(members()),
                         [](const auto &info) {
                             const Family &family = *info.param.family;
                             return std::string(family.name) +
                                    (family.on == On::Vm ? "_vm_" : "_vcpu_") +
                                    std::to_string(info.param.key);
                         });

/* Two of a family do not displace one another. */
TEST(FamiliesTest, EachKeyIsAnEntryOfItsOwn)
{
    for (const Family &family : families) {
        RowGuest row;
        size_t before = row.guest.recorder.entries();
        for (uint64_t key : family.keys) {
            Bytes arg(family.size);
            arg.set(0, family.width, key);
            if (family.on == On::Vcpu && key == 163) {
                arg.point(8, 2);
            } else if (key == 196) {
                arg.set(8, 8, row.file());
            }
            for (int i = 0; i < 2; i++) {
                ASSERT_GE(row.guest.recorder.ioctl(
                              row.on(family.on), family.request, arg.address()),
                          0);
            }
        }
        EXPECT_EQ(row.guest.recorder.entries(), before + family.keys.size())
            << family.name;
    }
}

/* The same number on a VM and on a vCPU, or two slots, are two things. */
TEST(RowsTest, ADifferentKeyIsAnotherEntry)
{
    struct {
        uint32_t request;
        On on;
        size_t size;
        Fill fill;
        size_t key_at;
    } keyed[] = {
        {set_user_memory_region, On::Vm, 32, set_slot, 0},
        {set_user_memory_region2, On::Vm, 160, set_slot, 0},
        {register_coalesced_mmio, On::Vm, 16, nothing, 0},
        {register_coalesced_mmio, On::Vm, 16, nothing, 8},
        {register_coalesced_mmio, On::Vm, 16, nothing, 12},
        {ioeventfd, On::Vm, 64, set_ioeventfd, 0},
        {ioeventfd, On::Vm, 64, set_ioeventfd, 8},
        {ioeventfd, On::Vm, 64, set_ioeventfd, 16},
        {hyperv_eventfd, On::Vm, 24, set_hyperv_eventfd, 0},
        {out(0xbb, 16), On::Vm, 16, nothing, 0},
        {out(0xbb, 16), On::Vm, 16, nothing, 8},
        {set_memory_attributes, On::Vm, 32, nothing, 0},
        {set_memory_attributes, On::Vm, 32, nothing, 8},
    };
    for (auto &one : keyed) {
        RowGuest row;
        size_t before = row.guest.recorder.entries();
        for (uint8_t key = 1; key <= 2; key++) {
            Bytes arg(one.size);
            one.fill(row, arg);
            arg.set(one.key_at, 1, key);
            ASSERT_GE(row.guest.recorder.ioctl(row.on(one.on), one.request,
                                               arg.address()),
                      0);
        }
        EXPECT_EQ(row.guest.recorder.entries(), before + 2)
            << format("%#x, key at %zu", one.request, one.key_at);
    }
}

TEST(RowsTest, TheNewVmIsOfTheSameType)
{
    Guest guest;
    guest.recorder.close(guest.vm);
    guest.vm = guest.ioctl(guest.kvm, create_vm, 3);
    ASSERT_TRUE(guest.reset());
    std::vector<IssuedIoctl> ioctls = guest.ioctls(create_vm);
    ASSERT_EQ(ioctls.size(), 1u);
    EXPECT_EQ(ioctls[0].value, 3u);
}

TEST(RowsTest, EveryRowThatRecordsIsListedHere)
{
    std::set<std::pair<FdClass, std::string>> listed = {
        {FdClass::System, "KVM_CREATE_VM"},
        /* Launch steps: launch_test.cc has them. */
        {FdClass::Vm, "KVM_MEMORY_ENCRYPT_OP"},
        {FdClass::Vcpu, "KVM_MEMORY_ENCRYPT_OP"},
        /* What takes away: as removals above. */
        {FdClass::Vm, "KVM_UNREGISTER_COALESCED_MMIO"},
        {FdClass::Vm, "KVM_MEMORY_ENCRYPT_UNREG_REGION"},
    };
    for (const Case &one : cases) {
        listed.insert({class_of(one.on), one.name});
    }
    for (const Family &family : families) {
        listed.insert({class_of(family.on), family.name});
    }

    std::set<std::pair<FdClass, std::string>> recorded;
    for (const Row &row : catalogue()) {
        if (row.effect != Effect::Foreign &&
            !effect_passes_through(row.effect)) {
            recorded.insert({row.on, row.name});
        }
    }
    EXPECT_EQ(recorded, listed);
}

TEST(RowsTest, ARowWithAClassifierDoesNotPassThrough)
{
    for (const Row &row : catalogue()) {
        EXPECT_FALSE(row.classify && effect_passes_through(row.effect))
            << row.name;
        EXPECT_FALSE(row.classify &&
                     kvm_reset_passthrough[ioc_number(row.request)] ==
                         row.request)
            << row.name;
    }
}

TEST(RowsTest, EveryArgumentRuleThatRecordsIsListedHere)
{
    std::span<const ArgumentRule> rules[] = {vm_cap_rules(), vcpu_cap_rules(),
                                             xen_hvm_rules(), xen_vcpu_rules()};
    for (size_t i = 0; i < std::size(families); i++) {
        std::vector<uint64_t> recorded;
        for (const ArgumentRule &rule : rules[i]) {
            if (rule.effect == Effect::Define) {
                recorded.push_back(rule.value);
            }
        }
        EXPECT_EQ(recorded, families[i].keys) << families[i].name;
    }
}

TEST(RowsTest, AGuestWithABitOfEverythingIsToldTheSame)
{
    Guest guest;
    guest.define_a_bit_of_everything();
    auto in_any_order = [&] {
        std::vector<std::string> all;
        for (const IssuedIoctl &issued : guest.ioctls()) {
            /* Of KVM_SET_MSRS only feature MSRs stay. */
            if (issued.request != set_msrs) {
                all.push_back(::testing::PrintToString(issued));
            }
        }
        std::ranges::sort(all);
        return all;
    };
    std::vector<std::string> before = in_any_order();
    ASSERT_GT(before.size(), 20u);
    for (int i = 0; i < 3; i++) {
        Result<Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_EQ(in_any_order(), before);
        EXPECT_EQ(guest.ioctls(set_msrs).size(), 2u);
    }
}

} /* namespace */
