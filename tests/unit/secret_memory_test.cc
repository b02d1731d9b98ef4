/*
 * Memory for what nobody else may read
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cstring>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "error.h"
#include "secret_memory.h"

using namespace kvm_reset;

namespace {

TEST(SecretMemoryTest, IsInNoCoreDump)
{
    SecretMemory memory = SecretMemory::make(10000);
    ASSERT_TRUE(memory);
    std::string wanted = format("%lx-", (unsigned long)memory.data());
    std::ifstream maps("/proc/self/smaps");
    std::string line;
    bool inside = false, found = false;
    while (std::getline(maps, line)) {
        if (line.starts_with(wanted)) {
            inside = true;
        } else if (inside && line.starts_with("VmFlags:")) {
            EXPECT_TRUE(line.contains(" dd")) << line;
            EXPECT_TRUE(line.contains(" dc")) << line;
            found = true;
            break;
        }
    }
    EXPECT_TRUE(found);
}

TEST(SecretMemoryTest, IsWipedWhereItIsCutOff)
{
    SecretMemory memory = SecretMemory::make(3000);
    memset(memory.data(), 0xaa, 3000);
    const volatile uint8_t *rest = memory.data() + 1000;
    memory.shorten(1000);
    EXPECT_EQ(memory.size(), 1000u);
    EXPECT_EQ(memory.bytes()[999], 0xaa);
    EXPECT_EQ(rest[0], 0);
    EXPECT_EQ(rest[1999], 0);
}

} /* namespace */
