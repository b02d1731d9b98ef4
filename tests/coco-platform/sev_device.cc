/*
 * /dev/sev
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stands for the device of the ccp driver: the few commands that a VMM asks.
 */

#include "sev.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <vector>

#include "host_memory.h"
#include "sys.h"
#include "user.h"

namespace coco {

namespace {

struct PlatformStatus {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t state;
    uint32_t flags;
    uint8_t build;
    uint32_t guest_count;
} __attribute__((packed));

struct SnpStatus {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t state;
    uint8_t is_rmp_initialized;
    uint32_t build_id;
    uint32_t flags;
    uint32_t guest_count;
    uint64_t current_tcb;
    uint64_t reported_tcb;
} __attribute__((packed));

struct PdhExport {
    uint64_t pdh;
    uint32_t pdh_length;
    uint64_t chain;
    uint32_t chain_length;
} __attribute__((packed));

struct GetId {
    uint64_t address;
    uint32_t length;
} __attribute__((packed));

constexpr uint8_t kWorking = 2; /* PSTATE.WORKING: has guests */
constexpr uint8_t kInitialized = 1;
constexpr uint32_t kConfigEs = 1u << 8; /* SEV-ES is on */

/* Their sizes are those of the firmware; nothing is signed. */
constexpr uint32_t kPdhSize = 2084;
constexpr uint32_t kChainSize = 3 * 2084;
constexpr uint32_t kIdSize = 64;

int refuse(SevIssueCmd *cmd, FwError error)
{
    cmd->error = error;
    return -EIO;
}

int fill(uint64_t address, uint32_t size)
{
    std::vector<uint8_t> bytes(size);
    for (size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = static_cast<uint8_t>(i * 7 + size);
    }
    return copy_out(address, bytes.data(), bytes.size());
}

int platform_status(uint64_t data)
{
    uint32_t guests = asids_in_use(AsidPool::Sev) + asids_in_use(AsidPool::Es);
    PlatformStatus status = {
        kFwMajor,  kFwMinor, guests ? kWorking : kInitialized,
        kConfigEs, kFwBuild, guests};
    return copy_out(data, status);
}

int snp_status(uint64_t data)
{
    SnpStatus status = {};
    status.api_major = kFwMajor;
    status.api_minor = kFwMinor;
    status.state = kInitialized;
    status.is_rmp_initialized = 1;
    status.build_id = kFwBuild;
    status.guest_count = asids_in_use(AsidPool::Es);
    return copy_out(data, status);
}

int export_pdh(SevIssueCmd *cmd)
{
    PdhExport wanted;
    if (copy_in(&wanted, cmd->data) != 0) {
        return -EFAULT;
    }
    bool room = wanted.pdh && wanted.chain && wanted.pdh_length >= kPdhSize &&
                wanted.chain_length >= kChainSize;
    wanted.pdh_length = kPdhSize;
    wanted.chain_length = kChainSize;
    if (copy_out(cmd->data, wanted) != 0) {
        return -EFAULT;
    }
    if (!room) {
        return refuse(cmd, kFwInvalidLength);
    }
    int ret = fill(wanted.pdh, kPdhSize);
    return ret ? ret : fill(wanted.chain, kChainSize);
}

int get_id(SevIssueCmd *cmd)
{
    GetId wanted;
    if (copy_in(&wanted, cmd->data) != 0) {
        return -EFAULT;
    }
    bool room = wanted.address && wanted.length >= kIdSize;
    wanted.length = kIdSize;
    if (copy_out(cmd->data, wanted) != 0) {
        return -EFAULT;
    }
    return room ? fill(wanted.address, kIdSize) : refuse(cmd, kFwInvalidLength);
}

int command(SevIssueCmd *cmd)
{
    cmd->error = kFwSuccess;
    switch (cmd->cmd) {
    case kSevPlatformStatus:
        return platform_status(cmd->data);
    case kSnpPlatformStatus:
        return snp_status(cmd->data);
    case kSevPdhCertExport:
        return export_pdh(cmd);
    case kSevGetId2:
        return get_id(cmd);
    default:
        return -EINVAL;
    }
}

} // namespace

int open_sev_device(int flags)
{
    int fd = sys::openat(AT_FDCWD, "/dev/null", O_RDWR | (flags & O_CLOEXEC),
                         0);
    if (fd < 0) {
        return -errno;
    }
    auto file = std::make_shared<File>();
    file->kind = FileKind::SevDevice;
    files::put(fd, std::move(file));
    return fd;
}

int sev_device_ioctl(unsigned long request, uintptr_t arg)
{
    SevIssueCmd cmd;
    if (request != kSevIssueCmd) {
        return -EINVAL;
    }
    if (copy_in(&cmd, arg) != 0) {
        return -EFAULT;
    }
    int ret = command(&cmd);
    return copy_out(arg, cmd) == 0 ? ret : -EFAULT;
}

} // namespace coco
