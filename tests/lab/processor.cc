/*
 * A secure processor to be driven
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "processor.h"

namespace lab {

Processor::Processor(const char *faults, const char *delays)
{
    PspHost calls = host.interface();
    PspConfig config = {most_asids, most_es_asids, true, {1}, faults, delays};
    char *error = nullptr;
    psp_ = psp_new(&calls, &config, &error);
    EXPECT_TRUE(psp_) << error;
}

PspStatus Processor::command(uint32_t number, uint64_t address)
{
    return psp_command(psp_, number, address, &microseconds);
}

void Processor::init()
{
    ASSERT_EQ(command(Init, SevInit{SEV_INIT_ES, 0, tmr_at, SEV_TMR_SIZE}),
              PSP_SUCCESS);
    ASSERT_EQ(command(DfFlush), PSP_SUCCESS);
}

uint32_t Processor::start_inactive(uint32_t policy)
{
    SevLaunchStart start = {};
    start.policy = policy;
    EXPECT_EQ(command(LaunchStart, start), PSP_SUCCESS);
    return start.handle;
}

uint32_t Processor::start(uint32_t policy, uint32_t asid)
{
    uint32_t handle = start_inactive(policy);
    EXPECT_EQ(command(Activate, SevActivate{handle, asid}), PSP_SUCCESS);
    return handle;
}

SevMeasurement Processor::measure(uint32_t handle)
{
    EXPECT_EQ(command(LaunchMeasure, SevGuestBuffer{handle, 0, buffer_at, 48}),
              PSP_SUCCESS);
    return host.get_as<SevMeasurement>(buffer_at);
}

void Processor::finish(uint32_t handle)
{
    measure(handle);
    EXPECT_EQ(command(LaunchFinish, SevHandle{handle}), PSP_SUCCESS);
}

void Processor::snp_init()
{
    ASSERT_EQ(command(SnpInitialize), PSP_SUCCESS);
    ASSERT_EQ(command(SnpFlush), PSP_SUCCESS);
}

void Processor::make_firmware(uint64_t spa)
{
    host.rmp(spa) = {};
    host.rmp(spa).assigned = host.rmp(spa).immutable = true;
}

void Processor::make_private(uint64_t spa, uint64_t gpa, uint32_t asid)
{
    make_firmware(spa);
    host.rmp(spa).gpa = gpa;
    host.rmp(spa).asid = asid;
}

void Processor::snp_context(uint64_t gctx)
{
    make_firmware(gctx);
    ASSERT_EQ(command(SnpGctxCreate, SnpAddress{gctx}), PSP_SUCCESS);
}

void Processor::snp_start(uint64_t policy, uint32_t asid)
{
    SnpLaunchStart start = {};
    snp_context();
    start.gctx = gctx_at;
    start.policy = policy;
    ASSERT_EQ(command(SnpStart, start), PSP_SUCCESS);
    ASSERT_EQ(command(SnpActivate_, SnpActivate{gctx_at, asid}), PSP_SUCCESS);
}

PspStatus Processor::snp_update(SnpPageType type, uint64_t spa, uint64_t gpa)
{
    SnpLaunchUpdate update = {};
    make_private(spa, gpa);
    update.gctx = gctx_at;
    update.what = static_cast<uint32_t>(type) << 1;
    update.address = spa;
    return command(SnpUpdate, update);
}

PspStatus Processor::snp_finish()
{
    SnpLaunchFinish finish = {};
    finish.gctx = gctx_at;
    return command(SnpFinish, finish);
}

} // namespace lab
