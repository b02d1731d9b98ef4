/*
 * On a real KVM: a guest that goes on has all its state on the new VM, and
 * each piece of it that is left out is missed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "../unit/state_without.h"
#include "field_of.h"
#include "kvm_guest.h"
#include "state_pieces.h"

using namespace kvm_reset;

namespace {

constexpr uint64_t second = 1'000'000'000;

/* A part of a piece, and what it is set to; of MSRs, @offset is the index. */
struct Part {
    uint32_t offset;
    uint8_t width;
    uint64_t value;
    bool compared = true;
};

/* What a new VM does not have by itself. */
struct Telling {
    const char *piece;
    std::vector<Part> parts;
    /* Another piece must say this before. */
    const char *before = nullptr;
    std::vector<Part> parts_before{};
};

/* Where a member is, and how wide. */
#define IN(type, member) offsetof(type, member), sizeof(((type *)0)->member)

const Telling tellings[] = {
    {"CLOCK", {{IN(kvm_clock_data, clock), 1000 * second}}},
    {"FEATURE_CONTROL", {{0x3a, 8, 1}}},
    {"HYPERCALL", {{0x40000000, 8, 0x8100000000000000}}},
    {"SREGS2",
     {{IN(kvm_sregs2, ds.selector), 0x77}, {IN(kvm_sregs2, cr2), 0x1234000}}},
    {"SREGS",
     {{IN(kvm_sregs, ds.selector), 0x77}, {IN(kvm_sregs, cr2), 0x1234000}}},
    /* Without GIF, which SVM has at first. */
    {"NESTED_STATE",
     {{IN(kvm_nested_state, flags), 0}},
     "SREGS2",
     {{IN(kvm_sregs2, efer), 0x1000}}},
    {"REGS", {{IN(kvm_regs, rbx), 0x1122334455667788}}},
    /* XMM0, and which of the components are in use. */
    {"XSAVE2", {{160, 8, 0xa1a2a3a4a5a6a7a8}, {512, 8, 3, false}}},
    {"XSAVE", {{160, 8, 0xa1a2a3a4a5a6a7a8}, {512, 8, 3, false}}},
    {"XCRS", {{IN(kvm_xcrs, xcrs[0].value), 3}}},
    {"TSC_OFFSET", {{0, 8, uint64_t(-123456789012)}}},
    {"TSC", {{0x10, 8, 0x123456789abcd}}},
    {"MSRS", {{0x174, 8, 0x10}, {0x277, 8, 0x0606060606060606}}},
    {"DEBUGREGS", {{IN(kvm_debugregs, db[0]), 0x5000}}},
    /* By the registers' numbers. */
    {"LAPIC", {{0xf0, 4, 0x1ff}, {0x220, 4, 0x100}}},
    {"TSC_DEADLINE",
     {{0x6e0, 8, 1ull << 60}},
     "LAPIC",
     {{0xf0, 4, 0x1ff}, {0x320, 4, 0x400ef}}},
    {"MP_STATE", {{IN(kvm_mp_state, mp_state), 3}}},
    {"VCPU_EVENTS", {{IN(kvm_vcpu_events, nmi.masked), 1}}},
    {"PIC_MASTER", {{IN(kvm_irqchip, chip.pic.imr), 0xa5}}},
    {"PIC_SLAVE", {{IN(kvm_irqchip, chip.pic.imr), 0x5a}}},
    {"IOAPIC", {{IN(kvm_irqchip, chip.ioapic.redirtbl[4]), 0x10033}}},
    {"PIT2", {{IN(kvm_pit_state2, channels[2].count), 0x1234}}},
    {"XEN_SHARED_INFO", {{IN(kvm_xen_hvm_attr, u.pad[0]), 8}}},
    {"XEN_SHARED_INFO_HVA", {{IN(kvm_xen_hvm_attr, u.pad[0]), 0}}},
    {"XEN_VCPU_INFO", {{IN(kvm_xen_vcpu_attr, u.gpa), 0x9000}}},
    {"XEN_VCPU_INFO_HVA", {{IN(kvm_xen_vcpu_attr, u.hva), 0}}},
    {"XEN_VCPU_TIME_INFO", {{IN(kvm_xen_vcpu_attr, u.gpa), 0x9100}}},
    {"XEN_RUNSTATE_DATA",
     {{IN(kvm_xen_vcpu_attr, u.pad[0]), 0},
      {IN(kvm_xen_vcpu_attr, u.pad[1]), 500},
      {IN(kvm_xen_vcpu_attr, u.pad[2]), 200},
      {IN(kvm_xen_vcpu_attr, u.pad[3]), 300}},
     "CLOCK",
     {{IN(kvm_clock_data, clock), 1000 * second}}},
    {"XEN_RUNSTATE_ADDR", {{IN(kvm_xen_vcpu_attr, u.gpa), 0x9200}}},
    /* Port, priority, when. */
    {"XEN_TIMER", {{8, 4, 3}, {12, 4, uint32_t(-1)}, {16, 8, 1ull << 60}}},
};

