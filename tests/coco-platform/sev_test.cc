/*
 * SEV and SEV-ES on the platform: what is refused, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "test_kvm.h"

namespace coco_test {

namespace {

constexpr uint32_t kPolicy = 1;
constexpr uint32_t kEsPolicy = 5;

int start(TestVm *vm, uint32_t policy)
{
    SevLaunchStart start = {};
    start.policy = policy;
    return vm->op(kSevLaunchStart, &start);
}

int update(TestVm *vm, uint64_t address, uint32_t length)
{
    SevLaunchUpdateData data = {address, length, 0};
    return vm->op(kSevLaunchUpdateData, &data);
}

int measure(TestVm *vm)
{
    uint8_t blob[48];
    SevLaunchMeasure data = {reinterpret_cast<uint64_t>(blob), sizeof(blob), 0};
    return vm->op(kSevLaunchMeasure, &data);
}

#define EXPECT_FIRMWARE(error, what)                                           \
    do {                                                                       \
        EXPECT_EQ(-EIO, what);                                                 \
        EXPECT_EQ(uint32_t(error), vm.fw_error);                               \
    } while (0)

} // namespace

TEST(Sev, AVmWithoutInitRefusesEveryLaunchCommand)
{
    TestVm vm(kDefaultVm);
    EXPECT_EQ(0, vm.op(kSevInit));
    TestVm plain(kDefaultVm);
    EXPECT_EQ(-ENOTTY, start(&plain, kPolicy));
    EXPECT_EQ(-ENOTTY, measure(&plain));
    EXPECT_EQ(-ENOTTY, plain.op(kSevLaunchFinish));
    EXPECT_EQ(-ENOTTY, plain.op(kSnpLaunchStart));
    EXPECT_EQ(-EINVAL, plain.op(kSnpLaunchUpdate));
    EXPECT_EQ(-EINVAL, plain.op(99));
}

TEST(Sev, InitIsRefusedTwiceOrAfterAVcpu)
{
    TestVm vm(kDefaultVm);
    EXPECT_EQ(0, vm.op(kSevInit));
    EXPECT_EQ(-EINVAL, vm.op(kSevInit));
    TestVm late(kDefaultVm);
    ASSERT_EQ(0, late.add_vcpu(0));
    EXPECT_EQ(-EINVAL, late.op(kSevInit));
}

TEST(Sev, InitOfTheOtherKindOfVmIsRefused)
{
    SevInit2 init = {};
    TestVm plain(kDefaultVm);
    EXPECT_EQ(-EINVAL, plain.op(kSevInit2, &init));
    TestVm typed(kSevEsVm);
    EXPECT_EQ(-EINVAL, typed.op(kSevEsInit));
    init.vmsa_features = 1ull << 40;
    EXPECT_EQ(-EINVAL, typed.op(kSevInit2, &init));
    init = {};
    init.ghcb_version = 9;
    EXPECT_EQ(-EINVAL, typed.op(kSevInit2, &init));
    init = {};
    EXPECT_EQ(0, typed.op(kSevInit2, &init));
}

TEST(Sev, WithoutTheDeviceNothingStarts)
{
    TestVm vm(kDefaultVm);
    ASSERT_EQ(0, vm.op(kSevInit));
    vm.sev = Fd(open("/dev/null", O_RDWR));
    EXPECT_EQ(-EBADF, start(&vm, kPolicy));
}

TEST(Sev, StartChecksThePolicy)
{
    TestVm vm(kDefaultVm);
    ASSERT_EQ(0, vm.op(kSevInit));
    EXPECT_FIRMWARE(kFwInvalidAsid, start(&vm, kEsPolicy));
    EXPECT_FIRMWARE(kFwPolicyFailure, start(&vm, kPolicy | 0xff0000));
    EXPECT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwAsidOwned, start(&vm, kPolicy));
}

TEST(Sev, CommandsComeInOneOrder)
{
    TestVm vm(kDefaultVm);
    Pages pages(1);
    ASSERT_EQ(0, vm.op(kSevInit));
    EXPECT_EQ(-EBADF, update(&vm, pages.address(), 16)); /* no fd yet */
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwInvalidGuestState, vm.op(kSevLaunchFinish));
    EXPECT_EQ(-ENOTTY, vm.op(kSevLaunchUpdateVmsa)); /* not SEV-ES */
    ASSERT_EQ(0, update(&vm, pages.address(), kPage));
    ASSERT_EQ(0, measure(&vm));
    EXPECT_FIRMWARE(kFwInvalidGuestState, measure(&vm));
    EXPECT_FIRMWARE(kFwInvalidGuestState, update(&vm, pages.address(), 16));
    ASSERT_EQ(0, vm.op(kSevLaunchFinish));
    EXPECT_FIRMWARE(kFwInvalidGuestState, vm.op(kSevLaunchFinish));
    SevGuestStatus status = {};
    ASSERT_EQ(0, vm.op(kSevGuestStatus, &status));
    EXPECT_EQ(uint32_t(kStateRunning), status.state);
    EXPECT_EQ(kPolicy, status.policy);
}

