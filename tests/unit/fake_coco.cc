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

using kvm_reset::format;

namespace {

template <class T = uint64_t> T &field(uint64_t at, size_t offset)
{
    return *reinterpret_cast<T *>(at + offset);
}

uint64_t digest(uint64_t address, size_t size)
{
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char *>(address), size});
}

} /* namespace */

int FakeCoco::command(const std::string &role, uintptr_t arg)
{
    uint32_t id = field<uint32_t>(arg, 0);
    uint64_t data = field(arg, 8);
    int ret;

    if (vm_type == 5) {
        if (field(arg, 16)) {
            return -EINVAL; /* hw_error is the answer's */
        }
        firmware_error_ = 0;
        ret = tdx(role, id, data);
        field(arg, 16) = firmware_error_;
        return ret;
    }
    if (role != "vm") {
        return -ENOTTY;
    }
    firmware_error_ = 9; /* for whom it is of use */
    ret = id >= 100 ? snp(id, data) : sev(id, data);
    field<uint32_t>(arg, 16) = ret == -EIO ? uint32_t(firmware_error_) : 0;
    return ret;
}

static bool use_up(unsigned &times)
{
    return times && times--;
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
    constexpr uint64_t snp_vm = 4;

    if (vm_type == snp_vm && id >= 2 && id <= 7) {
        return -EIO;
    }
    switch (id) {
    case 0:
        return initialize("init");
    case 1:
        es_ = true;
        return initialize("es-init");
    case 22:
        es_ = vm_type >= 3;
        return initialize(
            format("init2 %#llx", (unsigned long long)field(data, 0)));
    case 2:
        if (state_ != State::Initialized) {
            return -EINVAL;
        }
        state_ = State::Started;
        log.push_back(
            format("start policy %#x session %#llx", field<uint32_t>(data, 4),
                   (unsigned long long)digest(field(data, 24),
                                              field<uint32_t>(data, 32))));
        field<uint32_t>(data, 0) = 40 + key;
        return 0;
    case 3:
        return state_ == State::Started ? encrypt(data) : -EIO;
    case 4:
        return state_ == State::Started && es_ ? measure_vcpus() : -EIO;
    case 5:
        if (state_ != State::Measured) {
            return -EIO;
        }
        log.push_back("secret");
        return 0;
    case 6:
        if (state_ != State::Started && state_ != State::Measured) {
            return -EIO;
        }
        if (field<uint32_t>(data, 8) < 48) {
            field<uint32_t>(data, 8) = 48;
            return -EIO;
        }
        state_ = State::Measured;
        memset(&field<uint8_t>(field(data, 0), 0), key, 48);
        return 0;
    case 7:
        if (state_ != State::Measured) {
            return -EIO;
        }
        state_ = State::Running;
        log.push_back("finish");
        return 0;
    case 16:
        return 0;
    default:
        return id == 8 ? 0 : -EINVAL;
    }
}