const StatePiece *piece_of(const std::string &name)
{
    for (const StatePiece &piece : x86_state_pieces()) {
        if (name == piece.name) {
            return &piece;
        }
    }
    return nullptr;
}

/* A guest with an interrupt controller, two vCPUs and, if KVM has it, Xen. */
struct Subject {
    KvmGuest guest;

    Subject()
    {
        guest.add_memory();
        kvm_xen_hvm_config config = {};
        /* Beside Hyper-V, which has the first ones. */
        config.msr = 0x40000200;
        guest.ioctl(guest.vm, KVM_XEN_HVM_CONFIG, &config);
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_CREATE_IRQCHIP), 0);
        kvm_pit_config pit = {};
        EXPECT_EQ(guest.ioctl(guest.vm, KVM_CREATE_PIT2, &pit), 0);
        guest.add_vcpu(0);
        guest.add_vcpu(1);
        for (Vcpu &vcpu : guest.vcpus) {
            set_cpuid(vcpu);
        }
    }

    /* With the timer that KVM has, though it may not list it. */
    void set_cpuid(Vcpu &vcpu)
    {
        auto cpuid = flexible<kvm_cpuid2>(256, sizeof(kvm_cpuid_entry2));
        cpuid->nent = 256;
        ASSERT_EQ(guest.ioctl(guest.kvm, KVM_GET_SUPPORTED_CPUID, cpuid.get()),
                  0);
        for (uint32_t i = 0; i < cpuid->nent; i++) {
            if (cpuid->entries[i].function == 1) {
                cpuid->entries[i].ecx |= 1 << 24;
            }
        }
        ASSERT_EQ(guest.ioctl(vcpu.fd, KVM_SET_CPUID2, cpuid.get()), 0);
    }

    std::vector<uint8_t> blank(const StatePiece &piece)
    {
        size_t size = piece.size;
        if (piece.form == PieceForm::Sized) {
            size = std::max<size_t>(size, guest.has(int(piece.cap)));
        }
        std::vector<uint8_t> bytes(size);
        write_field(bytes, piece.selector, piece.selected);
        write_field(bytes, piece.room, size);
        return bytes;
    }

    int call(const StatePiece &piece, uint32_t request, void *bytes)
    {
        int fd = piece.on == FdClass::Vm ? guest.vm : guest.vcpus[0].fd;
        if (piece.form == PieceForm::Attribute) {
            kvm_device_attr attr = {};
            attr.addr = uintptr_t(bytes);
            return guest.kernel.ioctl(fd, request, uintptr_t(&attr));
        }
        return guest.kernel.ioctl(fd, request, uintptr_t(bytes));
    }

    /* An MSR, or its value when it is read. */
    int msr(const StatePiece &piece, uint32_t request, uint32_t index,
            uint64_t *value)
    {
        auto one = flexible<kvm_msrs>(1, sizeof(kvm_msr_entry));
        one->nmsrs = 1;
        one->entries[0].index = index;
        one->entries[0].data = *value;
        int ret = call(piece, request, one.get());
        *value = one->entries[0].data;
        return ret == 1 ? 0 : -EINVAL;
    }

    uint64_t value_of(const StatePiece &piece, const Part &part)
    {
        /* What only this machine's addresses can say. */
        if (std::string(piece.name).ends_with("_HVA")) {
            return uint64_t(guest.memory(0xa000));
        }
        return part.value;
    }

    int tell(const StatePiece &piece, const std::vector<Part> &parts)
    {
        if (piece.form == PieceForm::Registers) {
            for (const Part &part : parts) {
                uint64_t value = part.value;
                if (int ret = msr(piece, piece.set, part.offset, &value)) {
                    return ret;
                }
            }
            return 0;
        }
        std::vector<uint8_t> bytes = blank(piece);
        int ret = call(piece, piece.get, bytes.data());
        if (ret < 0 && -ret != piece.none) {
            return ret;
        }
        write_field(bytes, piece.selector, piece.selected);
        if (piece.form == PieceForm::Clock) {
            write_field(bytes, field_of(&kvm_clock_data::flags), 0);
        }
        for (const Part &part : parts) {
            write_field(bytes, {uint16_t(part.offset), part.width},
                        value_of(piece, part));
        }
        return call(piece, piece.set, bytes.data());
    }

    bool says(const StatePiece &piece, const std::vector<Part> &parts)
    {
        std::vector<uint8_t> bytes = blank(piece);
        if (piece.form != PieceForm::Registers &&
            call(piece, piece.get, bytes.data()) < 0) {
            return false;
        }
        return std::ranges::all_of(parts, [&](const Part &part) {
            uint64_t now = 0, then = value_of(piece, part);
            if (!part.compared) {
                return true;
            }
            if (piece.form == PieceForm::Registers) {
                msr(piece, piece.get, part.offset, &now);
            } else {
                now = read_field(bytes, {uint16_t(part.offset), part.width});
            }
            if (piece.form == PieceForm::Clock) {
                return then <= now && now < then + 100 * second;
            }
            return now == then;
        });
    }
};

