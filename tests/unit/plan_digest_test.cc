/*
 * What is measured at a launch, computed from what was recorded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <atomic>
#include <cerrno>

#include <gtest/gtest.h>

#include "arch.h"
#include "confidential_guest.h"
#include "launch_digest.h"
#include "plan_digest.h"
#include "reset_vcpu.h"

using namespace kvm_reset;
using namespace kvm_reset::abi;

namespace {

constexpr uint32_t ap_entry = 0x80b004;

ObjectId vcpu_at(const Snapshot &snapshot, int fd)
{
    for (const Object &object : snapshot.objects) {
        if (object.fd == fd) {
            return object.id;
        }
    }
    return no_object;
}

TEST(PlanDigestTest, TheSaveAreaIsThatOfAResetCpu)
{
    SnpGuest guest;
    reset_vcpu(guest, guest.vcpus[0], reset_vector);
    reset_vcpu(guest, guest.vcpus[1], ap_entry);
    Snapshot snapshot = guest.recorder.snapshot();
    auto area = [&](int fd) {
        auto state = recorded_vmsa(4, snapshot, vcpu_at(snapshot, fd));
        EXPECT_TRUE(state) << state.error().what;
        return state ? vmsa_page(*state) : VmsaPage();
    };
    VmsaPage first = area(guest.vcpus[0]), other = area(guest.vcpus[1]);
    EXPECT_EQ(first, vmsa_page(initial_vmsa(reset_vector, signature, 1)));
    EXPECT_EQ(other, vmsa_page(initial_vmsa(ap_entry, signature, 1)));
    EXPECT_NE(first, other);
}

TEST(PlanDigestTest, AnFpuThatXstateBvLeavesOutIsThatOfAResetCpu)
{
    SnpGuest guest;
    reset_vcpu(guest, guest.vcpus[0], reset_vector);
    uint8_t xsave[4096] = {};
    guest.ioctl(guest.vcpus[0], KVM_SET_XSAVE, xsave);
    Snapshot snapshot = guest.recorder.snapshot();
    auto state = recorded_vmsa(4, snapshot, vcpu_at(snapshot, guest.vcpus[0]));
    ASSERT_TRUE(state) << state.error().what;
    EXPECT_EQ(vmsa_page(*state),
              vmsa_page(initial_vmsa(reset_vector, signature, 1)));
}

TEST(PlanDigestTest, AnOldKernelsSaveAreaHasNoFpu)
{
    SevGuest guest(true);
    reset_vcpu(guest, guest.vcpus[0], reset_vector);
    Snapshot snapshot = guest.recorder.snapshot();
    auto made = recorded_vmsa(0, snapshot, vcpu_at(snapshot, guest.vcpus[0]));
    ASSERT_TRUE(made) << made.error().what;
    VmsaState state = *made;
    EXPECT_EQ(state.mxcsr, 0u);
    EXPECT_EQ(state.x87_fcw, 0u);
    EXPECT_EQ(state.sev_features, 0u);
}

TEST(PlanDigestTest, AnSnpGuestsIsTheChainOfItsPagesAndVcpus)
{
    SnpGuest guest;
    reset_vcpus(guest);
    guest.launch();
    SnpDigest digest;
    VmsaPage area = vmsa_page(initial_vmsa(reset_vector, signature, 1));
    ASSERT_TRUE(
        digest.add(SnpPage::Normal, guest.firmware_gpa, guest.firmware));
    ASSERT_TRUE(digest.add(SnpPage::Zero, 0x800000, 4096));
    ASSERT_TRUE(digest.add(SnpPage::Cpuid, 0x801000, 4096));
    ASSERT_TRUE(digest.add_vmsa(area));
    ASSERT_TRUE(digest.add_vmsa(area));
    ASSERT_TRUE(guest.recorder.first_measurement());
    EXPECT_EQ(guest.recorder.first_measurement()->tee, "snp");
    EXPECT_EQ(guest.recorder.first_measurement()->digest, digest.hex());
}

TEST(PlanDigestTest, ASevGuestsIsThatOfItsFirmware)
{
    SevGuest guest(false);
    SevDigest digest;
    digest.update(guest.firmware);
    guest.launch();
    ASSERT_TRUE(guest.recorder.first_measurement());
    EXPECT_EQ(guest.recorder.first_measurement()->tee, "sev");
    EXPECT_EQ(guest.recorder.first_measurement()->digest, digest.hex());
}

TEST(PlanDigestTest, ATdxGuestsIsMrtd)
{
    TdxGuest guest;
    guest.launch();
    TdxDigest digest;
    ASSERT_TRUE(digest.add(guest.firmware_gpa, guest.firmware, true));
    ASSERT_TRUE(digest.add(0x809000, guest.page, false));
    ASSERT_TRUE(guest.recorder.first_measurement());
    EXPECT_EQ(guest.recorder.first_measurement()->digest, digest.hex());
}

TEST(PlanDigestTest, EachRebirthIsMeasuredAndTheSame)
{
    SevGuest guest(true);
    reset_vcpus(guest);
    guest.launch();
    ASSERT_TRUE(guest.recorder.first_measurement());
    EXPECT_FALSE(guest.generations.status().measurement);
    ASSERT_TRUE(guest.reset());
    EXPECT_EQ(guest.generations.status().measurement,
              guest.recorder.first_measurement());
}

/* Measures as before, and counts. */
class CountingArch {
public:
    CountingArch() : real_(arch()), counting_(*real_)
    {
        times = 0;
        measure = real_->measure;
        counting_.measure = [](const Definition &definition) {
            times++;
            return measure(definition);
        };
        register_arch(&counting_);
    }
    ~CountingArch() { register_arch(real_); }

