/*
 * The C surface, where it needs no KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is one VM per process behind it, so these tests share it; the last
 * one blocks it.  tests/kvm does the rest on a real KVM.
 */

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "c_api.h"
#include "kvm_abi.h"
#include "standalone_error.h"
#include "sysemu/kvm-reset.h"

using namespace kvm_reset::abi;

namespace {

std::string take(char *text)
{
    std::string copy = text ? text : "";
    free(text);
    return copy;
}

/* @err's sentence; it is freed. */
std::string take(Error *err)
{
    return err ? take(kvm_reset_error_take(err)) : "";
}

struct Counter {
    std::vector<KvmResetPhase> ran, undone;
    bool fails = false;
    const char *why = nullptr;

    static bool run(void *opaque, KvmResetPhase phase, Error **errp)
    {
        auto self = static_cast<Counter *>(opaque);
        self->ran.push_back(phase);
        if (self->fails && self->why) {
            kvm_reset_error_set(errp, self->why, nullptr);
        }
        return !self->fails;
    }

    static void undo(void *opaque, KvmResetPhase phase)
    {
        static_cast<Counter *>(opaque)->undone.push_back(phase);
    }

    KvmResetHook hook(const char *name, unsigned phases)
    {
        return {.name = name,
                .after = nullptr,
                .phases = phases,
                .run = run,
                .undo = undo,
                .opaque = this,
                .preserves = false};
    }
};

constexpr unsigned before_run = 1u << KVM_RESET_PHASE_BEFORE_RUN;

/* Removes a hook at the end, so that tests do not see one another's. */
class Added {
public:
    /* Owned by itself, if by nobody else. */
    explicit Added(KvmResetHook hook, const void *owner = nullptr,
                   const char *owner_name = nullptr)
        : owner_(owner ? owner : this)
    {
        Error *err = nullptr;
        done = kvm_reset_add_hook(owner_, owner_name, &hook, &err);
        hint = err ? err->hint : "";
        why = take(err);
        EXPECT_EQ(done, why.empty());
    }
    ~Added()
    {
        if (done) {
            EXPECT_TRUE(kvm_reset_remove_hooks(owner_));
        }
    }
    bool done;
    std::string why, hint;

private:
    const void *owner_;
};

TEST(CApiTest, AnIoctlReturnsAndSetsErrnoAsIoctlDoes)
{
    uint8_t arg[64] = {};
    for (unsigned long request : {KVM_RUN, KVM_IRQFD}) {
        errno = 0;
        EXPECT_EQ(kvm_reset_ioctl(-1, request, arg), -1);
        EXPECT_EQ(errno, EBADF);
        int fd = eventfd(0, 0);
        errno = 0;
        EXPECT_EQ(kvm_reset_ioctl(fd, request, arg), -1);
        EXPECT_EQ(errno, ENOTTY);
        close(fd);
    }
}

TEST(CApiTest, MmapMunmapAndCloseFailAsTheSystemCallsDo)
{
    errno = 0;
    EXPECT_EQ(kvm_reset_mmap(nullptr, 4096, PROT_READ, MAP_SHARED, -1, 0),
              MAP_FAILED);
    EXPECT_EQ(errno, EBADF);
    errno = 0;
    EXPECT_EQ(kvm_reset_munmap(reinterpret_cast<void *>(1), 4096), -1);
    EXPECT_EQ(errno, EINVAL);
    errno = 0;
    EXPECT_EQ(kvm_reset_close(-1), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(CApiTest, MmapMunmapAndCloseWorkOnAnyFile)
{
    int fd = memfd_create("test", 0);
    ASSERT_EQ(ftruncate(fd, 4096), 0);
    void *at = kvm_reset_mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                              fd, 0);
    ASSERT_NE(at, MAP_FAILED);
    strcpy(static_cast<char *>(at), "here");
    EXPECT_EQ(kvm_reset_munmap(at, 4096), 0);
    EXPECT_EQ(kvm_reset_close(fd), 0);
    EXPECT_EQ(fcntl(fd, F_GETFD), -1);
}

TEST(CApiTest, WithoutAVmThereIsNothingToRestart)
{
    Error *err = nullptr;
    bool waits;
    EXPECT_FALSE(kvm_reset_rebirth(&waits, &err));
    EXPECT_EQ(take(err), "no VM was recorded: No such device (ENODEV)");
    EXPECT_FALSE(kvm_reset_rebirth(&waits, nullptr));

    KvmResetStatus status;
    char *why_not, *last_error;
    kvm_reset_status(&status, &why_not, &last_error, nullptr);
    EXPECT_FALSE(status.restartable);
    EXPECT_EQ(status.generation, 0u);
    EXPECT_GE(status.aborted, 2u);
    EXPECT_EQ(status.entries, 0u);
    EXPECT_EQ(take(why_not), "no VM was recorded");
    EXPECT_NE(take(last_error).find("no VM was recorded"), std::string::npos);
    kvm_reset_status(&status, nullptr, nullptr, nullptr);
    kvm_reset_drain();
}

TEST(CApiTest, AHookIsAddedOnceAndRunsOnceInItsPhase)
{
    Counter counter;
    KvmResetHook hook = counter.hook("once", before_run);
    Added first(hook, &counter), second(hook, &counter);
    EXPECT_STREQ(kvm_reset_hook_name(0), "once");
    EXPECT_EQ(kvm_reset_hook_name(1), nullptr);
    EXPECT_TRUE(first.done);
    EXPECT_FALSE(second.done);
    EXPECT_NE(second.why.find("hook 'once' is registered already"),
              std::string::npos);
    EXPECT_NE(second.why.find("(EEXIST)"), std::string::npos);
    EXPECT_NE(second.hint.find("another name or owner"), std::string::npos);

    EXPECT_TRUE(kvm_reset_before_run(nullptr));
    EXPECT_EQ(counter.ran,
              std::vector<KvmResetPhase>{KVM_RESET_PHASE_BEFORE_RUN});
    EXPECT_TRUE(counter.undone.empty());
}

TEST(CApiTest, AnIncompleteHookIsRefused)
{
    Counter counter;
    KvmResetHook idle = counter.hook("a", before_run);
    idle.run = nullptr;
    KvmResetHook nameless = counter.hook(nullptr, before_run);
    for (KvmResetHook hook :
         {counter.hook("", before_run), counter.hook("a", 0), idle, nameless}) {
        Added added(hook);
        EXPECT_FALSE(added.done);
        EXPECT_NE(added.why.find("(EINVAL)"), std::string::npos);
        EXPECT_NE(added.hint, "");
    }
    EXPECT_FALSE(kvm_reset_add_hook(nullptr, nullptr, &idle, nullptr));
    EXPECT_EQ(kvm_reset_hook_name(0), nullptr);
}

TEST(CApiTest, AHookIsNamedForItsOwnerAndGoesWithIt)
{
    Counter counter, here, there;
    KvmResetHook hook = counter.hook("card", before_run);
    Added other(counter.hook("other", before_run));
    {
        Added first(hook, &here, "/here"), second(hook, &there, "/there");
        EXPECT_TRUE(first.done && second.done);
        EXPECT_STREQ(kvm_reset_hook_name(1), "card (/here)");
        EXPECT_STREQ(kvm_reset_hook_name(2), "card (/there)");
        counter.fails = true;
        Error *err = nullptr;
        EXPECT_FALSE(kvm_reset_before_run(&err));
        EXPECT_NE(take(err).find("hook 'other' failed"), std::string::npos);
        counter.fails = false;
    }
    EXPECT_FALSE(kvm_reset_remove_hooks(&here));
    EXPECT_STREQ(kvm_reset_hook_name(0), "other");
    EXPECT_EQ(kvm_reset_hook_name(1), nullptr);
}

TEST(CApiTest, AHookThatWaitsForItselfIsRefused)
{
    Counter counter;
    const char *after_b[] = {"b", nullptr}, *after_a[] = {"a", nullptr};
    KvmResetHook a = counter.hook("a", before_run);
    KvmResetHook b = counter.hook("b", before_run);
    a.after = after_b;
    b.after = after_a;
    Added first(a), second(b);
    EXPECT_TRUE(first.done);
    EXPECT_FALSE(second.done);
    EXPECT_NE(second.why.find("(ELOOP)"), std::string::npos);
    EXPECT_NE(second.hint.find("`after`"), std::string::npos);
}

TEST(CApiTest, AHooksWordsReachTheCaller)
{
    Counter good, bad;
    bad.fails = true;
    bad.why = "not today";
    Added first(good.hook("good", before_run));
    Added second(bad.hook("bad", before_run));
    Error *err = nullptr;
    EXPECT_FALSE(kvm_reset_before_run(&err));
    EXPECT_EQ(take(err), "hook 'bad' failed in phase before-run: not today");
    EXPECT_EQ(good.undone,
              std::vector<KvmResetPhase>{KVM_RESET_PHASE_BEFORE_RUN});

    bad.why = nullptr;
    err = nullptr;
    EXPECT_FALSE(kvm_reset_before_run(&err));
    EXPECT_NE(take(err).find("no reason given"), std::string::npos);
    EXPECT_FALSE(kvm_reset_before_run(nullptr));
}

TEST(CApiTest, TheTableOfQuietRequestsHoldsNoneThatRecords)
{
    EXPECT_EQ(kvm_reset_passthrough[0x80], KVM_RUN);
    for (uint32_t request :
         {KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION,
          KVM_SET_USER_MEMORY_REGION2, KVM_IRQFD, KVM_IOEVENTFD,
          KVM_SET_GSI_ROUTING, KVM_SET_CPUID2, KVM_SET_MSRS, KVM_ENABLE_CAP,
          KVM_SET_TSC_KHZ, KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR,
          KVM_SET_SIGNAL_MASK}) {
        EXPECT_NE(kvm_reset_passthrough[request & 0xff], request);
    }
}

TEST(CApiTest, WhatAnotherPartOfTheProgramBlocksStaysBlocked)
{
    kvm_reset_block("a reason of its own");
    KvmResetStatus status;
    char *why_not = nullptr;
    kvm_reset_status(&status, &why_not, nullptr, nullptr);
    EXPECT_FALSE(status.restartable);
    EXPECT_EQ(take(why_not), "a reason of its own");
    Error *err = nullptr;
    bool waits;
    EXPECT_FALSE(kvm_reset_rebirth(&waits, &err));
    std::string why = take(err);
    EXPECT_NE(why.find("a reason of its own"), std::string::npos);
    EXPECT_NE(why.find("(EOPNOTSUPP)"), std::string::npos) << why;
}

} /* namespace */
