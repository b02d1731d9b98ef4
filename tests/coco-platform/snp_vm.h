/*
 * A SNP guest driven by ioctls, for the tests of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_SNP_VM_H
#define COCO_SNP_VM_H

#include "test_kvm.h"

namespace coco_test {

constexpr uint64_t kPolicy = 0x30000;
constexpr uint64_t kGpa = 0x100000;

/* A SNP guest with a slot of private memory, as far as LAUNCH_START. */
class SnpVm : public TestVm {
public:
    explicit SnpVm(size_t page_count = 4)
        : TestVm(KVM_X86_SNP_VM), pages(page_count)
    {
        kvm_sev_init init = {};
        good = op(KVM_SEV_INIT2, &init) == 0;
        gmem = make_gmem(pages.size());
        good = good && gmem.get() >= 0 &&
               add_private_slot(0, kGpa, pages, gmem) == 0 &&
               set_private(kGpa, pages.size()) == 0;
    }

    int start(uint64_t policy = kPolicy)
    {
        kvm_sev_snp_launch_start launch = {};
        launch.policy = policy;
        return op(KVM_SEV_SNP_LAUNCH_START, &launch);
    }

    /* Fills pages from the same offset of the test's memory. */
    int update(uint8_t type, size_t offset, size_t size = kPage)
    {
        left = {};
        left.gfn_start = (kGpa + offset) / kPage;
        left.uaddr = pages.address(offset);
        left.len = size;
        left.type = type;
        return op(KVM_SEV_SNP_LAUNCH_UPDATE, &left);
    }

    int finish()
    {
        kvm_sev_snp_launch_finish launch = {};
        return op(KVM_SEV_SNP_LAUNCH_FINISH, &launch);
    }

    Pages pages;
    Fd gmem;
    kvm_sev_snp_launch_update left = {};
    bool good = false;
};

#define EXPECT_FIRMWARE(error, what)                                           \
    do {                                                                       \
        EXPECT_EQ(-EIO, what);                                                 \
        EXPECT_EQ(uint32_t(error), vm.fw_error);                               \
    } while (0)

} // namespace coco_test

#endif
