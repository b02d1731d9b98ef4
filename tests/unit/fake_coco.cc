/*
 * A platform for confidential guests without one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_coco.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ranges>
#include <string_view>

#include "error.h"
#include "kvm_abi.h"
#include "launch_abi.h"
#include "user_memory.h"

using kvm_reset::format;
using namespace kvm_reset::abi;

namespace {

/* How many bytes SEV's measurement has, and the firmware's error then. */
constexpr uint32_t measurement_size = 48;
constexpr uint32_t invalid_command = 9;
constexpr uint64_t page_size = 4096;

uint64_t digest(uint64_t address, size_t size)
{
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char *>(address), size});
}

bool use_up(unsigned &times)
{
    return times && times--;
}

} /* namespace */

int FakeCoco::command(const std::string &role, uintptr_t arg)
{
    auto &cmd = user<kvm_sev_cmd>(arg); /* TDX's begins as SEV's does */
    int ret;

    if (vm_type == KVM_X86_TDX_VM) {
        auto &tdx_cmd = user<kvm_tdx_cmd>(arg);
        if (tdx_cmd.hw_error) {
            return -EINVAL; /* it is the answer's */
        }
        firmware_error_ = 0;
        if (use_up(not_ready->interrupted)) {
            return -EINTR;
        }
        ret = tdx(role, cmd.id, cmd.data);
        tdx_cmd.hw_error = firmware_error_;
        return ret;
    }
    if (role != "vm") {
        return -ENOTTY;
    }
    if (use_up(not_ready->interrupted)) {
        return -EINTR;
    }
    firmware_error_ = invalid_command; /* for whom it is of use */
    ret = cmd.id >= KVM_SEV_SNP_LAUNCH_START ? snp(cmd.id, cmd.data)
                                             : sev(cmd.id, cmd.data);
    cmd.error = ret == -EIO ? uint32_t(firmware_error_) : 0;
    return ret;
}

int FakeCoco::initialize(const std::string &what)
{
    if (state_ != State::Nothing || !vcpus.empty()) {
        return -EINVAL;
    }
    if (!free_asid) {
        return -EBUSY;
    }
    has_asid = true;
    state_ = State::Initialized;
    log.push_back(what);
    return 0;
}

int FakeCoco::sev(uint32_t id, uint64_t data)
{
    if (vm_type == KVM_X86_SNP_VM && id >= KVM_SEV_LAUNCH_START &&
        id <= KVM_SEV_LAUNCH_FINISH) {
        return -EIO;
    }
    switch (id) {
    case KVM_SEV_INIT:
        return initialize("init");
    case KVM_SEV_ES_INIT:
        es_ = true;
        return initialize("es-init");
    case KVM_SEV_INIT2:
        es_ = vm_type >= KVM_X86_SEV_ES_VM;
        return initialize(
            format("init2 %#llx",
                   (unsigned long long)user<kvm_sev_init>(data).vmsa_features));
    case KVM_SEV_LAUNCH_START: {
        auto &start = user<kvm_sev_launch_start>(data);
        if (state_ != State::Initialized) {
            return -EINVAL;
        }
        state_ = State::Started;
        log.push_back(format("start policy %#x session %#llx", start.policy,
                             (unsigned long long)digest(start.session_uaddr,
                                                        start.session_len)));
        start.handle = 40 + key;
        return 0;
    }
    case KVM_SEV_LAUNCH_UPDATE_DATA:
        return state_ == State::Started ? encrypt(data) : -EIO;
    case KVM_SEV_LAUNCH_UPDATE_VMSA:
        return state_ == State::Started && es_ ? measure_vcpus() : -EIO;
    case KVM_SEV_LAUNCH_SECRET:
        if (state_ != State::Measured) {
            return -EIO;
        }
        log.push_back("secret");
        return 0;
    case KVM_SEV_LAUNCH_MEASURE: {
        auto &measure = user<kvm_sev_launch_measure>(data);
        if (state_ != State::Started && state_ != State::Measured) {
            return -EIO;
        }
        if (measure.len < measurement_size) {
            measure.len = measurement_size;
            return -EIO;
        }
        state_ = State::Measured;
        memset(&user<uint8_t>(measure.uaddr), key, measurement_size);
        return 0;
    }
    case KVM_SEV_LAUNCH_FINISH:
        if (state_ != State::Measured) {
            return -EIO;
        }
        state_ = State::Running;
        log.push_back("finish");
        return 0;
    case KVM_SEV_GUEST_STATUS:
    case KVM_SEV_SEND_START:
        return 0;
    default:
        return -EINVAL;
    }
}

int FakeCoco::encrypt(uint64_t data)
{
    const auto &update = user<kvm_sev_launch_update_data>(data);

    log.push_back(format("data %#llx",
                         (unsigned long long)digest(update.uaddr, update.len)));
    for (uint32_t i = 0; i < update.len; i++) {
        user<uint8_t>(update.uaddr + i) ^= key;
    }
    return 0;
}

int FakeCoco::measure_vcpus()
{
    for (const std::string &vcpu : vcpus) {
        log.push_back(vcpu +
                      format(" regs %#llx", (unsigned long long)regs_[vcpu]));
        locked_.insert(vcpu);
    }
    return 0;
}

