/*
 * KVM_MEMORY_ENCRYPT_OP of kvm_amd: which command may come, and what is
 * common to them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is checked, in which order, and with which error, is what
 * sev_mem_enc_ioctl() of Linux 6.12 and the functions below it do.
 */

#include "sev.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "config.h"
#include "fault.h"
#include "log.h"
#include "user.h"
#include "vmsa.h"

namespace coco {

/* GHCB protocol versions that Linux knows. */
constexpr uint16_t kGhcbMax = 2;

int fw_refuses(const SevCall &call, FwError error)
{
    *call.fw_error = error;
    return -EIO;
}

int fault_in(const SevCall &call, const char *what, uint64_t pages)
{
    auto fault = step(what, pages);
    if (!fault) {
        return 0;
    }
    *call.fw_error = fault->fw_error;
    return -fault->error;
}

int check_sev_fd(uint32_t fd)
{
    auto file = files::get(static_cast<int>(fd));
    return file && file->kind == FileKind::SevDevice ? 0 : -EBADF;
}

/* What may be asked for beside what KVM sets itself. */
uint64_t sev_vmsa_features()
{
    return config().linux_6_12 ? 0
                               : kSevFeatureDebugSwap | kSevFeatureSecureTsc;
}

static bool may_be(const kvm_sev_init &init, uint32_t type)
{
    bool es = type != KVM_X86_SEV_VM, snp = type == KVM_X86_SNP_VM;
    uint64_t features = es ? sev_vmsa_features() : 0;
    if (!snp) {
        features &= ~kSevFeatureSecureTsc;
    }
    /* 0 is the version that KVM takes by itself. */
    bool old_ghcb = snp && init.ghcb_version == 1 && !config().linux_6_12;
    return !init.flags && !(init.vmsa_features & ~features) &&
           init.ghcb_version <= kGhcbMax && (es || !init.ghcb_version) &&
           !old_ghcb;
}

/* For VMs of the default type KVM made them SEV guests with this command. */
static int init_guest(Vm *vm, const kvm_sev_init &init, uint32_t type,
                      uint32_t *fw_error)
{
    bool es = type != KVM_X86_SEV_VM;
    if (!vm->vcpus.empty() || !may_be(init, type) || vm->sev) {
        return -EINVAL;
    }
    if (auto fault = step("SEV_INIT")) {
        *fw_error = fault->fw_error;
        return -fault->error;
    }
    auto sev = std::make_unique<SevGuest>();
    sev->es = es;
    sev->snp = type == KVM_X86_SNP_VM;
    sev->vmsa_features = init.vmsa_features | (sev->snp ? kSevFeatureSnp : 0);
    sev->asid = Asid::take(es ? AsidPool::Es : AsidPool::Sev, vm->number());
    if (!sev->asid) {
        return -EBUSY;
    }
    if (!sev->snp) {
        sev->memory = EncryptedMemory::make(vm);
        if (!sev->memory) {
            return -ENOMEM;
        }
    }
    log_event("init", vm->number()).text("tee", sev->tee());
    vm->sev = std::move(sev);
    return 0;
}

static int legacy_init(Vm *vm, uint32_t id, uint32_t *fw_error)
{
    if (vm->type() != KVM_X86_DEFAULT_VM) {
        return -EINVAL;
    }
    return init_guest(vm, {},
                      id == KVM_SEV_INIT ? KVM_X86_SEV_VM : KVM_X86_SEV_ES_VM,
                      fw_error);
}

static int init2(Vm *vm, uint64_t data, uint32_t *fw_error)
{
    kvm_sev_init init;
    if (vm->sev ||
        (vm->type() != KVM_X86_SEV_VM && vm->type() != KVM_X86_SEV_ES_VM &&
         vm->type() != KVM_X86_SNP_VM)) {
        return -EINVAL;
    }
    if (copy_in(&init, data) != 0) {
        return -EFAULT;
    }
    return init_guest(vm, init, vm->type(), fw_error);
}

/* Without a guest every other command is refused alike. */
static int command(Vm *vm, kvm_sev_cmd *cmd)
{
    SevGuest *sev = vm->sev.get();
    SevCall call = {vm, sev, cmd->data, cmd->sev_fd, &cmd->error};

    switch (cmd->id) {
    case KVM_SEV_INIT:
    case KVM_SEV_ES_INIT:
        return legacy_init(vm, cmd->id, &cmd->error);
    case KVM_SEV_INIT2:
        return init2(vm, cmd->data, &cmd->error);
    case KVM_SEV_SNP_LAUNCH_UPDATE:
        /* Not ENOTTY, as all others. */
        return sev && sev->snp ? snp_launch_update(call) : -EINVAL;
    case KVM_SEV_SNP_LAUNCH_START:
        return sev && sev->snp ? snp_launch_start(call) : -ENOTTY;
    case KVM_SEV_SNP_LAUNCH_FINISH:
        return sev && sev->snp ? snp_launch_finish(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_START:
        return sev ? sev_launch_start(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_UPDATE_DATA:
        return sev ? sev_launch_update_data(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_UPDATE_VMSA:
        return sev && sev->es ? sev_launch_update_vmsa(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_MEASURE:
        return sev ? sev_launch_measure(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_SECRET:
        return sev ? sev_launch_secret(call) : -ENOTTY;
    case KVM_SEV_LAUNCH_FINISH:
        return sev ? sev_launch_finish(call) : -ENOTTY;
    case KVM_SEV_GUEST_STATUS:
        return sev ? sev_guest_status(call) : -ENOTTY;
    case KVM_SEV_GET_ATTESTATION_REPORT:
        return sev ? sev_get_attestation_report(call) : -ENOTTY;
    case KVM_SEV_DBG_DECRYPT:
    case KVM_SEV_DBG_ENCRYPT:
        /* Debugging is not simulated: as if every policy forbade it. */
        return sev ? fw_refuses(call, kFwPolicyFailure) : -ENOTTY;
    case KVM_SEV_SNP_ENABLE_REQ_CERTS:
        return sev && sev->snp && vm->vcpus.empty() && !config().linux_6_12
                 ? 0
                 : -EINVAL;
    default:
        return -EINVAL;
    }
}

int sev_memory_encrypt_op(Vm *vm, uintptr_t arg)
{
    kvm_sev_cmd cmd;
    if (!arg) {
        return 0; /* how one asks whether there is SEV */
    }
    if (copy_in(&cmd, arg) != 0) {
        return -EFAULT;
    }
    std::lock_guard lock(vm->lock);
    if (vm->sev && vm->sev->snp && cmd.id < KVM_SEV_SNP_LAUNCH_START) {
        return -EPERM;
    }
    int ret = command(vm, &cmd);
    if (ret != 0) {
        log_event("refused", vm->number())
            .number("command", cmd.id)
            .number("errno", -ret)
            .number("fw_error", cmd.error);
    }
    return copy_out(arg, cmd) == 0 ? ret : -EFAULT;
}

static uint64_t pages_of(uint64_t address, uint64_t size)
{
    return (page_up(address + size) - page_down(address)) / kPage;
}

/* CAP_IPC_LOCK, of this thread */
static bool may_lock_memory()
{
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective >> CAP_IPC_LOCK & 1);
}

/* Of what is pinned for one VM; nothing for who may lock memory anyway. */
static bool may_pin(const SevGuest &sev, uint64_t pages)
{
    for (const SevGuest::Region &region : sev.regions) {
        pages += pages_of(region.address, region.size);
    }
    rlimit limit = {};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return pages <= limit.rlim_cur / kPage || may_lock_memory();
}

/* Pins the pages; memory that is not there cannot be pinned. */
int sev_pin(const SevGuest &sev, uint64_t address, uint64_t size)
{
    if (!size || address + size < address) {
        return -EINVAL;
    }
    uint64_t pages = pages_of(address, size);
    std::vector<unsigned char> there(pages);
    if (!may_pin(sev, pages) ||
        mincore(reinterpret_cast<void *>(page_down(address)), pages * kPage,
                there.data()) != 0) {
        return -ENOMEM;
    }
    return 0;
}

int sev_register_region(Vm *vm, const kvm_enc_region &region)
{
    std::lock_guard lock(vm->lock);
    if (!vm->sev) {
        return -ENOTTY;
    }
    if (auto fault = step("REG_REGION", region.size / kPage)) {
        return -fault->error;
    }
    if (int ret = sev_pin(*vm->sev, region.addr, region.size); ret != 0) {
        return ret;
    }
    vm->sev->regions.push_back({region.addr, region.size});
    return 0;
}

int sev_unregister_region(Vm *vm, const kvm_enc_region &region)
{
    std::lock_guard lock(vm->lock);
    if (!vm->sev) {
        return -ENOTTY;
    }
    auto it = std::ranges::find_if(
        vm->sev->regions, [&region](const SevGuest::Region &known) {
            return known.address == region.addr && known.size == region.size;
        });
    if (it == vm->sev->regions.end()) {
        return -EINVAL;
    }
    vm->sev->regions.erase(it);
    return 0;
}

/* Locks the registers: from here on the guest alone has them. */
int take_vmsa(const SevCall &call, Vcpu *vcpu, std::array<uint8_t, kPage> *vmsa)
{
    constexpr size_t kDr7 = 0x160;
    constexpr uint64_t kDr7Fixed = 0x400;

    if (vcpu->debugged || vcpu->locked) {
        return -EINVAL;
    }
    int fd = files::number_of(vcpu);
    if (fd < 0) {
        return -EBADF; /* real KVM needs no fd here */
    }
    int ret = read_vmsa(fd, call.sev->vmsa_features,
                        call.vm->type() != KVM_X86_DEFAULT_VM, vmsa);
    if (ret != 0) {
        return ret;
    }
    uint64_t dr7;
    memcpy(&dr7, vmsa->data() + kDr7, sizeof(dr7));
    if (dr7 & ~kDr7Fixed) {
        return -EINVAL;
    }
    log_event("vmsa", call.vm->number())
        .number("vcpu", vcpu->id)
        .hex("sha384", sha384(*vmsa));
    return 0;
}

} // namespace coco
