/*
 * Files that recorded ioctls name, and that they create
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test defines something, gives the guest a new VM, and looks at what
 * the new VM was told.
 */

#include <cerrno>

#include "recorder_guest.h"

using namespace kvm_reset::abi;

namespace {

TEST_F(RecorderTest, AClosedEventfdWhoseNumberIsAnotherFileIsDropped)
{
    int gone = guest.kernel.eventfd(), kept = guest.kernel.eventfd();
    guest.irqfd(gone, 5);
    guest.irqfd(kept, 6);
    guest.kernel.close(gone);
    ASSERT_EQ(guest.kernel.eventfd(), gone);
    reborn();

    EXPECT_EQ(guest.kernel.irqfds(guest.vm),
              (std::set<std::pair<uint64_t, uint32_t>>{
                  {guest.kernel.file_at(kept), 6}}));
    EXPECT_EQ(guest.listener.stale().size(), 1u);
    EXPECT_EQ(entries(), 1u);
}

TEST_F(RecorderTest, AClosedEventfdIsDropped)
{
    int gone = guest.kernel.eventfd();
    guest.irqfd(gone, 5);
    guest.kernel.close(gone);
    reborn();
    EXPECT_TRUE(guest.kernel.irqfds(guest.vm).empty());
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AReusedNumberMayBeAnIrqfdAgain)
{
    int fd = guest.kernel.eventfd();
    guest.irqfd(fd, 5);
    guest.kernel.close(fd);
    ASSERT_EQ(guest.kernel.eventfd(), fd);
    EXPECT_EQ(guest.irqfd(fd, 8), 0);
    reborn();
    EXPECT_EQ(guest.kernel.irqfds(guest.vm),
              (std::set<std::pair<uint64_t, uint32_t>>{
                  {guest.kernel.file_at(fd), 8}}));
}

TEST_F(RecorderTest, AnEventfdInTwoPlacesStaysWatchedUntilItLeavesBoth)
{
    int fd = guest.kernel.eventfd();
    guest.irqfd(fd, 5);
    guest.ioeventfd(fd, 0x1000);
    guest.irqfd(fd, 5, KVM_IRQFD_FLAG_DEASSIGN);
    reborn();
    EXPECT_EQ(guest.ioctls(KVM_IOEVENTFD).size(), 1u);
    guest.ioeventfd(fd, 0x1000, KVM_IOEVENTFD_FLAG_DEASSIGN);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AnEventfdThatCannotBeWatchedBlocks)
{
    int fd = guest.kernel.eventfd();
    guest.kernel.fail(FakeKernel::Call::Watch, 1, ENOSPC);
    EXPECT_EQ(guest.irqfd(fd, 5), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why) << "the irqfd would be lost without a word";
    EXPECT_NE(why->find("ENOSPC"), std::string::npos) << *why;
}

TEST_F(RecorderTest, ASlotNamesTheNewGuestMemfd)
{
    int memfd = guest.guest_memfd();
    kvm_userspace_memory_region2 region{.slot = 2,
                                        .flags = KVM_MEM_GUEST_MEMFD,
                                        .memory_size = 0x200000,
                                        .guest_memfd = uint32_t(memfd)};
    ASSERT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2, region), 0);
    uint64_t old = guest.kernel.file_at(memfd);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_SET_USER_MEMORY_REGION2);
    reborn();

    EXPECT_NE(guest.kernel.file_at(memfd), old);
    /* The fake takes no memfd but the VM's own. */
    EXPECT_EQ(guest.ioctls(KVM_SET_USER_MEMORY_REGION2), before);
    /* And userspace goes on with the old number. */
    EXPECT_EQ(guest.ioctl(guest.vm, KVM_SET_USER_MEMORY_REGION2, region), 0);
}

TEST_F(RecorderTest, ADeviceIsFoundThroughTheFdInItsStruct)
{
    int device = guest.vfio_device();
    ASSERT_GE(device, 0);
    int file = guest.kernel.file("/dev/vfio/7");
    EXPECT_EQ(guest.vfio_file(device, file), 0);
    uint64_t old = guest.kernel.file_at(device);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_SET_DEVICE_ATTR);
    reborn();

    EXPECT_NE(guest.kernel.file_at(device), old);
    EXPECT_EQ(guest.kernel.describe(device), "anon_inode:kvm-vfio");
    EXPECT_EQ(guest.ioctls(KVM_SET_DEVICE_ATTR), before);
    EXPECT_EQ(guest.vfio_file(device, file, KVM_DEV_VFIO_FILE_DEL), 0);
    reborn();
    EXPECT_TRUE(guest.ioctls(KVM_SET_DEVICE_ATTR).empty());
}

TEST_F(RecorderTest, AskingWhetherADeviceExistsCreatesNone)
{
    kvm_create_device test{.type = KVM_DEV_TYPE_VFIO,
                           .flags = KVM_CREATE_DEVICE_TEST};
    EXPECT_EQ(guest.ioctl(guest.vm, KVM_CREATE_DEVICE, test), 0);
    EXPECT_EQ(entries(), 0u);
}

TEST_F(RecorderTest, AStatsFdReadsTheNewVm)
{
    int stats = guest.ioctl(guest.vm, KVM_GET_STATS_FD);
    int vcpu = guest.vcpu(0);
    int vcpu_stats = guest.ioctl(vcpu, KVM_GET_STATS_FD);
    uint64_t old = guest.kernel.file_at(stats);
    uint64_t old_vcpu = guest.kernel.file_at(vcpu_stats);
    reborn();

    EXPECT_NE(guest.kernel.file_at(stats), old);
    EXPECT_EQ(guest.kernel.describe(stats), "anon_inode:kvm-vm-stats");
    EXPECT_NE(guest.kernel.file_at(vcpu_stats), old_vcpu);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AStatsFdOutlivesItsVcpu)
{
    int vcpu = guest.vcpu(0);
    int stats = guest.ioctl(vcpu, KVM_GET_STATS_FD);
    EXPECT_EQ(guest.recorder.close(vcpu), 0);
    reborn();
    EXPECT_NE(guest.kernel.file_at(stats), 0u);
    EXPECT_EQ(guest.recorder.close(stats), 0);
    EXPECT_EQ(guest.kernel.vms(), 1u);
}

TEST_F(RecorderTest, AFileThatUserspaceClosesAtOnceIsHeld)
{
    int provision = guest.kernel.file("/dev/sgx_provision");
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_SGX_ATTRIBUTE, provision), 0);
    std::vector<IssuedIoctl> before = guest.ioctls(KVM_ENABLE_CAP);
    guest.kernel.close(provision);
    reborn();
    EXPECT_EQ(guest.ioctls(KVM_ENABLE_CAP), before);
}

TEST_F(RecorderTest, AFileThatCannotBeHeldBlocks)
{
    int provision = guest.kernel.file("/dev/sgx_provision");
    guest.kernel.fail(FakeKernel::Call::Dup, 1, EMFILE);
    EXPECT_EQ(guest.enable_cap(guest.vm, KVM_CAP_SGX_ATTRIBUTE, provision), 0);
    std::optional<std::string> why = guest.recorder.blocker();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("EMFILE"), std::string::npos) << *why;
}

} /* namespace */