class PreservedPiece : public ::testing::TestWithParam<Telling> {
protected:
    void SetUp() override { SKIP_WITHOUT_KVM(); }
};

/* Says so in @subject; why it cannot be, if it cannot. */
std::string say(Subject &subject, const Telling &telling)
{
    const StatePiece &piece = *piece_of(telling.piece);
    if (telling.before &&
        subject.tell(*piece_of(telling.before), telling.parts_before) < 0) {
        return format("this KVM takes no such %s", telling.before);
    }
    int ret = subject.tell(piece, telling.parts);
    if (ret < 0) {
        return format("this KVM takes no %s: %s", telling.piece,
                      strerror(-ret));
    }
    if (!subject.says(piece, telling.parts)) {
        return format("this KVM takes %s and does not keep it", telling.piece);
    }
    return "";
}

TEST_P(PreservedPiece, IsThereAgainAndMissedWhenItIsLeftOut)
{
    const Telling &telling = GetParam();
    const StatePiece &piece = *piece_of(telling.piece);
    Subject whole, lacking;

    if (piece.fallback || (piece.unless && whole.guest.has(piece.unless))) {
        GTEST_SKIP() << "this KVM has a newer form of " << piece.name;
    }
    if (std::string why = say(whole, telling); !why.empty()) {
        GTEST_SKIP() << why;
    }
    Result<Durations> done = whole.guest.move();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_TRUE(whole.says(piece, telling.parts));
    const auto &names = whole.guest.generations.carried().names;
    EXPECT_NE(std::ranges::find(names, piece.name), names.end());

    ASSERT_EQ(say(lacking, telling), "");
    StateWithout without(piece.name);
    done = lacking.guest.move();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_FALSE(lacking.says(piece, telling.parts));
}

INSTANTIATE_TEST_SUITE_P(Pieces, PreservedPiece, ::testing::ValuesIn(tellings),
                         [](const auto &info) {
                             return std::string(info.param.piece);
                         });

class PreserveRealTest : public ::testing::Test {
protected:
    void SetUp() override { SKIP_WITHOUT_KVM(); }
};

TEST_F(PreserveRealTest, EveryPieceHasATestOfItsOwn)
{
    for (const StatePiece &piece : x86_state_pieces()) {
        EXPECT_EQ(std::ranges::count_if(tellings,
                                        [&](const Telling &telling) {
                                            return std::string(telling.piece) ==
                                                   piece.name;
                                        }),
                  1)
            << piece.name;
    }
}

/* Counts in %bx and tells it by port I/O, for ever. */
constexpr uint8_t counter[] = {0x43, 0x89, 0xd8, 0xe7, 0xf4, 0xeb, 0xf9};

