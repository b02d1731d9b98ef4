/*
 * A guest whose recorder is looked at
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_RECORDER_GUEST_H
#define TESTS_UNIT_RECORDER_GUEST_H

#include <gtest/gtest.h>

#include "guest.h"

class RecorderTest : public ::testing::Test {
protected:
    Guest guest;

    void reborn()
    {
        kvm_reset::Result<kvm_reset::Durations> done = guest.reset();
        ASSERT_TRUE(done) << done.error().what;
        guest.generations.drain();
    }

    /* How many entries the journal has beyond the VM itself. */
    size_t entries() { return guest.recorder.entries() - 1; }
};

#endif
