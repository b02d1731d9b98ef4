/*
 * What a running guest sees: the memory that was launched, not the host's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "test_kvm.h"

namespace coco_test {

namespace {

/* The page with the reset vector. */
constexpr uint64_t kTop = 0xfffff000;
constexpr size_t kVector = 0xff0;

/* Puts "mov $0xc0c8, %dx; mov $command, %al; out %al, %dx" there. */
void put_request(const Pages &pages, uint8_t command)
{
    const uint8_t code[] = {0xba, 0xc8, 0xc0, 0xb0, command, 0xee};
    memcpy(pages.at(kVector), code, sizeof(code));
}

/* Puts "out %al, $port" where a processor begins. */
void put_code(const Pages &pages, uint8_t port)
{
    pages.at(kVector)[0] = 0xe6;
    pages.at(kVector)[1] = port;
}

/* Runs the first vCPU; the port that it writes to, or -1. */
int run_to_port(TestVm *vm)
{
    int ret = call(vm->vcpus[0], KVM_RUN, 0);
    const kvm_run *run = vm->run(0);
    return ret == 0 && run->exit_reason == KVM_EXIT_IO ? run->io.port : -1;
}

int launch_snp(TestVm *vm, const Pages &pages)
{
    SevInit2 init = {};
    SnpLaunchStart start = {};
    SnpLaunchUpdate update = {};
    SnpLaunchFinish finish = {};
    start.policy = 0x30000;
    update.gfn_start = kTop / kPage;
    update.uaddr = pages.address();
    update.len = kPage;
    update.type = kSnpNormal;
    return vm->op(kSevInit2, &init) || vm->op(kSnpLaunchStart, &start) ||
           vm->op(kSnpLaunchUpdate, &update) || vm->add_vcpu(0) ||
           vm->op(kSnpLaunchFinish, &finish);
}

} // namespace

TEST(Run, ASnpGuestRunsWhatWasLaunched)
{
    TestVm vm(kSnpVm);
    Pages pages(1);
    Fd gmem = vm.make_gmem(kPage);
    ASSERT_EQ(0, vm.add_private_slot(0, kTop, pages, gmem));
    ASSERT_EQ(0, vm.set_private(kTop, kPage));
    put_code(pages, 0x10);
    ASSERT_EQ(0, launch_snp(&vm, pages));
    put_code(pages, 0x12); /* the host's own, which is not the guest's */
    EXPECT_EQ(0x10, run_to_port(&vm));
}

TEST(Run, AfterAConversionItSeesTheHostsPage)
{
    TestVm vm(kSnpVm);
    Pages pages(1);
    Fd gmem = vm.make_gmem(kPage);
    ASSERT_EQ(0, vm.add_private_slot(0, kTop, pages, gmem));
    ASSERT_EQ(0, vm.set_private(kTop, kPage));
    put_code(pages, 0x10);
    ASSERT_EQ(0, launch_snp(&vm, pages));
    put_code(pages, 0x12);
    ASSERT_EQ(0, vm.set_private(kTop, kPage, false));
    EXPECT_EQ(0x12, run_to_port(&vm));
}