int FakeCoco::snp(uint32_t id, uint64_t data)
{
    switch (id) {
    case KVM_SEV_SNP_LAUNCH_START:
        if (state_ != State::Initialized) {
            return -EINVAL;
        }
        state_ = State::Started;
        log.push_back(format(
            "start policy %#llx",
            (unsigned long long)user<kvm_sev_snp_launch_start>(data).policy));
        return 0;
    case KVM_SEV_SNP_LAUNCH_UPDATE: {
        auto &update = user<kvm_sev_snp_launch_update>(data);
        if (use_up(not_ready->signals) || early_ < not_ready->early) {
            early_++;
            firmware_error_ = 0;
            return -EIO;
        }
        early_ = 0;
        if (update.type == KVM_SEV_SNP_PAGE_TYPE_CPUID &&
            use_up(not_ready->cpuid)) {
            return refuse_cpuid(update.uaddr);
        }
        return add_pages(format("page type %u", update.type), update.gfn_start,
                         page_size, update.uaddr, update.len,
                         update.type != KVM_SEV_SNP_PAGE_TYPE_ZERO, 0);
    }
    case KVM_SEV_SNP_LAUNCH_FINISH: {
        const auto &finish = user<kvm_sev_snp_launch_finish>(data);
        if (state_ != State::Started) {
            return -EINVAL;
        }
        measure_vcpus();
        uint64_t id_block = finish.id_block_en
                              ? digest(finish.id_block_uaddr,
                                       KVM_SEV_SNP_ID_BLOCK_SIZE)
                              : 0;
        state_ = State::Running;
        log.push_back(format("finish id %#llx", (unsigned long long)id_block));
        return 0;
    }
    default:
        return -EINVAL;
    }
}

/* The page says what it should have been. */
int FakeCoco::refuse_cpuid(uint64_t page)
{
    constexpr uint64_t invalid_parameter = 22;

    memset(&user<uint8_t>(page), 0xc0, page_size);
    firmware_error_ = invalid_parameter;
    return -EIO;
}

/* @gpa in units of @unit bytes; @left in bytes. */
int FakeCoco::add_pages(const std::string &what, uint64_t &gpa, uint64_t unit,
                        uint64_t &source, uint64_t &left, bool has_source,
                        int in_part)
{
    unsigned pages = 0;

    if (state_ != State::Started) {
        return -EINVAL;
    }
    if (left && use_up(not_ready->idle)) {
        return not_ready->in_part.value_or(in_part);
    }
    while (left && pages++ < most_pages) {
        if (!is_private(gpa * unit) || !slots->has_private(gpa * unit)) {
            return -EINVAL;
        }
        pages_.insert(gpa * unit);
        uint64_t contents = has_source ? digest(source, page_size) : 0;
        log.push_back(what + format(" at %#llx: %#llx",
                                    (unsigned long long)(gpa * unit),
                                    (unsigned long long)contents));
        gpa += page_size / unit;
        source += has_source ? page_size : 0;
        left -= page_size;
    }
    return left ? not_ready->in_part.value_or(in_part) : 0;
}

int FakeCoco::tdx(const std::string &role, uint32_t id, uint64_t data)
{
    constexpr uint64_t operand_busy = 0x8000020000000000;

    if (role == "vm" && id == KVM_TDX_INIT_VM &&
        use_up(not_ready->no_entropy)) {
        return -EAGAIN;
    }
    if (role == "vm" && id == KVM_TDX_FINALIZE_VM && use_up(not_ready->busy)) {
        firmware_error_ = operand_busy;
        return -EBUSY;
    }
    if (role == "vm" && id == KVM_TDX_INIT_VM) {
        auto &init = user<kvm_tdx_init_vm>(data);
        auto entries = after<kvm_cpuid_entry2>(init.cpuid);
        int ret = initialize(format(
            "init %#llx cpuid %#llx", (unsigned long long)init.attributes,
            (unsigned long long)digest(uintptr_t(entries),
                                       init.cpuid.nent * sizeof(*entries))));
        state_ = ret ? state_ : State::Started;
        return ret;
    }
    if (role == "vm" && id == KVM_TDX_FINALIZE_VM) {
        if (state_ != State::Started) {
            return -EINVAL;
        }
        state_ = State::Running;
        log.push_back("finalize");
        return 0;
    }
    if (role != "vm" && id == KVM_TDX_INIT_VCPU) {
        log.push_back(role + format(" rcx %#llx", (unsigned long long)data));
        locked_.insert(role);
        return 0;
    }
    if (role != "vm" && id == KVM_TDX_INIT_MEM_REGION) {
        if (!locked_.contains(role)) {
            return -EINVAL;
        }
        auto &region = user<kvm_tdx_init_mem_region>(data);
        uint64_t bytes = region.nr_pages * page_size;
        int ret = add_pages("page", region.gpa, 1, region.source_addr, bytes,
                            true, -EINTR);
        region.nr_pages = bytes / page_size;
        return ret;
    }
    return id == KVM_TDX_CAPABILITIES || id == KVM_TDX_GET_CPUID ? 0 : -EINVAL;
}

int FakeCoco::set_regs(const std::string &vcpu, uintptr_t arg)
{
    if (locked_.contains(vcpu)) {
        return -EINVAL;
    }
    regs_[vcpu] = digest(arg, sizeof(kvm_regs));
    return 0;
}

int FakeCoco::set_attributes(uintptr_t arg)
{
    ranges_.push_back(user<kvm_memory_attributes>(arg));
    return 0;
}

void FakeCoco::lose_pages(uint64_t gpa, uint64_t size)
{
    for (auto page = pages_.lower_bound(gpa); vm_type == KVM_X86_TDX_VM &&
                                              page != pages_.end() &&
                                              *page - gpa < size;) {
        log.push_back(format("lost %#llx", (unsigned long long)*page));
        page = pages_.erase(page);
    }
}

bool FakeCoco::is_private(uint64_t gpa) const
{
    for (const kvm_memory_attributes &range : ranges_ | std::views::reverse) {
        if (gpa >= range.address && gpa - range.address < range.size) {
            return range.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
        }
    }
    return false;
}