int FakeCoco::encrypt(uint64_t data)
{
    uint64_t at = field(data, 0), size = field<uint32_t>(data, 8);

    log.push_back(format("data %#llx", (unsigned long long)digest(at, size)));
    for (uint64_t i = 0; i < size; i++) {
        field<uint8_t>(at, i) ^= key;
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
    case 100:
        if (state_ != State::Initialized) {
            return -EINVAL;
        }
        state_ = State::Started;
        log.push_back(
            format("start policy %#llx", (unsigned long long)field(data, 0)));
        return 0;
    case 101: {
        uint8_t type = field<uint8_t>(data, 24);
        if (use_up(not_ready->signals)) {
            firmware_error_ = 0;
            return -EIO;
        }
        if (type == 6 && use_up(not_ready->cpuid)) {
            return refuse_cpuid(field(data, 8));
        }
        return add_pages(format("page type %u", type), field(data, 0), 4096,
                         field(data, 8), field(data, 16), type != 3);
    }
    case 102: {
        if (state_ != State::Started) {
            return -EINVAL;
        }
        measure_vcpus();
        uint64_t id_block = field<uint8_t>(data, 16)
                              ? digest(field(data, 0), 96)
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

    memset(&field<uint8_t>(page, 0), 0xc0, 4096);
    firmware_error_ = invalid_parameter;
    return -EIO;
}

/* @gpa in units of @unit bytes; @left in bytes. */
int FakeCoco::add_pages(const std::string &what, uint64_t &gpa, uint64_t unit,
                        uint64_t &source, uint64_t &left, bool has_source)
{
    unsigned pages = 0;

    if (state_ != State::Started) {
        return -EINVAL;
    }
    while (left && pages++ < most_pages) {
        if (!is_private(gpa * unit) || !slots->has_private(gpa * unit)) {
            return -EINVAL;
        }
        pages_.insert(gpa * unit);
        uint64_t contents = has_source ? digest(source, 4096) : 0;
        log.push_back(what + format(" at %#llx: %#llx",
                                    (unsigned long long)(gpa * unit),
                                    (unsigned long long)contents));
        gpa += 4096 / unit;
        source += has_source ? 4096 : 0;
        left -= 4096;
    }
    return left && pages ? -EAGAIN : 0;
}

int FakeCoco::tdx(const std::string &role, uint32_t id, uint64_t data)
{
    constexpr uint64_t operand_busy = 0x8000020000000000;

    if (role == "vm" && id == 1 && use_up(not_ready->no_entropy)) {
        return -EAGAIN;
    }
    if (role == "vm" && id == 4 && use_up(not_ready->busy)) {
        firmware_error_ = operand_busy;
        return -EBUSY;
    }
    if (role == "vm" && id == 1) {
        int ret = initialize(
            format("init %#llx cpuid %#llx", (unsigned long long)field(data, 0),
                   (unsigned long long)digest(
                       data + 264, field<uint32_t>(data, 256) * 40)));
        state_ = ret ? state_ : State::Started;
        return ret;
    }
    if (role == "vm" && id == 4) {
        if (state_ != State::Started) {
            return -EINVAL;
        }
        state_ = State::Running;
        log.push_back("finalize");
        return 0;
    }
    if (role != "vm" && id == 2) {
        log.push_back(role + format(" rcx %#llx", (unsigned long long)data));
        locked_.insert(role);
        return 0;
    }
    if (role != "vm" && id == 3) {
        if (!locked_.contains(role)) {
            return -EINVAL;
        }
        uint64_t bytes = field(data, 16) * 4096;
        int ret = add_pages("page", field(data, 8), 1, field(data, 0), bytes,
                            true);
        field(data, 16) = bytes / 4096;
        return ret;
    }
    return id == 0 || id == 5 ? 0 : -EINVAL;
}

int FakeCoco::set_regs(const std::string &vcpu, uintptr_t arg)
{
    if (locked_.contains(vcpu)) {
        return -EINVAL;
    }
    regs_[vcpu] = digest(arg, 144);
    return 0;
}

int FakeCoco::set_attributes(uintptr_t arg)
{
    ranges_.push_back({field(arg, 0), field(arg, 8), field(arg, 16)});
    return 0;
}

void FakeCoco::lose_pages(uint64_t gpa, uint64_t size)
{
    constexpr uint64_t td = 5;

    for (auto page = pages_.lower_bound(gpa);
         vm_type == td && page != pages_.end() && *page - gpa < size;) {
        log.push_back(format("lost %#llx", (unsigned long long)*page));
        page = pages_.erase(page);
    }
}

bool FakeCoco::is_private(uint64_t gpa) const
{
    for (const Range &range : ranges_ | std::views::reverse) {
        if (gpa >= range.start && gpa - range.start < range.size) {
            return range.attributes & 8;
        }
    }
    return false;
}
