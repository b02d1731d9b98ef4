/*
 * Tests of the platform: they mean nothing without it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "test_kvm.h"

#include <cstdio>

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    if (!coco_test::platform_is_there()) {
        fprintf(stderr,
                "error: no /dev/kvm, or libcoco-platform.so is not preloaded; "
                "see tests/coco-platform/README.md\n");
        return 1;
    }
    return RUN_ALL_TESTS();
}