/* What the guest told, once the instruction is finished. */
uint16_t next_count(KvmGuest &guest, Vcpu &vcpu)
{
    uint16_t count = 0;

    EXPECT_EQ(guest.resume(vcpu), uint32_t(KVM_EXIT_IO));
    memcpy(&count,
           reinterpret_cast<uint8_t *>(vcpu.run) + vcpu.run->io.data_offset, 2);
    vcpu.run->immediate_exit = 1;
    EXPECT_EQ(guest.ioctl(vcpu.fd, KVM_RUN), -EINTR);
    vcpu.run->immediate_exit = 0;
    return count;
}

void start_counting(KvmGuest &guest)
{
    std::ranges::copy(counter, guest.memory(code_at));
    EXPECT_EQ(guest.run(guest.vcpus[0], Code()), uint32_t(KVM_EXIT_IO));
}

TEST_F(PreserveRealTest, AProgramGoesOnFromOneVmToTheNext)
{
    Subject subject;
    KvmGuest &guest = subject.guest;

    start_counting(guest);
    for (unsigned i = 2; i < 100; i++) {
        ASSERT_EQ(next_count(guest, guest.vcpus[0]), i);
        Result<Durations> done = subject.guest.move();
        ASSERT_TRUE(done) << done.error().what;
    }
    EXPECT_EQ(guest.generations.status().generation, 98u);
}

TEST_F(PreserveRealTest, EverySingleFailingCallLeavesTheProgramGoingOn)
{
    Subject subject;
    KvmGuest &guest = subject.guest;
    Doorbell irq;
    unsigned aborted = 0, count = 2;

    ASSERT_EQ(guest.irqfd(irq.fd(), 5), 0);
    start_counting(guest);
    for (unsigned nth = 1;; nth++) {
        SCOPED_TRACE(nth);
        ASSERT_EQ(next_count(guest, guest.vcpus[0]), count++);
        guest.kernel.fail(nth, ENOMEM);
        Result<Durations> done = subject.guest.move();
        bool reached = guest.kernel.failed();
        guest.kernel.fail(0, 0);
        aborted += !done;
        guest.generations.drain();
        ASSERT_FALSE(HasFailure());
        if (!reached) {
            break;
        }
    }
    EXPECT_GT(aborted, 100u);
}

TEST_F(PreserveRealTest, AnInterruptThatComesMeanwhileIsNotLost)
{
    Subject subject;
    KvmGuest &guest = subject.guest;
    Doorbell irq;
    const StatePiece &chip = *piece_of("PIC_MASTER");

    ASSERT_EQ(guest.irqfd(irq.fd(), 5), 0);
    for (uint32_t when : {chip.get, chip.set}) {
        kvm_irqchip clear = {};
        clear.chip_id = KVM_IRQCHIP_PIC_MASTER;
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_IRQCHIP, &clear), 0);
        ASSERT_TRUE(guest.preserve.prepare());
        guest.kernel.before_ioctl = [&](int, uint32_t request) {
            if (request == when) {
                irq.ring();
            }
        };
        Result<Durations> done = guest.preserve.run();
        guest.kernel.before_ioctl = nullptr;
        ASSERT_TRUE(done) << done.error().what;
        yield_until([&] { return guest.raised(5) || HasFailure(); });
        guest.generations.release_old_vm();
    }
}

/*
 * The guest's clock is as old as its first VM.  It may be wrong by as long as
 * the moves took and no more: where KVM does not tell what time it was, a
 * thread that waits for its CPU between the clock and ours adds its wait.
 * Besides, the two may differ in speed, since NTP trims ours alone.
 */
TEST_F(PreserveRealTest, TimeNeitherStopsNorGoesBack)
{
    constexpr uint64_t trim = 1000; /* a part in so many */
    const uint64_t before = FailingKernel().now();
    Subject subject;
    KvmGuest &guest = subject.guest;
    const uint64_t after = guest.kernel.now();
    uint64_t last = 0, moving = 0;

    for (int i = 0; i < 50; i++) {
        kvm_clock_data clock = {};
        uint64_t least = guest.kernel.now() - after;
        ASSERT_EQ(guest.ioctl(guest.vm, KVM_GET_CLOCK, &clock), 0);
        uint64_t began = guest.kernel.now();
        uint64_t most = began - before;
        EXPECT_GT(clock.clock, last);
        EXPECT_LE(clock.clock, most + moving + most / trim);
        EXPECT_GE(clock.clock + moving + most / trim, least);
        last = clock.clock;
        ASSERT_TRUE(guest.move());
        moving += guest.kernel.now() - began;
    }
}

} /* namespace */
