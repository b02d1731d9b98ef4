/*
 * A secure processor to be driven, with a short way to say each command
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LAB_PROCESSOR_H
#define LAB_PROCESSOR_H

#include <gtest/gtest.h>

#include "fake_host.h"

extern "C" {
#include "psp.h"
}

namespace lab {

constexpr uint32_t es_asid = 1, sev_asid = 9;
constexpr uint32_t most_es_asids = 8, most_asids = 16;

/* Where things lie in the fake's RAM. */
constexpr uint64_t argument_at = 0x1000, buffer_at = 0x10000,
                   other_at = 0x20000, third_at = 0x30000, guest_at = 0x40000,
                   gctx_at = 0x50000, tmr_at = 0x400000, ram_size = 0x1000000;

/* Beside the bits that must be: debugging is allowed. */
constexpr uint64_t snp_policy = SNP_POLICY_ONE | SNP_POLICY_SMT |
                                SNP_POLICY_DEBUG;

enum Number : uint32_t {
    Init = 0x01,
    Shutdown = 0x02,
    FactoryReset = 0x03,
    PlatformStatus = 0x04,
    PekGen = 0x05,
    PekCsr = 0x06,
    PekCertImport = 0x07,
    PdhCertExport = 0x08,
    PdhGen = 0x09,
    DfFlush = 0x0a,
    GetId = 0x0c,
    InitEx = 0x0d,
    Decommission = 0x20,
    Activate = 0x21,
    Deactivate = 0x22,
    GuestStatus = 0x23,
    Copy = 0x24,
    LaunchStart = 0x30,
    LaunchUpdateData = 0x31,
    LaunchUpdateVmsa = 0x32,
    LaunchMeasure = 0x33,
    LaunchUpdateSecret = 0x34,
    LaunchFinish = 0x35,
    Attestation = 0x36,
    DbgDecrypt = 0x60,
    DbgEncrypt = 0x61,
    SnpInitialize = 0x81,
    SnpGetPlatformStatus = 0x83,
    SnpFlush = 0x84,
    SnpInitializeEx = 0x85,
    SnpShutdownEx_ = 0x86,
    SnpDecommission = 0x90,
    SnpActivate_ = 0x91,
    SnpGetGuestStatus = 0x92,
    SnpGctxCreate = 0x93,
    SnpRequest = 0x94,
    SnpStart = 0xa0,
    SnpUpdate = 0xa1,
    SnpFinish = 0xa2,
    SnpDbgDecrypt = 0xb0,
    SnpDbgEncrypt = 0xb1,
    SnpSetState = 0xc6,
    SnpReclaim = 0xc7,
    SnpConfigure = 0xc9,
    SnpCommit_ = 0xcb,
    SnpFeatures = 0xce,
};

class Processor {
public:
    explicit Processor(const char *faults = nullptr,
                       const char *delays = nullptr);
    ~Processor() { psp_free(psp_); }
    Processor(const Processor &) = delete;
    Processor &operator=(const Processor &) = delete;

    /* The argument is written back to what is given, as Linux does. */
    template <class T> PspStatus command(uint32_t number, T &argument)
    {
        host.put_as(argument_at, argument);
        PspStatus status = command(number);
        argument = host.get_as<T>(argument_at);
        return status;
    }
    template <class T> PspStatus command(uint32_t number, T &&argument)
    {
        T copy = argument;
        return command<T>(number, copy);
    }
    PspStatus command(uint32_t number, uint64_t address = argument_at);

    /* INIT (with SEV-ES) and DF_FLUSH */
    void init();
    /* A guest with its ASID, at the start of its launch; its handle. */
    uint32_t start(uint32_t policy, uint32_t asid);
    uint32_t start_inactive(uint32_t policy);
    SevMeasurement measure(uint32_t handle);
    /* From there until it runs. */
    void finish(uint32_t handle);

    /* SNP_INIT and SNP_DF_FLUSH */
    void snp_init();
    /* What the host does with RMPUPDATE. */
    void make_firmware(uint64_t spa);
    void make_private(uint64_t spa, uint64_t gpa, uint32_t asid = es_asid);
    /* A context; and, of one, a guest with its ASID whose launch began. */
    void snp_context(uint64_t gctx = gctx_at);
    void snp_start(uint64_t policy = snp_policy, uint32_t asid = es_asid);
    /* Of type T what is at SPA, for the guest at GPA. */
    PspStatus snp_update(SnpPageType type, uint64_t spa, uint64_t gpa);
    PspStatus snp_finish();

    FakeHost host{ram_size};
    uint64_t microseconds = 0;

private:
    Psp *psp_;
};

} // namespace lab

#endif
