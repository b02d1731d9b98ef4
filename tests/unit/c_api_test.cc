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

#include "kvm_abi.h"
#include "sysemu/kvm-reset.h"

namespace {

std::string take(char *text)
{
    std::string copy = text ? text : "";
    free(text);
    return copy;
}

struct Counter {
    std::vector<KvmResetPhase> ran, undone;
    int fails = 0;
    const char *why = nullptr;

    static int run(void *opaque, KvmResetPhase phase, char **why)
    {
        auto self = static_cast<Counter *>(opaque);
        self->ran.push_back(phase);
        if (self->fails && self->why) {
            *why = strdup(self->why);
        }
        return self->fails;
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
    explicit Added(KvmResetHook hook) : name_(hook.name)
    {
        code = kvm_reset_add_hook(&hook, &why);
    }
    ~Added()
    {
        free(why);
        if (!code) {
            EXPECT_TRUE(kvm_reset_remove_hook(name_.c_str()));
        }
    }
    int code;
    char *why = nullptr;

private:
    std::string name_;
};

TEST(CApiTest, AnIoctlReturnsAndSetsErrnoAsIoctlDoes)
{
    uint8_t arg[64] = {};
    for (unsigned long request : {uapi::run, uapi::irqfd}) {
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
    char *why = nullptr;
    EXPECT_EQ(kvm_reset_rebirth(&why), ENODEV);
    EXPECT_NE(take(why).find("no VM was recorded"), std::string::npos);
    EXPECT_EQ(kvm_reset_rebirth(nullptr), ENODEV);

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
    Added first(hook), second(hook);
    EXPECT_STREQ(kvm_reset_hook_name(0), "once");
    EXPECT_EQ(kvm_reset_hook_name(1), nullptr);
    EXPECT_EQ(first.code, 0);
    EXPECT_EQ(second.code, EEXIST);
    EXPECT_NE(std::string(second.why).find("once"), std::string::npos);

    EXPECT_EQ(kvm_reset_before_run(nullptr), 0);
    EXPECT_EQ(counter.ran,
              std::vector<KvmResetPhase>{KVM_RESET_PHASE_BEFORE_RUN});
    EXPECT_TRUE(counter.undone.empty());
}

TEST(CApiTest, AnIncompleteHookIsRefused)
{
    Counter counter;
    EXPECT_EQ(Added(counter.hook("", before_run)).code, EINVAL);
    EXPECT_EQ(Added(counter.hook("a", 0)).code, EINVAL);
    KvmResetHook hook = counter.hook("a", before_run);
    hook.run = nullptr;
    EXPECT_EQ(kvm_reset_add_hook(&hook, nullptr), EINVAL);
    hook.name = nullptr;
    EXPECT_EQ(kvm_reset_add_hook(&hook, nullptr), EINVAL);
    EXPECT_FALSE(kvm_reset_remove_hook("a"));
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
    EXPECT_EQ(first.code, 0);
    EXPECT_EQ(second.code, ELOOP);
}

TEST(CApiTest, AHooksNumberAndWordsReachTheCaller)
{
    Counter good, bad;
    bad.fails = EPERM;
    bad.why = "not today";
    Added first(good.hook("good", before_run));
    Added second(bad.hook("bad", before_run));
    char *why = nullptr;
    EXPECT_EQ(kvm_reset_before_run(&why), EPERM);
    std::string words = take(why);
    EXPECT_NE(words.find("'bad'"), std::string::npos) << words;
    EXPECT_NE(words.find("not today"), std::string::npos) << words;
    EXPECT_EQ(good.undone,
              std::vector<KvmResetPhase>{KVM_RESET_PHASE_BEFORE_RUN});

    bad.why = nullptr;
    EXPECT_EQ(kvm_reset_before_run(&why), EPERM);
    EXPECT_NE(take(why).find("no reason given"), std::string::npos);
}

TEST(CApiTest, TheTableOfQuietRequestsHoldsNoneThatRecords)
{
    EXPECT_EQ(kvm_reset_passthrough[0x80], uapi::run);
    for (uint32_t request :
         {uapi::create_vm, uapi::create_vcpu, uapi::set_user_memory_region,
          uapi::set_user_memory_region2, uapi::irqfd, uapi::ioeventfd,
          uapi::set_gsi_routing, uapi::set_cpuid2, uapi::set_msrs,
          uapi::enable_cap, uapi::set_tsc_khz, uapi::create_device,
          uapi::set_device_attr, uapi::set_signal_mask}) {
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
    char *why = nullptr;
    EXPECT_EQ(kvm_reset_rebirth(&why), ENOTSUP);
    EXPECT_NE(take(why).find("a reason of its own"), std::string::npos);
}

} /* namespace */
