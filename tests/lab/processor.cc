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

} // namespace lab