TEST(Sev, UpdateWantsAlignedMemoryThatIsThere)
{
    TestVm vm(kDefaultVm);
    Pages pages(1);
    ASSERT_EQ(0, vm.op(kSevInit));
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_EQ(-EINVAL, update(&vm, pages.address(), 0));
    EXPECT_EQ(-ENOMEM, update(&vm, 0x1000, 16));
    EXPECT_FIRMWARE(kFwInvalidAddress, update(&vm, pages.address(8), 16));
    EXPECT_FIRMWARE(kFwInvalidLength, update(&vm, pages.address(), 24));
}

TEST(Sev, TheLengthOfTheMeasurementCanBeAsked)
{
    TestVm vm(kDefaultVm);
    SevLaunchMeasure data = {};
    ASSERT_EQ(0, vm.op(kSevInit));
    ASSERT_EQ(0, start(&vm, kPolicy));
    EXPECT_FIRMWARE(kFwInvalidLength, vm.op(kSevLaunchMeasure, &data));
    EXPECT_EQ(48u, data.len);
}

TEST(Sev, EncryptedMemoryIsNoiseForTheHost)
{
    TestVm vm(kDefaultVm);
    Pages pages(2);
    memset(pages.at(), 0x11, pages.size());
    ASSERT_EQ(0, vm.op(kSevInit));
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
    TestVm one(kDefaultVm), two(kDefaultVm);
    Pages pages(1);
    struct Report {
        uint8_t nonce[16];
        uint64_t uaddr;
        uint32_t len, pad;
    };
    uint8_t first[208], second[208];
    Report report = {{}, reinterpret_cast<uint64_t>(first), 208, 0};
    ASSERT_EQ(0, one.op(kSevInit));
    ASSERT_EQ(0, start(&one, kPolicy));
    ASSERT_EQ(0, update(&one, pages.address(), kPage));
    ASSERT_EQ(0, one.op(kSevGetAttestationReport, &report));
    ASSERT_EQ(0, two.op(kSevInit));
    ASSERT_EQ(0, start(&two, kPolicy));
    ASSERT_EQ(0, update(&two, pages.address(), kPage));
    report.uaddr = reinterpret_cast<uint64_t>(second);
    ASSERT_EQ(0, two.op(kSevGetAttestationReport, &report));
    EXPECT_NE(0, memcmp(first + 16, second + 16, 32));
}

