/*
 * KVM's devices, of which x86 has VFIO's: what holds the files of the devices
 * that were given to the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device itself needs no hardware.  That a real card's file moves from VM
 * to VM is seen by tests/functional/vfio_test.py.
 */

#include <cerrno>
#include <cstring>
#include <memory>

#include <gtest/gtest.h>

#include "kvm_guest.h"

using namespace kvm_reset;

namespace {

class VfioDeviceTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        SKIP_WITHOUT_KVM();
        kvm_create_device create = {};
        create.type = KVM_DEV_TYPE_VFIO;
        guest = std::make_unique<KvmGuest>();
        if (int ret = guest->ioctl(guest->vm, KVM_CREATE_DEVICE, &create)) {
            GTEST_SKIP() << "this KVM has no KVM_DEV_TYPE_VFIO: "
                         << strerror(-ret);
        }
        device = create.fd;
    }

    void TearDown() override
    {
        if (device >= 0) {
            guest->recorder.close(device);
        }
    }

    int ask(unsigned long request, uint64_t attr, int fd)
    {
        kvm_device_attr argument = {};
        argument.group = KVM_DEV_VFIO_FILE;
        argument.attr = attr;
        argument.addr = uintptr_t(&fd);
        return guest->ioctl(device, request, &argument);
    }

    std::unique_ptr<KvmGuest> guest;
    int device = -1;
};

TEST_F(VfioDeviceTest, ItAnswersInEachVm)
{
    for (int vm = 0; vm < 3; vm++) {
        EXPECT_EQ(ask(KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE_ADD, -1), 0);
        EXPECT_EQ(ask(KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE_DEL, -1), 0);
        EXPECT_EQ(ask(KVM_HAS_DEVICE_ATTR, 99, -1), -ENXIO);
        ASSERT_NO_FATAL_FAILURE(guest->reborn());
        /* A VM has one of them: so it is the new VM that has this one. */
        kvm_create_device another = {};
        another.type = KVM_DEV_TYPE_VFIO;
        EXPECT_EQ(guest->ioctl(guest->vm, KVM_CREATE_DEVICE, &another), -EBUSY);
    }
}

TEST_F(VfioDeviceTest, AFileThatItRefusesIsNotDefined)
{
    Doorbell no_vfio_file;
    size_t entries = guest->recorder.entries();
    for (int fd : {no_vfio_file.fd(), -1}) {
        EXPECT_LT(ask(KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_ADD, fd), 0);
        EXPECT_LT(ask(KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_DEL, fd), 0);
    }
    EXPECT_EQ(guest->recorder.entries(), entries);
    EXPECT_FALSE(guest->recorder.blocker());
    ASSERT_NO_FATAL_FAILURE(guest->reborn());
}

TEST_F(VfioDeviceTest, OneThatWasClosedIsNotCreatedAgain)
{
    guest->recorder.close(device);
    device = -1;
    size_t before = open_fds();
    ASSERT_NO_FATAL_FAILURE(guest->reborn());
    guest->generations.drain();
    EXPECT_EQ(open_fds(), before);
    kvm_create_device create = {};
    create.type = KVM_DEV_TYPE_VFIO;
    ASSERT_EQ(guest->ioctl(guest->vm, KVM_CREATE_DEVICE, &create), 0);
    device = create.fd;
}

} /* namespace */
