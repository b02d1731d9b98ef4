/*
 * The journal by itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cstring>

#include <gtest/gtest.h>

#include "guest.h"
#include "journal.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

class JournalTest : public ::testing::Test {
protected:
    Journal journal;

    static Key key(uint64_t field)
    {
        return {.target = 1, .family = 7, .fields = {field}};
    }

    EntryPtr put(uint64_t field, uint64_t value,
                 uint32_t request = KVM_SET_TSS_ADDR)
    {
        const Row *row = find_row(FdClass::Vm, request);
        return journal.put(
            key(field),
            {.row = row, .target = 1, .arg = Argument::copy(*row, value)});
    }

    std::vector<uint64_t> values()
    {
        std::vector<uint64_t> all;
        for (const EntryPtr &entry : journal.snapshot().entries) {
            all.push_back(entry->arg.value());
        }
        return all;
    }
};

TEST_F(JournalTest, TheLastWriteWinsInTheFirstPlace)
{
    put(1, 10);
    put(2, 20);
    put(1, 11);
    EXPECT_EQ(values(), (std::vector<uint64_t>{11, 20}));
}

TEST_F(JournalTest, WhatWasRemovedComesBackAtTheEnd)
{
    put(1, 10);
    put(2, 20);
    EXPECT_TRUE(journal.remove(key(1)));
    EXPECT_FALSE(journal.remove(key(1)));
    put(1, 12);
    EXPECT_EQ(values(), (std::vector<uint64_t>{20, 12}));
}

TEST_F(JournalTest, EveryChangeIsANewVersion)
{
    uint64_t before = journal.version();
    put(1, 10);
    EXPECT_GT(journal.version(), before);
    before = journal.version();
    put(1, 10);
    EXPECT_EQ(journal.version(), before);
    EntryPtr entry = put(1, 11);
    EXPECT_EQ(entry->version, journal.version());
    EXPECT_GT(journal.version(), before);
    before = journal.version();
    journal.remove(key(1));
    EXPECT_GT(journal.version(), before);
    before = journal.version();
    journal.touch();
    EXPECT_GT(journal.version(), before);
}

TEST_F(JournalTest, AnEntryThatIsReplacedLivesOnInItsSnapshot)
{
    put(1, 10);
    Snapshot snapshot = journal.snapshot();
    put(1, 11);
    EXPECT_EQ(snapshot.entries[0]->arg.value(), 10u);
}

TEST_F(JournalTest, KeysThatDifferInAnyPartAreDifferent)
{
    Key base{.target = 1, .family = 2, .fields = {3, 4, 5, 6}, .serial = 7};
    Key other[] = {base, base, base, base, base, base, base};
    other[0].target++;
    other[1].family++;
    other[2].fields[0]++;
    other[3].fields[1]++;
    other[4].fields[2]++;
    other[5].fields[3]++;
    other[6].serial++;
    for (const Key &key : other) {
        EXPECT_NE(key, base);
        EXPECT_NE(KeyHash{}(key), KeyHash{}(base));
    }
}

TEST_F(JournalTest, ItsFootprintComesBackWhenEntriesGo)
{
    put(1, 10);
    size_t before = journal.footprint();
    for (unsigned i = 2; i < 100; i++) {
        put(i, 1000 + i);
    }
    EXPECT_GT(journal.footprint(), before + 98 * sizeof(Entry));
    journal.remove_if(
        [](const Entry &entry) { return entry.arg.value() != 10; });
    EXPECT_EQ(journal.footprint(), before);
    EXPECT_EQ(journal.size(), 1u);
}

TEST_F(JournalTest, AnObjectTakesItsEntriesAlong)
{
    journal.add_object({.id = 1, .kind = FdClass::Vcpu, .fd = 9});
    put(1, 10);
    EXPECT_EQ(journal.object_at(9)->id, 1u);
    journal.remove_object(1);
    EXPECT_EQ(journal.size(), 0u);
    EXPECT_EQ(journal.object_at(9), nullptr);
}

TEST_F(JournalTest, AMappingIsForgottenByItsAddress)
{
    void *at = reinterpret_cast<void *>(0x1000);
    journal.add_object({.id = 1,
                        .kind = FdClass::Vcpu,
                        .fd = 9,
                        .mappings = {{.address = at, .length = 0x1000}}});
    uint64_t version = journal.version();
    journal.forget_mapping(reinterpret_cast<void *>(0x2000));
    EXPECT_EQ(journal.version(), version);
    journal.forget_mapping(at);
    EXPECT_GT(journal.version(), version);
    EXPECT_TRUE(journal.object_at(9)->mappings.empty());
}

TEST_F(JournalTest, ASnapshotFindsItsObjects)
{
    journal.add_object({.id = 4, .kind = FdClass::Vm, .fd = 9});
    journal.add_object({.id = 2, .kind = FdClass::System, .fd = 8});
    Snapshot snapshot = journal.snapshot();
    EXPECT_EQ(snapshot.object(4)->fd, 9);
    EXPECT_EQ(snapshot.object(2)->fd, 8);
    EXPECT_EQ(snapshot.object(3), nullptr);
}

/* A large guest: 64 vCPUs, many slots, routes, irqfds and doorbells. */
TEST(JournalSizeTest, AGuestOf64VcpusTakesLessThan2MiB)
{
    Guest guest;
    guest.kernel.feature_msrs.clear();
    for (uint32_t i = 0; i < 24; i++) {
        guest.kernel.feature_msrs.push_back(0x480 + i);
    }
    guest.recorder.close(guest.vm);
    guest.vm = guest.ioctl(guest.kvm, KVM_CREATE_VM, 0);

    for (unsigned id = 0; id < 64; id++) {
        int vcpu = guest.vcpu(id);
        guest.map(vcpu);
        kvm_cpuid2_of<60> cpuid;
        cpuid.entries[1].ebx = id << 24;
        guest.ioctl(vcpu, KVM_SET_CPUID2, cpuid);
        kvm_msrs_of<24> msrs;
        for (uint32_t i = 0; i < 24; i++) {
            msrs.entries[i].index = 0x480 + i;
        }
        guest.ioctl(vcpu, KVM_SET_MSRS, msrs);
        guest.ioctl(vcpu, KVM_SET_SIGNAL_MASK, kvm_signal_mask_of<8>{});
        guest.ioctl(vcpu, KVM_GET_STATS_FD);
    }
    for (uint32_t i = 0; i < 128; i++) {
        guest.slot(i, 0x1000, i * 0x10000);
        guest.irqfd(guest.kernel.eventfd(), 24 + i);
        guest.ioeventfd(guest.kernel.eventfd(), 0xfe000000 + i * 0x1000);
    }
    auto routing = std::make_unique<kvm_irq_routing_of<1024>>();
    guest.ioctl(guest.vm, KVM_SET_GSI_ROUTING, *routing);

    EXPECT_GT(guest.recorder.entries(), 2000u);
    EXPECT_LT(guest.recorder.footprint(), 2u << 20);
    RecordProperty("bytes", int(guest.recorder.footprint()));
}

} /* namespace */
