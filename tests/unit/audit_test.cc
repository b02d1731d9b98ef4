/*
 * The recorder of scripts/audit, without a KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <sys/eventfd.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "../audit/interest.h"
#include "../audit/json.h"
#include "../audit/recorder.h"
#include "catalogue.h"
#include "kvm_abi.h"

namespace {

using audit::Interest;
using audit::interest;
using audit::Object;
using audit::ObjectPtr;
using audit::Objects;
using kvm_reset::Effect;
using kvm_reset::FdClass;
using namespace kvm_reset::abi;

const Object device{0, FdClass::System, "kvm"};

/* What nobody would take for a question by its name is written down. */
TEST(AuditInterest, WhatDefinesAVmIsRecorded)
{
    for (const kvm_reset::Row &row : kvm_reset::catalogue()) {
        bool defines = row.effect == Effect::Define ||
                       row.effect == Effect::Add ||
                       row.effect == Effect::Remove ||
                       row.effect == Effect::Launch;
        if (defines) {
            EXPECT_EQ(interest(row.name), Interest::Record) << row.name;
        }
        if (row.effect == Effect::Query || row.effect == Effect::Run) {
            EXPECT_EQ(interest(row.name), Interest::Count) << row.name;
        }
    }
}

TEST(AuditInterest, AnIoctlThatNobodyKnowsIsRecorded)
{
    EXPECT_EQ(interest(""), Interest::Record);
}

TEST(AuditObjects, TheSameThingOfTwoVmsHasTheSameLabel)
{
    Objects objects;
    for (int vm : {1, 2}) {
        ObjectPtr made = objects.created(device, FdClass::Vm, "", 100 * vm);
        EXPECT_EQ(made->vm, unsigned(vm));
        EXPECT_EQ(made->label, "vm");
        auto child = [&](FdClass kind, const char *which, int fd) {
            return objects.created(*made, kind, which, 100 * vm + fd)->label;
        };
        EXPECT_EQ(child(FdClass::Vcpu, "3", 1), "vcpu 3");
        EXPECT_EQ(child(FdClass::Device, "4", 2), "device 4 0");
        EXPECT_EQ(child(FdClass::Device, "4", 3), "device 4 1");
        EXPECT_EQ(child(FdClass::Device, "7", 4), "device 7 0");
    }
}

TEST(AuditObjects, AReplacedNumberIsAnotherVm)
{
    Objects objects;
    objects.created(device, FdClass::Vm, "", 100);
    objects.created(device, FdClass::Vm, "", 200);

    objects.duplicated(100, 300);
    objects.duplicated(200, 100);
    EXPECT_EQ(objects.find(100)->vm, 2u);
    EXPECT_EQ(objects.find(300)->vm, 1u);
    objects.closed(300);
    EXPECT_EQ(objects.find(300), nullptr);
    ASSERT_EQ(objects.of(2).size(), 1u);
    EXPECT_EQ(objects.of(1).size(), 0u);
}

TEST(AuditObjects, ANumberThatBecameAnotherFileIsNoVm)
{
    Objects objects;
    int file = eventfd(0, EFD_CLOEXEC);
    objects.created(device, FdClass::Vm, "", 100);
    objects.duplicated(file, 100);
    EXPECT_EQ(objects.find(100), nullptr);
    close(file);
}

TEST(AuditObjects, AnEventfdIsKnownByItsFileAndNotItsNumber)
{
    Objects objects;
    int one = eventfd(0, EFD_CLOEXEC);
    int other = eventfd(0, EFD_CLOEXEC);
    int same = dup(one);

    EXPECT_EQ(audit::file_identity(objects, one),
              audit::file_identity(objects, same));
    EXPECT_NE(audit::file_identity(objects, one),
              audit::file_identity(objects, other));
    EXPECT_TRUE(audit::file_identity(objects, one).starts_with("eventfd "));
    close(one);
    close(other);
    close(same);
    EXPECT_EQ(audit::file_identity(objects, same), "closed");
}

TEST(AuditJson, WhatWouldEndAStringIsQuoted)
{
    EXPECT_EQ(audit::Json::quote("a\"b\\c\nd"), "\"a\\\"b\\\\c?d\"");
    EXPECT_EQ(audit::Json("x").number("n", -3).str(),
              "{\"kind\": \"x\", \"n\": -3}");
}

/* One call through the recorder; the lines that it wrote. */
class AuditRecorder : public testing::Test {
protected:
    static void SetUpTestSuite()
    {
        path() = testing::TempDir() + "audit-record." +
                 std::to_string(getpid());
        setenv("KVM_AUDIT_RECORD", path().c_str(), 1);
        ASSERT_TRUE(audit::open_record());
    }
    static void TearDownTestSuite() { unlink(path().c_str()); }

    static std::string &path()
    {
        static std::string name;
        return name;
    }

    std::string record(uint32_t request, const void *arg, int result)
    {
        EXPECT_EQ(truncate(path().c_str(), 0), 0);
        auto vm = std::make_shared<const Object>(Object{7, FdClass::Vm, "vm"});
        audit::Call call = recorder.begin(vm, request,
                                          reinterpret_cast<uintptr_t>(arg));
        recorder.end(call, result, result < 0 ? EINVAL : 0);
        std::stringstream text;
        text << std::ifstream(path()).rdbuf();
        return text.str();
    }

    audit::Recorder recorder;
};

TEST_F(AuditRecorder, ACallIsWrittenWithItsKeyAndItsArgument)
{
    kvm_userspace_memory_region slot{.slot = 5,
                                     .guest_phys_addr = 0x100000,
                                     .memory_size = 0x2000,
                                     .userspace_addr = 0x7f0000000000};
    std::string line = record(KVM_SET_USER_MEMORY_REGION, &slot, 0);

    EXPECT_NE(line.find("\"name\": \"KVM_SET_USER_MEMORY_REGION\""),
              std::string::npos);
    EXPECT_NE(line.find("\"vm\": 7"), std::string::npos);
    EXPECT_NE(line.find("\"key\": [5]"), std::string::npos);
    EXPECT_NE(line.find("\"bytes\": \"0500000000000000"), std::string::npos);
    EXPECT_NE(line.find("\"takes\": \"\""), std::string::npos);
}

TEST_F(AuditRecorder, ACallThatTakesAwaySaysSo)
{
    kvm_userspace_memory_region slot{.slot = 5, .guest_phys_addr = 0x100000};
    EXPECT_NE(
        record(KVM_SET_USER_MEMORY_REGION, &slot, 0).find("\"takes\": \"key\""),
        std::string::npos);
}

TEST_F(AuditRecorder, ACallThatFailedHasItsError)
{
    kvm_userspace_memory_region slot{
        .slot = 5, .guest_phys_addr = 0x100000, .memory_size = 0x2000};
    EXPECT_NE(record(KVM_SET_USER_MEMORY_REGION, &slot, -1)
                  .find("\"error\": " + std::to_string(EINVAL)),
              std::string::npos);
}

TEST_F(AuditRecorder, AnIoctlThatNobodyKnowsIsWrittenByItsSize)
{
    uint64_t data = 0x1122334455667788;
    std::string line = record(iow<uint64_t>(0xfe), &data, 0);
    EXPECT_NE(line.find("\"name\": \"\""), std::string::npos);
    EXPECT_NE(line.find("\"bytes\": \"8877665544332211\""), std::string::npos);
}

TEST_F(AuditRecorder, AQuestionIsNotWritten)
{
    EXPECT_EQ(record(KVM_CHECK_EXTENSION, nullptr, 1), "");
}

} /* namespace */
