/*
 * A TDX guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands, their order and their errors are those of
 * Documentation/virt/kvm/x86/intel-tdx.rst and arch/x86/kvm/vmx/tdx.c of
 * Linux 7.3; the measurement is the TDX module's (348549).
 */

#include "tdx.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>
#include <vector>

#include "fault.h"
#include "guest_cpuid.h"
#include "log.h"
#include "not_ready.h"
#include "platform.h"
#include "user.h"

namespace coco {

namespace {

constexpr uint64_t kAttributes = kTdxDebug | kTdxSeptVeDisable;
constexpr uint64_t kXfam = 0x602e7; /* x87 to AVX-512, PKRU, AMX */
constexpr uint64_t kXfamFixed = 3;  /* x87 and SSE must be on */
constexpr uint64_t kChunk = 256;
constexpr uint64_t kSharedGpa = 1ull << 47; /* the bit of what is shared */
constexpr uint64_t kOperandBusy = 0x8000020000000000;
constexpr uint32_t kAddressSizes = 0x80000008;

int refuse(kvm_tdx_cmd *cmd, const Fault &fault)
{
    cmd->hw_error = fault.fw_error;
    return -fault.error;
}

/* Which bits a program may configure: here, those that this KVM supports. */
int capabilities(kvm_tdx_cmd *cmd)
{
    constexpr size_t kCpuidOffset = offsetof(kvm_tdx_capabilities, cpuid);

    if (cmd->flags) {
        return -EINVAL;
    }
    CpuidList cpuid;
    int ret = cpuid.get_supported();
    if (ret == 0) {
        ret = cpuid.give(cmd->data + kCpuidOffset);
    }
    if (ret != 0) {
        return ret;
    }
    kvm_tdx_capabilities answer = {};
    answer.supported_attrs = kAttributes;
    answer.supported_xfam = kXfam;
    return copy_out(cmd->data, &answer, kCpuidOffset);
}

/*
 * Each entry is one that the module can configure, and the guest's physical
 * addresses have 48 or 52 bits, or as many as this CPU says, which is none of
 * a TDX host's: QEMU hands that on.
 */
int check_cpuid(uint64_t at, uint32_t count)
{
    std::vector<kvm_cpuid_entry2> entries(count);
    if (copy_in(entries.data(), at, count * sizeof(kvm_cpuid_entry2)) != 0) {
        return -EFAULT;
    }
    CpuidList known;
    if (int ret = known.get_supported(); ret != 0) {
        return ret;
    }
    auto guest_bits = [](const kvm_cpuid_entry2 &entry) {
        return entry.eax >> 16 & 0xff;
    };
    bool told = false;
    for (const kvm_cpuid_entry2 &entry : entries) {
        auto host = std::ranges::find_if(
            known.entries(), [&entry](const kvm_cpuid_entry2 &other) {
                return other.function == entry.function &&
                       other.index == entry.index;
            });
        if (host == known.entries().end()) {
            return -EINVAL;
        }
        if (entry.function == kAddressSizes) {
            uint32_t bits = guest_bits(entry);
            told = bits == 48 || bits == 52 || bits == guest_bits(*host);
        }
    }
    return told ? 0 : -EINVAL;
}

int init_vm(Vm *vm, kvm_tdx_cmd *cmd)
{
    kvm_tdx_init_vm init;

    if (vm->tdx || cmd->flags) {
        return -EINVAL;
    }
    if (copy_in(&init, cmd->data) != 0) {
        return -EFAULT;
    }
    /* Its entries are behind it. */
    const kvm_cpuid2 &cpuid = init.cpuid;
    if (cpuid.nent > CpuidList::kMax) {
        return -E2BIG;
    }
    bool reserved = std::ranges::any_of(
        init.reserved, [](uint64_t word) { return word != 0; });
    if (reserved || cpuid.padding || (init.attributes & ~kAttributes) ||
        (init.xfam & ~kXfam) || (init.xfam & kXfamFixed) != kXfamFixed) {
        return -EINVAL;
    }
    if (int ret = check_cpuid(cmd->data + sizeof(init), cpuid.nent); ret != 0) {
        return ret;
    }
    if (not_ready(*vm, "TDX_INIT_VM")) {
        return -EAGAIN; /* no entropy */
    }
    if (auto fault = step("TDX_INIT_VM")) {
        return refuse(cmd, *fault);
    }
    auto tdx = std::make_unique<TdxGuest>();
    tdx->key_id = Asid::take(AsidPool::Tdx, vm->number());
    if (!tdx->key_id) {
        return -ENOSPC;
    }
    tdx->attributes = init.attributes;
    tdx->xfam = init.xfam;
    vm->tdx = std::move(tdx);
    log_event("init", vm->number()).text("tee", "tdx");
    return 0;
}

int finalize(Vm *vm, kvm_tdx_cmd *cmd)
{
    if (cmd->flags || !vm->tdx || vm->tdx->finalized) {
        return -EINVAL;
    }
    if (not_ready(*vm, "TDX_FINALIZE_VM")) {
        cmd->hw_error = kOperandBusy;
        return -EBUSY;
    }
    if (auto fault = step("TDX_FINALIZE_VM")) {
        return refuse(cmd, *fault);
    }
    vm->tdx->finalized = true;
    vm->launched = true;
    log_event("launch", vm->number())
        .text("tee", "tdx")
        .hex("digest", vm->tdx->digest.value())
        .number("policy", static_cast<int64_t>(vm->tdx->attributes))
        .number("vcpus", static_cast<int64_t>(vm->vcpus.size()))
        .number("asid", vm->tdx->key_id->number());
    return 0;
}

int init_vcpu(Vcpu *vcpu, kvm_tdx_cmd *cmd)
{
    if (cmd->flags || vcpu->tdx_ready) {
        return -EINVAL;
    }
    if (auto fault = step("TDX_INIT_VCPU")) {
        return refuse(cmd, *fault);
    }
    vcpu->tdx_ready = true;
    return 0;
}

/* One page: into the guest_memfd, into the measurement. */
int add_page(Vm *vm, kvm_tdx_cmd *cmd, uint64_t gpa, uint64_t source)
{
    Slot *slot = vm->slot_of(gpa);
    if (!slot || !slot->private_slot) {
        return -EINVAL;
    }
    if (!slot->gmem) {
        return -EFAULT;
    }
    uint64_t at = slot->gmem_offset + (gpa - slot->gpa);
    if (slot->gmem->loaded.contains(at)) {
        return -EEXIST;
    }
    if (!vm->private_pages.contains(gpa)) {
        return -EINVAL;
    }
    uint8_t page[kPage];
    if (copy_in(page, source, kPage) != 0) {
        return -EFAULT;
    }
    if (slot->gmem->populate(at, at + kPage) != 0) {
        return -ENOMEM;
    }
    if (pwrite(slot->gmem->fd(), page, kPage, static_cast<off_t>(at)) !=
        kPage) {
        return -ENOMEM;
    }
    vm->tdx->digest.add_page(gpa);
    if (cmd->flags & KVM_TDX_MEASURE_MEMORY_REGION) {
        for (uint64_t chunk = 0; chunk < kPage; chunk += kChunk) {
            vm->tdx->digest.extend(gpa + chunk, {page + chunk, kChunk});
        }
    }
    slot->gmem->loaded.add(at, at + kPage);
    slot->gmem->filled.add(at, at + kPage);
    return vm->show(slot, gpa - slot->gpa, kPage);
}

int init_mem_region(Vm *vm, Vcpu *vcpu, kvm_tdx_cmd *cmd)
{
    kvm_tdx_init_mem_region region;
    if (!vcpu->tdx_ready || (cmd->flags & ~KVM_TDX_MEASURE_MEMORY_REGION)) {
        return -EINVAL;
    }
    if (copy_in(&region, cmd->data) != 0) {
        return -EFAULT;
    }
    uint64_t end = region.gpa + region.nr_pages * kPage;
    if (!page_aligned(region.source_addr) || !region.source_addr ||
        !page_aligned(region.gpa) || !region.nr_pages || end <= region.gpa ||
        end - 1 >= kSharedGpa) {
        return -EINVAL;
    }
    auto fault = step("TDX_INIT_MEM_REGION", region.nr_pages);
    if (fault && fault->error == kStepLost) {
        region.nr_pages = 0;
    } else if (fault) {
        return refuse(cmd, *fault);
    }
    /* A signal may come before each page. */
    uint64_t now = not_ready(*vm, "TDX_INIT_MEM_REGION")
                     ? 0
                     : pages_of_one_call(*vm, region.nr_pages);
    int ret = 0;
    while (region.nr_pages && ret == 0) {
        ret = now ? add_page(vm, cmd, region.gpa, region.source_addr) : -EINTR;
        if (ret == 0) {
            now--;
            region.source_addr += kPage;
            region.gpa += kPage;
            region.nr_pages--;
        }
    }
    return copy_out(cmd->data, region) == 0 ? ret : -EFAULT;
}

int finish(const Vm &vm, uintptr_t arg, const kvm_tdx_cmd &cmd, int ret)
{
    if (ret != 0) {
        log_event("refused", vm.number())
            .number("command", cmd.id)
            .number("errno", -ret)
            .number("fw_error", static_cast<int64_t>(cmd.hw_error));
    }
    return copy_out(arg, cmd) == 0 ? ret : -EFAULT;
}

} // namespace

int tdx_may_create_vcpu(const Vm &vm)
{
    if (vm.type() != KVM_X86_TDX_VM) {
        return 0;
    }
    if (!vm.tdx) {
        return -EIO;
    }
    return vm.split_irqchip ? 0 : -EINVAL;
}

int tdx_vm_op(Vm *vm, int, uintptr_t arg)
{
    kvm_tdx_cmd cmd;
    if (copy_in(&cmd, arg) != 0) {
        return -EFAULT;
    }
    if (cmd.hw_error) {
        return -EINVAL; /* it is the answer's */
    }
    std::lock_guard lock(vm->lock);
    int ret = -EINVAL;
    if (cmd.id == KVM_TDX_CAPABILITIES) {
        ret = capabilities(&cmd);
    } else if (cmd.id == KVM_TDX_INIT_VM) {
        ret = init_vm(vm, &cmd);
    } else if (cmd.id == KVM_TDX_FINALIZE_VM) {
        ret = finalize(vm, &cmd);
    }
    return finish(*vm, arg, cmd, ret);
}

int tdx_vcpu_op(Vm *vm, Vcpu *vcpu, int fd, uintptr_t arg)
{
    kvm_tdx_cmd cmd;
    if (!vm->tdx || vm->tdx->finalized) {
        return -EINVAL;
    }
    if (copy_in(&cmd, arg) != 0) {
        return -EFAULT;
    }
    if (cmd.hw_error) {
        return -EINVAL;
    }
    std::lock_guard lock(vm->lock);
    int ret = -EINVAL;
    if (cmd.id == KVM_TDX_INIT_VCPU) {
        ret = init_vcpu(vcpu, &cmd);
    } else if (cmd.id == KVM_TDX_INIT_MEM_REGION) {
        ret = init_mem_region(vm, vcpu, &cmd);
    } else if (cmd.id == KVM_TDX_GET_CPUID) {
        ret = cmd.flags ? -EINVAL : get_cpuid(*vcpu, fd, cmd.data);
    }
    return finish(*vm, arg, cmd, ret);
}

} // namespace coco
