/*
 * SEV and SEV-ES on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "asked_test.h"
#include "test_kvm.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

namespace coco_test {

namespace {

constexpr uint32_t kPolicy = 1;
constexpr uint32_t kEsPolicy = 5;

int start(TestVm *vm, uint32_t policy)
{
    kvm_sev_launch_start start = {};
    start.policy = policy;
    return vm->op(KVM_SEV_LAUNCH_START, &start);
}

int update(TestVm *vm, uint64_t address, uint32_t length)
{
    kvm_sev_launch_update_data data = {address, length, 0};
    return vm->op(KVM_SEV_LAUNCH_UPDATE_DATA, &data);
}

int measure(TestVm *vm)
{
    uint8_t blob[48];
    kvm_sev_launch_measure data = {reinterpret_cast<uint64_t>(blob),
                                   sizeof(blob), 0};
    return vm->op(KVM_SEV_LAUNCH_MEASURE, &data);
}

#define EXPECT_FIRMWARE(error, what)                                           \
    do {                                                                       \
        EXPECT_EQ(-EIO, what);                                                 \
        EXPECT_EQ(uint32_t(error), vm.fw_error);                               \
    } while (0)

} // namespace

TEST(Sev, AVmWithoutInitRefusesEveryLaunchCommand)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(0, vm.op(KVM_SEV_INIT));
    TestVm plain(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(-ENOTTY, start(&plain, kPolicy));
    EXPECT_EQ(-ENOTTY, measure(&plain));
    EXPECT_EQ(-ENOTTY, plain.op(KVM_SEV_LAUNCH_FINISH));
    EXPECT_EQ(-ENOTTY, plain.op(KVM_SEV_SNP_LAUNCH_START));
    EXPECT_EQ(-EINVAL, plain.op(KVM_SEV_SNP_LAUNCH_UPDATE));
    EXPECT_EQ(-EINVAL, plain.op(99));
}

TEST(Sev, InitIsRefusedTwiceOrAfterAVcpu)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(0, vm.op(KVM_SEV_INIT));
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_INIT));
    TestVm late(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(0, late.add_vcpu(0));
    EXPECT_EQ(-EINVAL, late.op(KVM_SEV_INIT));
}

TEST(Sev, InitOfTheOtherKindOfVmIsRefused)
{
    kvm_sev_init init = {};
    TestVm plain(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(-EINVAL, plain.op(KVM_SEV_INIT2, &init));
    TestVm typed(KVM_X86_SEV_ES_VM);
    EXPECT_EQ(-EINVAL, typed.op(KVM_SEV_ES_INIT));
    init.vmsa_features = 1ull << 40;
    EXPECT_EQ(-EINVAL, typed.op(KVM_SEV_INIT2, &init));
    init = {};
    init.ghcb_version = 9;
    EXPECT_EQ(-EINVAL, typed.op(KVM_SEV_INIT2, &init));
    init = {};
    EXPECT_EQ(0, typed.op(KVM_SEV_INIT2, &init));
}

TEST(Sev, WithoutTheDeviceNothingStarts)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    vm.sev = Fd(open("/dev/null", O_RDWR));
    EXPECT_EQ(-EBADF, start(&vm, kPolicy));
}

TEST(Sev, StartChecksThePolicy)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    EXPECT_FIRMWARE(kFwInvalidAsid, start(&vm, kEsPolicy));
    EXPECT_FIRMWARE(kFwPolicyFailure, start(&vm, kPolicy | 0xff0000));
    EXPECT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwAsidOwned, start(&vm, kPolicy));
}

TEST(Sev, CommandsComeInOneOrder)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Pages pages(1);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    EXPECT_EQ(-EBADF, update(&vm, pages.address(), 16)); /* no fd yet */
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwInvalidGuestState, vm.op(KVM_SEV_LAUNCH_FINISH));
    EXPECT_EQ(-ENOTTY, vm.op(KVM_SEV_LAUNCH_UPDATE_VMSA)); /* not SEV-ES */
    ASSERT_EQ(0, update(&vm, pages.address(), kPage));
    ASSERT_EQ(0, measure(&vm));
    EXPECT_FIRMWARE(kFwInvalidGuestState, measure(&vm));
    EXPECT_FIRMWARE(kFwInvalidGuestState, update(&vm, pages.address(), 16));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_FINISH));
    EXPECT_FIRMWARE(kFwInvalidGuestState, vm.op(KVM_SEV_LAUNCH_FINISH));
    kvm_sev_guest_status status = {};
    ASSERT_EQ(0, vm.op(KVM_SEV_GUEST_STATUS, &status));
    EXPECT_EQ(uint32_t(kStateRunning), status.state);
    EXPECT_EQ(kPolicy, status.policy);
}

