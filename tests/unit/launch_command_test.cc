/*
 * The tables of launch commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "launch_commands.h"

using namespace kvm_reset;

namespace {

TEST(LaunchCommandTest, NumbersAreUniqueAndForeignOnesSayWhy)
{
    for (auto commands : {sev_commands(), tdx_commands()}) {
        std::set<std::pair<FdClass, uint32_t>> seen;
        for (const LaunchCommand &command : commands) {
            EXPECT_TRUE(seen.insert({command.on, command.id}).second)
                << command.name;
            EXPECT_TRUE(command.effect != LaunchEffect::Foreign || command.note)
                << command.name;
            for (const LaunchPointer &pointer : command.pointers) {
                EXPECT_LE(pointer.offset + (pointer.unit ? 8 : 0), command.size)
                    << command.name;
            }
        }
    }
    EXPECT_STREQ(x86_launch_command(4, FdClass::Vm, 100)->name,
                 "KVM_SEV_SNP_LAUNCH_START");
    EXPECT_STREQ(x86_launch_command(5, FdClass::Vcpu, 3)->name,
                 "KVM_TDX_INIT_MEM_REGION");
    EXPECT_EQ(x86_launch_command(5, FdClass::Vm, 3), nullptr);
    EXPECT_EQ(x86_launch_command(4, FdClass::Vm, 99), nullptr);
}

} /* namespace */
