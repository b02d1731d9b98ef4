/*
 * The launch of SEV-SNP guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM's part as in Linux 6.12 and 7.3 (snp_launch_*, kvm_gmem_populate); the
 * firmware's as in the SNP ABI (56860), chapter 8.
 */

#include "sev.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/random.h>
#include <unistd.h>

#include "config.h"
#include "fault.h"
#include "log.h"
#include "not_ready.h"
#include "user.h"
#include "vmsa.h"

namespace coco {

constexpr uint64_t kVmsaGpa = 0xfffffffff000ull;

/* Linux 7.3 leaves to the firmware what 6.12 has an opinion of. */
static bool is_policy(uint64_t policy)
{
    if (!config().linux_6_12) {
        return (policy & kSnpPolicyOne) && !(policy & ~kSnpPolicyKnown73);
    }
    return (policy & kSnpPolicyOne) && (policy & kSnpPolicySmt) &&
           !(policy & kSnpPolicySingleSocket) && !(policy & ~kSnpPolicyKnown);
}

int snp_launch_start(const SevCall &call)
{
    SevGuest *sev = call.sev;
    kvm_sev_snp_launch_start start;

    if (copy_in(&start, call.data) != 0) {
        return -EFAULT;
    }
    if (sev->started || start.flags || !is_policy(start.policy)) {
        return -EINVAL;
    }
    /* SNP_GCTX_CREATE: Linux hides its error. */
    if (check_sev_fd(call.sev_fd) != 0 || fault_in(call, "SNP_GCTX_CREATE")) {
        return -ENOTTY;
    }
    int ret = fault_in(call, "SNP_LAUNCH_START");
    if (ret != 0) {
        return ret;
    }
    uint64_t minor = start.policy & 0xff, major = start.policy >> 8 & 0xff;
    if (major > kFwMajor || (major == kFwMajor && minor > kFwMinor)) {
        return fw_refuses(call, kFwPolicyFailure);
    }
    ret = fault_in(call, "SNP_ACTIVATE");
    if (ret != 0) {
        return ret;
    }
    sev->started = true;
    sev->state = kStateUpdate;
    sev->policy = start.policy;
    sev->sev_fd = static_cast<int>(call.sev_fd);
    *call.fw_error = kFwSuccess;
    return 0;
}

/* What firmware puts into the secrets page; nobody reads it here. */
static void fill_secrets(std::span<uint8_t> page)
{
    constexpr size_t kKeys = 0x20, kKeysSize = 4 * 32;
    std::ranges::fill(page, uint8_t(0));
    page[0] = 3; /* version */
    if (getrandom(&page[kKeys], kKeysSize, 0) < 0) {
        page[kKeys] = 1;
    }
}

/* The firmware's SNP_LAUNCH_UPDATE of one page: 0, or refused. */
static int update_page(const SevCall &call, SnpPageType type, uint64_t gpa,
                       std::span<uint8_t> page)
{
    int ret = check_sev_fd(call.sev_fd);
    if (ret != 0) {
        return ret;
    }
    if (call.sev->state != kStateUpdate) {
        return fw_refuses(call, kFwInvalidGuestState);
    }
    if (type == kSnpCpuid && !check_cpuid_page(page)) {
        return fw_refuses(call, kFwInvalidParam);
    }
    call.sev->snp_digest.update(type, gpa, page);
    if (type == kSnpSecrets) {
        fill_secrets(page);
    }
    *call.fw_error = kFwSuccess;
    return 0;
}

/* KVM's side of one page: into the guest_memfd, and to the firmware. */
static int populate_page(const SevCall &call, Slot *slot, SnpPageType type,
                         uint64_t gpa, uint64_t source)
{
    Gmem *gmem = slot->gmem;
    if (!gmem) {
        return -EFAULT;
    }
    uint64_t at = slot->gmem_offset + (gpa - slot->gpa);
    if (gmem->loaded.contains(at)) {
        return -EEXIST;
    }
    if (!call.vm->private_pages.contains(gpa)) {
        return -EINVAL;
    }
    if (gmem->populate(at, at + kPage) != 0) {
        return -ENOMEM;
    }
    alignas(8) uint8_t page[kPage] = {};
    if (type != kSnpZero && copy_in(page, source, kPage) != 0) {
        return -EFAULT;
    }
    /* Linux 7.3 pins a page that it may have to write to. */
    if (type == kSnpCpuid && !config().linux_6_12 &&
        copy_out(source, page, kPage) != 0) {
        return -EFAULT;
    }
    int ret = update_page(call, type, gpa, page);
    if (ret != 0) {
        if (type == kSnpCpuid && *call.fw_error == kFwInvalidParam) {
            copy_out(source, page, kPage); /* what it should have been */
        }
        return ret;
    }
    if (type != kSnpZero &&
        pwrite(gmem->fd(), page, kPage, static_cast<off_t>(at)) != kPage) {
        return -ENOMEM;
    }
    gmem->loaded.add(at, at + kPage);
    if (type != kSnpZero) {
        gmem->filled.add(at, at + kPage);
    }
    return 0;
}

static bool is_update_type(uint8_t type)
{
    return type == kSnpNormal || type == kSnpZero || type == kSnpUnmeasured ||
           type == kSnpSecrets || type == kSnpCpuid;
}

/* Linux 7.3 looks at the source before it looks for the slot. */
static bool is_update(const kvm_sev_snp_launch_update &update)
{
    bool good = page_aligned(update.len) && !update.flags &&
                is_update_type(update.type);
    if (config().linux_6_12) {
        return good;
    }
    return good && update.len &&
           (update.type == kSnpZero ||
            (update.uaddr && page_aligned(update.uaddr)));
}

/* Goes as far as it can: an error after the first page is the next call's. */
int snp_launch_update(const SevCall &call)
{
    kvm_sev_snp_launch_update update;
    if (!call.sev->started) {
        return -EINVAL;
    }
    if (copy_in(&update, call.data) != 0) {
        return -EFAULT;
    }
    if (!is_update(update)) {
        return -EINVAL;
    }
    uint64_t gpa = update.gfn_start * kPage;
    Slot *slot = call.vm->slot_of(gpa);
    if (!slot || !slot->private_slot) {
        return -EINVAL;
    }
    auto type = static_cast<SnpPageType>(update.type);
    uint64_t room = slot->gpa + slot->size - gpa;
    uint64_t wanted = std::min(update.len, room), done = 0;
    /* A signal: before the first page all errors are EIO. */
    if (not_ready(*call.vm, "SNP_LAUNCH_UPDATE")) {
        return -EIO;
    }
    wanted = pages_of_one_call(*call.vm, wanted / kPage) * kPage;
    int error = fault_in(call, "SNP_LAUNCH_UPDATE", wanted / kPage);
    if (error == -kStepLost) {
        error = 0;
        done = wanted;
    }
    if (error) {
        return error;
    }
    while (done < wanted && error == 0) {
        error = populate_page(call, slot, type, gpa + done,
                              update.uaddr + done);
        done += error ? 0 : kPage;
    }
    if (done && call.vm->show(slot, gpa - slot->gpa, done) != 0) {
        return -ENOMEM;
    }
    if (error && !done) {
        return -EIO;
    }
    update.gfn_start += done / kPage;
    update.len -= done;
    if (type != kSnpZero) {
        update.uaddr += done;
    }
    return copy_out(call.data, update);
}

/* ID block: what the owner expects. Its signatures are not verified. */
static int check_id_block(const SevCall &call,
                          const kvm_sev_snp_launch_finish &finish)
{
    std::array<uint8_t, 96> block;
    std::vector<uint8_t> auth(4096);
    uint64_t policy;

    if (copy_in(&block, finish.id_block_uaddr) != 0 ||
        copy_in(auth.data(), finish.id_auth_uaddr, auth.size()) != 0) {
        return -EFAULT;
    }
    if (!std::ranges::equal(call.sev->snp_digest.value(),
                            std::span(block).first(48))) {
        return fw_refuses(call, kFwBadMeasurement);
    }
    memcpy(&policy, &block[88], sizeof(policy));
    return policy == call.sev->policy ? 0 : fw_refuses(call, kFwPolicyFailure);
}

static int update_vmsas(const SevCall &call)
{
    for (const auto &vcpu : call.vm->vcpus) {
        Vmsa vmsa;
        int ret = take_vmsa(call, vcpu.get(), &vmsa);
        if (ret == 0) {
            ret = fault_in(call, "SNP_LAUNCH_UPDATE_VMSA", 1);
        }
        if (ret == 0) {
            ret = update_page(call, kSnpVmsa, kVmsaGpa, vmsa);
        }
        if (ret != 0) {
            return ret;
        }
        vcpu->locked = true;
    }
    return 0;
}

int snp_launch_finish(const SevCall &call)
{
    kvm_sev_snp_launch_finish finish;
    if (!call.sev->started) {
        return -EINVAL;
    }
    if (copy_in(&finish, call.data) != 0) {
        return -EFAULT;
    }
    if (finish.flags) {
        return -EINVAL;
    }
    int ret = update_vmsas(call);
    if (ret != 0) {
        return ret;
    }
    ret = check_sev_fd(static_cast<uint32_t>(call.sev->sev_fd));
    if (ret == 0) {
        ret = fault_in(call, "SNP_LAUNCH_FINISH");
    }
    if (ret == 0 && call.sev->state != kStateUpdate) {
        ret = fw_refuses(call, kFwInvalidGuestState);
    }
    if (ret == 0 && finish.id_block_en) {
        ret = check_id_block(call, finish);
    }
    if (ret != 0) {
        return ret;
    }
    call.sev->state = kStateRunning;
    call.vm->launched = true;
    *call.fw_error = kFwSuccess;
    log_event("launch", call.vm->number())
        .text("tee", "snp")
        .hex("digest", call.sev->snp_digest.value())
        .number("policy", static_cast<int64_t>(call.sev->policy))
        .number("vcpus", static_cast<int64_t>(call.vm->vcpus.size()))
        .number("asid", call.sev->asid->number())
        .hex("host_data", finish.host_data);
    return 0;
}

} // namespace coco
