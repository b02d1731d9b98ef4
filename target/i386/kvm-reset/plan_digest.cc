/*
 * The launch digest of a guest that was launched, from what was recorded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests are those that userspace sets a vCPU's state with.
 */

#include "plan_digest.h"

#include <cerrno>
#include <string_view>

#include "field_of.h"
#include "launch_abi.h"
#include "launch_digest.h"
#include "registers.h"

namespace kvm_reset {

using namespace abi;

namespace {

constexpr uint32_t msr_pat = 0x277;
constexpr uint32_t msr_xss = 0xda0;

/* A list of one. */
void take_msr(KvmRegisters &registers, const Entry &entry)
{
    uint64_t data = data_of(entry.arg.bytes(), 0);

    switch (entry.arg.read(index_of(0))) {
    case msr_pat:
        registers.pat = data;
        break;
    case msr_xss:
        registers.xss = data;
        break;
    }
}

void take(KvmRegisters &registers, const Entry &entry)
{
    Bytes bytes = entry.arg.bytes();

    switch (entry.row->request) {
    case KVM_SET_REGS:
        registers.regs = bytes;
        break;
    case KVM_SET_SREGS:
    case KVM_SET_SREGS2:
        registers.sregs = bytes;
        break;
    case KVM_SET_DEBUGREGS:
        registers.debugregs = bytes;
        break;
    case KVM_SET_XCRS:
        registers.xcrs = bytes;
        break;
    case KVM_SET_XSAVE:
        registers.xsave = bytes;
        break;
    case KVM_SET_MSRS:
        take_msr(registers, entry);
        break;
    }
}

/* KVM_SEV_INIT2's features; an SNP guest has one more without saying so. */
uint64_t sev_features(uint64_t vm_type, const Snapshot &snapshot)
{
    uint64_t features = vm_type == KVM_X86_SNP_VM ? sev_feature_snp_active : 0;

    for (const EntryPtr &entry : snapshot.entries) {
        const LaunchStep *step = launch_step(*entry);
        if (step && step->name() == std::string_view("KVM_SEV_INIT2")) {
            features |= step->read(field_of(&kvm_sev_init::vmsa_features));
        }
    }
    return features;
}

Result<std::vector<VmsaPage>> save_areas(uint64_t vm_type,
                                         const Snapshot &snapshot)
{
    std::vector<VmsaPage> pages;

    for (const Object &object : snapshot.objects) {
        if (object.kind != FdClass::Vcpu) {
            continue;
        }
        auto state = recorded_vmsa(vm_type, snapshot, object.id);
        if (!state) {
            return std::unexpected(state.error());
        }
        pages.push_back(vmsa_page(*state));
    }
    return pages;
}

/* The three ways of measuring; only one of them is fed. */
struct Digests {
    uint64_t vm_type;
    const Snapshot &snapshot;
    const char *tee = nullptr;
    SevDigest sev{};
    SnpDigest snp{};
    TdxDigest tdx{};

    Result<void> feed(const LaunchStep &step);
    Digest digest() const;
};

Result<void> Digests::feed(const LaunchStep &step)
{
    std::string_view name = step.name();

    if (name == "KVM_SEV_LAUNCH_UPDATE_DATA") {
        tee = tee ? tee : "sev";
        sev.update(step.pointed());
    } else if (name == "KVM_SEV_LAUNCH_UPDATE_VMSA") {
        tee = "sev-es";
        auto pages = save_areas(vm_type, snapshot);
        if (!pages) {
            return std::unexpected(pages.error());
        }
        for (const VmsaPage &page : *pages) {
            sev.update(page);
        }
    } else if (name == "KVM_SEV_SNP_LAUNCH_UPDATE") {
        tee = "snp";
        SnpPage type = SnpPage(
            step.read(field_of(&kvm_sev_snp_launch_update::type)));
        uint64_t gpa = step.read(
                           field_of(&kvm_sev_snp_launch_update::gfn_start)) *
                       launch_page_size;
        return step.pointed().empty()
                 ? snp.add(type, gpa,
                           step.read(field_of(&kvm_sev_snp_launch_update::len)))
                 : snp.add(type, gpa, step.pointed());
    } else if (name == "KVM_SEV_SNP_LAUNCH_FINISH") {
        tee = "snp";
        auto pages = save_areas(vm_type, snapshot);
        if (!pages) {
            return std::unexpected(pages.error());
        }
        for (const VmsaPage &page : *pages) {
            if (auto added = snp.add_vmsa(page); !added) {
                return added;
            }
        }
    } else if (name == "KVM_TDX_INIT_MEM_REGION") {
        tee = "tdx";
        return tdx.add(step.read(field_of(&kvm_tdx_init_mem_region::gpa)),
                       step.pointed(),
                       step.read_header(field_of(&kvm_tdx_cmd::flags)) &
                           KVM_TDX_MEASURE_MEMORY_REGION);
    }
    return {};
}

Digest Digests::digest() const
{
    std::string_view kind = tee;

    return kind == "snp" ? snp.digest()
         : kind == "tdx" ? tdx.digest()
                         : sev.digest();
}

} /* namespace */

Result<VmsaState> recorded_vmsa(uint64_t vm_type, const Snapshot &snapshot,
                                ObjectId vcpu)
{
    KvmRegisters registers;

    for (const EntryPtr &entry : snapshot.entries) {
        if (entry->target == vcpu) {
            take(registers, *entry);
        }
    }
    /* With KVM_SEV_ES_INIT the kernel leaves the FPU out. */
    if (vm_type == KVM_X86_DEFAULT_VM) {
        registers.xsave = {};
    }
    return vmsa_of_kvm(registers, sev_features(vm_type, snapshot));
}

Result<LaunchMeasurement> x86_measure(const Definition &definition)
{
    Digests digests{.vm_type = definition.vm_type, .snapshot = definition};

    for (const PlannedStep &planned : definition.plan.steps()) {
        if (auto fed = digests.feed(*planned.step); !fed) {
            return std::unexpected(fed.error());
        }
    }
    if (!digests.tee) {
        return fail(ENODATA, "nothing was measured");
    }
    return LaunchMeasurement{digests.tee, digests.digest().hex()};
}

} /* namespace kvm_reset */