TEST(Sev, UpdateWantsAlignedMemoryThatIsThere)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Pages pages(1);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_EQ(-EINVAL, update(&vm, pages.address(), 0));
    EXPECT_EQ(-ENOMEM, update(&vm, 0x1000, 16));
    EXPECT_FIRMWARE(kFwInvalidAddress, update(&vm, pages.address(8), 16));
    EXPECT_FIRMWARE(kFwInvalidLength, update(&vm, pages.address(), 24));
}

TEST(Sev, TheLengthOfTheMeasurementCanBeAsked)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    kvm_sev_launch_measure data = {};
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwInvalidLength, vm.op(KVM_SEV_LAUNCH_MEASURE, &data));
    EXPECT_EQ(48u, data.len);
}

TEST(Sev, EncryptedMemoryIsNoiseForTheHost)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Pages pages(2);
    memset(pages.at(), 0x11, pages.size());
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    ASSERT_EQ(0, start(&vm, kPolicy));
    ASSERT_EQ(0, update(&vm, pages.address(64), kPage));
    std::vector<uint8_t> plain(kPage, 0x11);
    EXPECT_NE(0, memcmp(pages.at(64), plain.data(), kPage));
    EXPECT_EQ(0, memcmp(pages.at(0), plain.data(), 64));
    EXPECT_EQ(0, memcmp(pages.at(64 + kPage), plain.data(), 64));
    /* And stays noise when the guest is gone. */
    vm.vm.reset();
    EXPECT_NE(0, memcmp(pages.at(64), plain.data(), kPage));
}

TEST(Sev, WhatIsEncryptedTwiceIsMeasuredAsNoise)
{
    TestVm one(KVM_X86_DEFAULT_VM), two(KVM_X86_DEFAULT_VM);
    Pages pages(1);
    struct Report {
        uint8_t nonce[16];
        uint64_t uaddr;
        uint32_t len, pad;
    };
    uint8_t first[208], second[208];
    Report report = {{}, reinterpret_cast<uint64_t>(first), 208, 0};
    ASSERT_EQ(0, one.op(KVM_SEV_INIT));
    ASSERT_EQ(0, start(&one, kPolicy));
    ASSERT_EQ(0, update(&one, pages.address(), kPage));
    ASSERT_EQ(0, one.op(KVM_SEV_GET_ATTESTATION_REPORT, &report));
    ASSERT_EQ(0, two.op(KVM_SEV_INIT));
    ASSERT_EQ(0, start(&two, kPolicy));
    ASSERT_EQ(0, update(&two, pages.address(), kPage));
    report.uaddr = reinterpret_cast<uint64_t>(second);
    ASSERT_EQ(0, two.op(KVM_SEV_GET_ATTESTATION_REPORT, &report));
    EXPECT_NE(0, memcmp(first + 16, second + 16, 32));
}

TEST(Sev, RegionsAreKnownByAddressAndSize)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    Pages pages(2);
    kvm_enc_region region = {pages.address(), pages.size()};
    EXPECT_EQ(-ENOTTY, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region));
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
    EXPECT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region));
    region.size = kPage;
    EXPECT_EQ(-EINVAL, call(vm.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
    region.size = pages.size();
    EXPECT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
}

/* Registers: refused in a VM of the type, ignored in one of the default. */

TEST(SevEs, LockedRegistersAreRefused)
{
    TestVm vm(KVM_X86_SEV_ES_VM);
    kvm_sev_init init = {};
    kvm_regs regs = {};
    kvm_sregs sregs = {};
    kvm_xsave xsave = {};
    kvm_debugregs debug = {};
    kvm_msrs_of<1> star = {.entries = {{.index = 0xc0000081, .data = 1}}};
    kvm_msrs_of<1> tsc = {.entries = {{.index = 0x10, .data = 1}}};

    ASSERT_EQ(0, vm.op(KVM_SEV_INIT2, &init));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, start(&vm, kEsPolicy));
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_GET_REGS, &regs));
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_SET_REGS, &regs));
    ASSERT_EQ(1, call(vm.vcpus[0], KVM_SET_MSRS, &star));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_UPDATE_VMSA));
    EXPECT_EQ(-EINVAL, vm.op(KVM_SEV_LAUNCH_UPDATE_VMSA));

    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_REGS, &regs));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_REGS, &regs));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_SREGS, &sregs));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_SREGS, &sregs));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_GET_XSAVE, &xsave));
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_DEBUGREGS, &debug));
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_SET_MSRS, &star));
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_GET_MSRS, &star));
    EXPECT_EQ(1, call(vm.vcpus[0], KVM_SET_MSRS, &tsc));
    kvm_guest_debug no_debug = {};
    EXPECT_EQ(-EINVAL, call(vm.vcpus[0], KVM_SET_GUEST_DEBUG, &no_debug));
}

