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
    kvm_sev_init init = {};
    kvm_sev_snp_launch_start start = {};
    kvm_sev_snp_launch_update update = {};
    kvm_sev_snp_launch_finish finish = {};
    start.policy = 0x30000;
    update.gfn_start = kTop / kPage;
    update.uaddr = pages.address();
    update.len = kPage;
    update.type = kSnpNormal;
    return vm->op(KVM_SEV_INIT2, &init) ||
           vm->op(KVM_SEV_SNP_LAUNCH_START, &start) ||
           vm->op(KVM_SEV_SNP_LAUNCH_UPDATE, &update) || vm->add_vcpu(0) ||
           vm->op(KVM_SEV_SNP_LAUNCH_FINISH, &finish);
}

} // namespace

TEST(Run, ASnpGuestRunsWhatWasLaunched)
{
    TestVm vm(KVM_X86_SNP_VM);
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
    TestVm vm(KVM_X86_SNP_VM);
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
        TestVm vm(KVM_X86_SNP_VM);
        Fd gmem = vm.make_gmem(kPage);
        ASSERT_EQ(0, vm.add_private_slot(0, kTop, pages, gmem));
        ASSERT_EQ(0, vm.set_private(kTop, kPage));
        ASSERT_EQ(0, launch_snp(&vm, pages));
        ASSERT_EQ(0x10, run_to_port(&vm));
    }
    /* The same memory again, but launched as a page of zeros. */
    TestVm next(KVM_X86_SNP_VM);
    Fd gmem = next.make_gmem(kPage);
    kvm_sev_init init = {};
    kvm_sev_snp_launch_start start = {};
    kvm_sev_snp_launch_update update = {};
    kvm_sev_snp_launch_finish finish = {};
    start.policy = 0x30000;
    update.gfn_start = kTop / kPage;
    update.len = kPage;
    update.type = kSnpZero;
    ASSERT_EQ(0, next.add_private_slot(0, kTop, pages, gmem));
    ASSERT_EQ(0, next.set_private(kTop, kPage));
    ASSERT_EQ(0, next.op(KVM_SEV_INIT2, &init));
    ASSERT_EQ(0, next.op(KVM_SEV_SNP_LAUNCH_START, &start));
    ASSERT_EQ(0, next.op(KVM_SEV_SNP_LAUNCH_UPDATE, &update));
    ASSERT_EQ(0, next.add_vcpu(0));
    ASSERT_EQ(0, next.op(KVM_SEV_SNP_LAUNCH_FINISH, &finish));
    next.run(0)->immediate_exit = 1;
    EXPECT_EQ(-EINTR, call(next.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(0, pages.at(kVector)[0])
        << "the host's page stands for a new one";
}

TEST(Run, ASevGuestRunsWhatWasEncrypted)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Pages pages(1);
    kvm_sev_launch_start start = {};
    kvm_sev_launch_update_data update = {pages.address(), kPage, 0};
    uint8_t blob[48];
    kvm_sev_launch_measure measure = {reinterpret_cast<uint64_t>(blob), 48, 0};
    start.policy = 1;
    put_code(pages, 0x10);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    ASSERT_EQ(0, vm.add_slot(0, kTop, pages));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_START, &start));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_UPDATE_DATA, &update));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_MEASURE, &measure));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_FINISH));
    put_code(pages, 0x12);
    EXPECT_EQ(0x10, run_to_port(&vm));
}

/* A guest of one page, which asks the platform for that. */
class Asking {
public:
    explicit Asking(uint8_t command)
        : vm(KVM_X86_SNP_VM), pages(1), gmem(vm.make_gmem(kPage))
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