    inline static std::atomic<int> times;

private:
    inline static decltype(Arch::measure) measure;
    const Arch *real_;
    Arch counting_;
};

TEST(PlanDigestTest, ASpareOfAGuestInPlaceIsMeasuredAheadOnce)
{
    SevGuest guest(true);
    reset_vcpus(guest);
    guest.launch();
    guest.generations.keep_spare(true);
    guest.generations.drain();
    CountingArch counting;
    for (int i = 0; i < 3; i++) {
        ASSERT_TRUE(guest.reset());
        EXPECT_EQ(CountingArch::times, i) << "it was waited for";
        EXPECT_EQ(guest.generations.status().measurement,
                  guest.recorder.first_measurement());
        guest.slot(5 + i, 0x1000, 0x90000000 + i * 0x1000);
        guest.generations.drain();
        EXPECT_EQ(CountingArch::times, i + 1);
    }
}

/* Changes one byte of what the guest is to be launched from. */
void spoil(Recorder &recorder)
{
    LaunchPlan plan = recorder.plan();
    for (const PlannedStep &planned : plan.steps()) {
        if (!planned.step->pointed().empty()) {
            const_cast<uint8_t &>(planned.step->pointed()[123]) ^= 1;
            return;
        }
    }
    FAIL() << "no page in the plan";
}

TEST(PlanDigestTest, AnotherMeasurementIsRefusedAndTheGuestKeepsItsVm)
{
    SnpGuest snp;
    reset_vcpus(snp);
    snp.launch();
    SevGuest sev(true);
    reset_vcpus(sev);
    sev.launch();
    for (ConfidentialGuest *guest :
         {(ConfidentialGuest *)&snp, (ConfidentialGuest *)&sev}) {
        spoil(guest->recorder);
        Holdings before = Holdings::of(*guest);
        std::vector<uint8_t> memory(guest->firmware,
                                    guest->firmware + sizeof(guest->firmware));
        Result<Durations> done = guest->reset();
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, EBADMSG);
        EXPECT_TRUE(done.error().what.contains(
            guest->recorder.first_measurement()->digest))
            << done.error().what;
        EXPECT_FALSE(guest->generations.status().lost);
        EXPECT_EQ(Holdings::of(*guest), before);
        EXPECT_EQ(memory, std::vector<uint8_t>(guest->firmware,
                                               guest->firmware +
                                                   sizeof(guest->firmware)));

        guest->generations.require_same_measurement(false);
        ASSERT_TRUE(guest->reset());
        EXPECT_NE(guest->generations.status().measurement,
                  guest->recorder.first_measurement());
    }
}

TEST(PlanDigestTest, NoRoomIsMadeForALaunchThatWouldBeRefused)
{
    SnpGuest guest;
    reset_vcpus(guest);
    guest.launch();
    spoil(guest.recorder);
    Holdings before = Holdings::of(guest);
    guest.kernel.asids = 1;
    guest.generations.make_room_when_full(true);
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_FALSE(done.error().waits);
    EXPECT_EQ(done.error().code, EBUSY);
    EXPECT_TRUE(done.error().what.contains("could not make room"))
        << done.error().what;
    EXPECT_TRUE(done.error().what.contains("was measured as"))
        << done.error().what;
    EXPECT_EQ(Holdings::of(guest), before);
}

TEST(PlanDigestTest, APluggedVcpuIsMeasuredAnewAndNamed)
{
    SevGuest guest(true);
    reset_vcpus(guest);
    guest.launch();
    ASSERT_TRUE(guest.recorder.first_measurement());
    /* A spare has it measured before the vCPU comes. */
    guest.generations.keep_spare(true);
    guest.generations.drain();
    guest.add_vcpu();
    Result<Durations> done = guest.reset();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, EBADMSG);
    EXPECT_TRUE(done.error().what.contains("KVM_CREATE_VCPU 0x2"))
        << done.error().what;
    guest.generations.require_same_measurement(false);
    done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_NE(guest.generations.status().measurement,
              guest.recorder.first_measurement());
}

TEST(PlanDigestTest, APluggedVcpuThatIsNotMeasuredIsNoReason)
{
    SevGuest guest(false);
    guest.launch();
    ASSERT_TRUE(guest.recorder.first_measurement());
    guest.add_vcpu();
    Result<Durations> done = guest.reset();
    ASSERT_TRUE(done) << done.error().what;
    EXPECT_EQ(guest.generations.status().measurement,
              guest.recorder.first_measurement());
}

} /* namespace */