TEST(SevEs, InAVmOfTheDefaultTypeTheyAreIgnored)
{
    TestVm vm(KVM_X86_DEFAULT_VM);
    kvm_regs regs = {};
    kvm_msrs_of<1> star = {.entries = {{.index = 0xc0000081, .data = 1}}};
    ASSERT_EQ(0, vm.op(KVM_SEV_ES_INIT));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, start(&vm, kEsPolicy));
    ASSERT_EQ(0, vm.op(KVM_SEV_LAUNCH_UPDATE_VMSA));
    regs.rip = 0x1234;
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_SET_REGS, &regs));
    EXPECT_EQ(1, call(vm.vcpus[0], KVM_SET_MSRS, &star));
    EXPECT_EQ(1, call(vm.vcpus[0], KVM_GET_MSRS, &star));
    EXPECT_EQ(0u, star.entries[0].data);
}

TEST(SevEs, AVcpuRunsOnlyAfterTheLaunch)
{
    TestVm vm(KVM_X86_SEV_ES_VM);
    kvm_sev_init init = {};
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT2, &init));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, start(&vm, kEsPolicy));
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_RUN, 0));
    EXPECT_EQ(uint32_t(KVM_EXIT_FAIL_ENTRY), vm.run(0)->exit_reason);
}

/* ASIDs: four of each kind, unless the environment says otherwise. */

TEST(Asid, TheyRunOutAndComeBackWithTheLastReference)
{
    std::deque<TestVm> vms;
    for (int i = 0; i < 4; i++) {
        vms.emplace_back(KVM_X86_DEFAULT_VM);
        ASSERT_EQ(0, vms.back().op(KVM_SEV_ES_INIT));
    }
    TestVm more(KVM_X86_DEFAULT_VM);
    EXPECT_EQ(-EBUSY, more.op(KVM_SEV_ES_INIT));
    EXPECT_EQ(0, more.op(KVM_SEV_INIT)); /* another pool */

    TestVm last(KVM_X86_DEFAULT_VM);
    Fd leaked(dup(vms[0].vm.get()));
    vms[0].vm.reset();
    EXPECT_EQ(-EBUSY, last.op(KVM_SEV_ES_INIT)) << "a duplicate pins the VM";
    leaked.reset();
    EXPECT_EQ(0, last.op(KVM_SEV_ES_INIT));
}

TEST(Asid, AVcpuAndItsMappingPinTheVm)
{
    std::deque<TestVm> vms;
    for (int i = 0; i < 4; i++) {
        vms.emplace_back(KVM_X86_DEFAULT_VM);
        ASSERT_EQ(0, vms.back().op(KVM_SEV_ES_INIT));
    }
    TestVm next(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(0, vms[0].add_vcpu(0));
    vms[0].vm.reset();
    EXPECT_EQ(-EBUSY, next.op(KVM_SEV_ES_INIT));
    vms[0].vcpus.clear();
    EXPECT_EQ(-EBUSY, next.op(KVM_SEV_ES_INIT)) << "kvm_run is still mapped";
    vms[0].drop_vcpus();
    EXPECT_EQ(0, next.op(KVM_SEV_ES_INIT));
}

TEST(Asid, ANumberThatIsReplacedIsClosed)
{
    std::deque<TestVm> vms;
    for (int i = 0; i < 4; i++) {
        vms.emplace_back(KVM_X86_DEFAULT_VM);
        ASSERT_EQ(0, vms.back().op(KVM_SEV_ES_INIT));
    }
    TestVm next(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(vms[1].vm.get(), dup3(next.vm.get(), vms[1].vm.get(), O_CLOEXEC));
    EXPECT_EQ(0, vms[1].op(KVM_SEV_ES_INIT));
    EXPECT_EQ(-EINVAL, next.op(KVM_SEV_ES_INIT)) << "it is the same VM";
}

/* A process of its own: what it gives up it does not get back. */
TEST(Sev, NoMoreIsPinnedThanMayBeLocked)
{
    run_asked("AskedMemlock.*", {{"ASKED_MEMLOCK", "1"}});
}

TEST(AskedMemlock, EachVmMayPinSoMuch)
{
    NEEDS_SETTING("ASKED_MEMLOCK");
    constexpr size_t kMay = 16;
    rlimit limit = {kMay * kPage, kMay * kPage};
    Pages pages(kMay + 1);
    memset(pages.at(), 1, pages.size());
    kvm_enc_region all = {pages.address(), kMay * kPage},
                   more = {pages.address(kMay * kPage), kPage};
    TestVm vm(KVM_X86_DEFAULT_VM), other(KVM_X86_DEFAULT_VM);
    ASSERT_EQ(0, vm.op(KVM_SEV_INIT));
    ASSERT_EQ(0, other.op(KVM_SEV_INIT));
    ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
    ASSERT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &all));
    EXPECT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &more))
        << "root may";
    ASSERT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &more));
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    ASSERT_EQ(0, syscall(SYS_capset, &header, data));
    EXPECT_EQ(-ENOMEM, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &more));
    EXPECT_EQ(0, call(other.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &all))
        << "it is counted for each VM";
    ASSERT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &all));
    EXPECT_EQ(0, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &more));
}

} // namespace coco_test