TEST(Run, TheNextVmHasNothingOfTheOldOne)
{
    Pages pages(1);
    put_code(pages, 0x10);
    {
        TestVm vm(kSnpVm);
        Fd gmem = vm.make_gmem(kPage);
        ASSERT_EQ(0, vm.add_private_slot(0, kTop, pages, gmem));
        ASSERT_EQ(0, vm.set_private(kTop, kPage));
        ASSERT_EQ(0, launch_snp(&vm, pages));
        ASSERT_EQ(0x10, run_to_port(&vm));
    }
    /* The same memory again, but launched as a page of zeros. */
    TestVm next(kSnpVm);
    Fd gmem = next.make_gmem(kPage);
    SevInit2 init = {};
    SnpLaunchStart start = {};
    SnpLaunchUpdate update = {};
    SnpLaunchFinish finish = {};
    start.policy = 0x30000;
    update.gfn_start = kTop / kPage;
    update.len = kPage;
    update.type = kSnpZero;
    ASSERT_EQ(0, next.add_private_slot(0, kTop, pages, gmem));
    ASSERT_EQ(0, next.set_private(kTop, kPage));
    ASSERT_EQ(0, next.op(kSevInit2, &init));
    ASSERT_EQ(0, next.op(kSnpLaunchStart, &start));
    ASSERT_EQ(0, next.op(kSnpLaunchUpdate, &update));
    ASSERT_EQ(0, next.add_vcpu(0));
    ASSERT_EQ(0, next.op(kSnpLaunchFinish, &finish));
    next.run(0)->immediate_exit = 1;
    EXPECT_EQ(-EINTR, call(next.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(0, pages.at(kVector)[0])
        << "the host's page stands for a new one";
}

TEST(Run, ASevGuestRunsWhatWasEncrypted)
{
    TestVm vm(kDefaultVm);
    Pages pages(1);
    SevLaunchStart start = {};
    SevLaunchUpdateData update = {pages.address(), kPage, 0};
    uint8_t blob[48];
    SevLaunchMeasure measure = {reinterpret_cast<uint64_t>(blob), 48, 0};
    start.policy = 1;
    put_code(pages, 0x10);
    ASSERT_EQ(0, vm.op(kSevInit));
    ASSERT_EQ(0, vm.add_slot(0, kTop, pages));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.op(kSevLaunchStart, &start));
    ASSERT_EQ(0, vm.op(kSevLaunchUpdateData, &update));
    ASSERT_EQ(0, vm.op(kSevLaunchMeasure, &measure));
    ASSERT_EQ(0, vm.op(kSevLaunchFinish));
    put_code(pages, 0x12);
    EXPECT_EQ(0x10, run_to_port(&vm));
}

/* A guest of one page, which asks the platform for that. */
class Asking {
public:
    explicit Asking(uint8_t command)
        : vm(kSnpVm), pages(1), gmem(vm.make_gmem(kPage))
    {
        put_request(pages, command);
        good = vm.add_private_slot(0, kTop, pages, gmem) == 0 &&
               vm.set_private(kTop, kPage) == 0 && launch_snp(&vm, pages) == 0;
    }

    TestVm vm;
    Pages pages;
    Fd gmem;
    bool good = false;
};

TEST(Run, AGuestThatTerminatesIsASevTerm)
{
    Asking guest(3);
    ASSERT_TRUE(guest.good);
    ASSERT_EQ(0, call(guest.vm.vcpus[0], KVM_RUN, 0));
    const kvm_run *run = guest.vm.run(0);
    ASSERT_EQ(uint32_t(KVM_EXIT_SYSTEM_EVENT), run->exit_reason);
    EXPECT_EQ(uint32_t(KVM_SYSTEM_EVENT_SEV_TERM), run->system_event.type);
    EXPECT_EQ(0x100u, run->system_event.data[0]);
}

TEST(Run, ASystemEventHasTheNumberThatTheGuestSaid)
{
    Asking guest(4);
    ASSERT_TRUE(guest.good);
    ASSERT_EQ(0, call(guest.vm.vcpus[0], KVM_RUN, 0));
    ASSERT_EQ(uint32_t(KVM_EXIT_SYSTEM_EVENT), guest.vm.run(0)->exit_reason);
    EXPECT_EQ(0u, guest.vm.run(0)->system_event.type);
}

TEST(Run, AVcpuThatIsShutDownStaysSo)
{
    Asking guest(5);
    ASSERT_TRUE(guest.good);
    for (int i = 0; i < 3; i++) {
        guest.vm.run(0)->exit_reason = 0;
        ASSERT_EQ(0, call(guest.vm.vcpus[0], KVM_RUN, 0));
        EXPECT_EQ(uint32_t(KVM_EXIT_SHUTDOWN), guest.vm.run(0)->exit_reason);
    }
    guest.vm.run(0)->immediate_exit = 1;
    EXPECT_EQ(-EINTR, call(guest.vm.vcpus[0], KVM_RUN, 0));
}

TEST(Run, AnErrorInsideOfKvmIsToldAsOne)
{
    Asking guest(6);
    ASSERT_TRUE(guest.good);
    ASSERT_EQ(0, call(guest.vm.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(uint32_t(KVM_EXIT_INTERNAL_ERROR), guest.vm.run(0)->exit_reason);
}

} // namespace coco_test
