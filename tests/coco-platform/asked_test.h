/*
 * Tests of what the environment asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The platform reads its environment once.  So the tests of a setting are in a
 * suite whose name begins with Asked, and run in a process of their own:
 *
 *     TEST(Cost, Is…)
 *     {
 *         run_asked("AskedCost.*", {{"KVM_RESET_COCO_ES_ASIDS", "1"}});
 *     }
 */

#ifndef COCO_ASKED_TEST_H
#define COCO_ASKED_TEST_H

#include <cstdlib>
#include <map>
#include <string>

namespace coco_test {

using Settings = std::map<std::string, std::string>;

/** This program once more, with these variables and tests: all must pass, and
 *  there must be some. */
void run_asked(const std::string &filter, const Settings &settings);

/** At the start of a suite's tests: they mean nothing without the setting. */
#define NEEDS_SETTING(name)                                                    \
    do {                                                                       \
        if (!getenv(name)) {                                                   \
            GTEST_SKIP() << name << " is not set: run_asked() does that";      \
        }                                                                      \
    } while (0)

} // namespace coco_test

#endif