TEST(Sev, RegionsAreKnownByAddressAndSize)
{
    TestVm vm(kDefaultVm);
    Pages pages(2);
    kvm_enc_region region = {pages.address(), pages.size()};
    EXPECT_EQ(-ENOTTY, call(vm.vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region));
    ASSERT_EQ(0, vm.op(kSevInit));
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
    TestVm vm(kSevEsVm);
    SevInit2 init = {};
    kvm_regs regs = {};
    kvm_sregs sregs = {};
    kvm_xsave xsave = {};
    kvm_debugregs debug = {};
    OneMsr star = {1, 0, {0xc0000081, 0, 1}};
    OneMsr tsc = {1, 0, {0x10, 0, 1}};

    ASSERT_EQ(0, vm.op(kSevInit2, &init));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, start(&vm, kEsPolicy));
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_GET_REGS, &regs));
    ASSERT_EQ(0, call(vm.vcpus[0], KVM_SET_REGS, &regs));
    ASSERT_EQ(1, call(vm.vcpus[0], KVM_SET_MSRS, &star));
    ASSERT_EQ(0, vm.op(kSevLaunchUpdateVmsa));
    EXPECT_EQ(-EINVAL, vm.op(kSevLaunchUpdateVmsa));

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
    TestVm vm(kDefaultVm);
    kvm_regs regs = {};
    OneMsr star = {1, 0, {0xc0000081, 0, 1}};
    ASSERT_EQ(0, vm.op(kSevEsInit));
    ASSERT_EQ(0, vm.add_vcpu(0));
    ASSERT_EQ(0, start(&vm, kEsPolicy));
    ASSERT_EQ(0, vm.op(kSevLaunchUpdateVmsa));
    regs.rip = 0x1234;
    EXPECT_EQ(0, call(vm.vcpus[0], KVM_SET_REGS, &regs));
    EXPECT_EQ(1, call(vm.vcpus[0], KVM_SET_MSRS, &star));
    EXPECT_EQ(1, call(vm.vcpus[0], KVM_GET_MSRS, &star));
    EXPECT_EQ(0u, star.entry.data);
}

TEST(SevEs, AVcpuRunsOnlyAfterTheLaunch)
{
    TestVm vm(kSevEsVm);
    SevInit2 init = {};
    ASSERT_EQ(0, vm.op(kSevInit2, &init));
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
        vms.emplace_back(kDefaultVm);
        ASSERT_EQ(0, vms.back().op(kSevEsInit));
    }
    TestVm more(kDefaultVm);
    EXPECT_EQ(-EBUSY, more.op(kSevEsInit));
    EXPECT_EQ(0, more.op(kSevInit)); /* another pool */

    TestVm last(kDefaultVm);
    Fd leaked(dup(vms[0].vm.get()));
    vms[0].vm.reset();
    EXPECT_EQ(-EBUSY, last.op(kSevEsInit)) << "a duplicate pins the VM";
    leaked.reset();
    EXPECT_EQ(0, last.op(kSevEsInit));
}

TEST(Asid, AVcpuAndItsMappingPinTheVm)
{
    std::deque<TestVm> vms;
    for (int i = 0; i < 4; i++) {
        vms.emplace_back(kDefaultVm);
        ASSERT_EQ(0, vms.back().op(kSevEsInit));
    }
    TestVm next(kDefaultVm);
    ASSERT_EQ(0, vms[0].add_vcpu(0));
    vms[0].vm.reset();
    EXPECT_EQ(-EBUSY, next.op(kSevEsInit));
    vms[0].vcpus.clear();
    EXPECT_EQ(-EBUSY, next.op(kSevEsInit)) << "kvm_run is still mapped";
    vms[0].drop_vcpus();
    EXPECT_EQ(0, next.op(kSevEsInit));
}

TEST(Asid, ANumberThatIsReplacedIsClosed)
{
    std::deque<TestVm> vms;
    for (int i = 0; i < 4; i++) {
        vms.emplace_back(kDefaultVm);
        ASSERT_EQ(0, vms.back().op(kSevEsInit));
    }
    TestVm next(kDefaultVm);
    ASSERT_EQ(vms[1].vm.get(), dup3(next.vm.get(), vms[1].vm.get(), O_CLOEXEC));
    EXPECT_EQ(0, vms[1].op(kSevEsInit));
    EXPECT_EQ(-EINVAL, next.op(kSevEsInit)) << "it is the same VM";
}

} // namespace coco_test
