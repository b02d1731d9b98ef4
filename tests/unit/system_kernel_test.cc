/*
 * The real kernel behind the seam, where it needs no KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "kernel.h"

using namespace kvm_reset;

namespace {

class SystemKernelTest : public ::testing::Test {
protected:
    std::unique_ptr<Kernel> kernel = make_system_kernel("/dev/kvm");

    static int new_eventfd() { return eventfd(0, EFD_CLOEXEC); }

    /* A watched eventfd whose number is then taken by @other. */
    void adopt(int other)
    {
        int fd = new_eventfd();
        ASSERT_EQ(kernel->watch(fd), 0);
        ASSERT_EQ(dup2(other, fd), fd);
        EXPECT_FALSE(kernel->watched(fd));
        close(fd);
        close(other);
    }
};

TEST_F(SystemKernelTest, AnEventfdIsWatchedOnceUnderItsNumber)
{
    int fd = new_eventfd();
    EXPECT_FALSE(kernel->watched(fd));
    EXPECT_EQ(kernel->watch(fd), 0);
    EXPECT_EQ(kernel->watch(fd), -EEXIST);
    EXPECT_TRUE(kernel->watched(fd));
    int other = dup(fd);
    EXPECT_FALSE(kernel->watched(other));
    close(other);
    close(fd);
}

TEST_F(SystemKernelTest, AClosedFileIsWatchedNoMore)
{
    int fd = new_eventfd();
    kernel->watch(fd);
    close(fd);
    EXPECT_FALSE(kernel->watched(fd));
    EXPECT_EQ(kernel->watch(fd), -EBADF);
}

TEST_F(SystemKernelTest, AnotherEventfdUnderTheNumberIsNotTheSame)
{
    adopt(new_eventfd());
}

TEST_F(SystemKernelTest, AFileThatCannotBePolledUnderTheNumberIsNotTheSame)
{
    adopt(memfd_create("test", MFD_CLOEXEC));
}

TEST_F(SystemKernelTest, AWatchHoldsNoReference)
{
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    EXPECT_EQ(kernel->watch(ends[1]), 0);
    close(ends[1]);
    char byte;
    EXPECT_EQ(read(ends[0], &byte, 1), 0) << "not the end of the file";
    close(ends[0]);
}

TEST_F(SystemKernelTest, ADuplicateIsClosedOnExec)
{
    int fd = new_eventfd();
    int copy = kernel->dup(fd);
    ASSERT_GE(copy, 0);
    EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(kernel->dup_onto(fd, copy), copy);
    EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(kernel->describe(copy), "anon_inode:[eventfd]");
    EXPECT_EQ(kernel->close(copy), 0);
    EXPECT_EQ(kernel->close(copy), -EBADF);
    EXPECT_EQ(kernel->describe(copy), "");
    EXPECT_EQ(kernel->close(fd), 0);
}

TEST_F(SystemKernelTest, ADeviceThatIsNotThereIsAnErrno)
{
    EXPECT_EQ(make_system_kernel("/nowhere/kvm")->open_kvm(), -ENOENT);
}

} /* namespace */
