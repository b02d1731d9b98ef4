/*
 * Everything that KVM lets one read of a VM and its vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM API, chapter 4; the structures' layouts as x86's KVM has them.
 */

#include "readback.h"

#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>

#include "catalogue.h"
#include "error.h"
#include "json.h"

namespace audit {

using kvm_reset::FdClass;
using kvm_reset::Field;
using kvm_reset::find_row;
using kvm_reset::format;

namespace {

constexpr unsigned caps = 256;
constexpr unsigned cap_xsave2 = 208;
constexpr size_t cpuid_entries = 256;
constexpr size_t cpuid_entry = 40;
constexpr size_t nested_state = 128 + 8192;

/* A fixed struct; where there are several, @which says which one is meant. */
struct Reading {
    FdClass on;
    const char *name;
    unsigned first = 0;
    unsigned last = 0;
    Field which = {};
};

constexpr Reading readings[] = {
    {FdClass::Vm, "KVM_GET_IRQCHIP", 0, 2, {0, 4}},
    {FdClass::Vm, "KVM_GET_PIT2"},
    {FdClass::Vm, "KVM_GET_CLOCK"},
    {FdClass::Vm, "KVM_XEN_HVM_GET_ATTR", 0, 6, {0, 2}},
    {FdClass::Vcpu, "KVM_GET_REGS"},
    {FdClass::Vcpu, "KVM_GET_SREGS"},
    {FdClass::Vcpu, "KVM_GET_SREGS2"},
    {FdClass::Vcpu, "KVM_GET_DEBUGREGS"},
    {FdClass::Vcpu, "KVM_GET_XCRS"},
    {FdClass::Vcpu, "KVM_GET_LAPIC"},
    {FdClass::Vcpu, "KVM_GET_MP_STATE"},
    {FdClass::Vcpu, "KVM_GET_VCPU_EVENTS"},
    {FdClass::Vcpu, "KVM_XEN_VCPU_GET_ATTR", 0, 9, {0, 2}},
};

struct Number {
    FdClass on;
    const char *name;
};

/* What answers by its return value. */
constexpr Number numbers[] = {
    {FdClass::Vm, "KVM_GET_NR_MMU_PAGES"},
    {FdClass::Vm, "KVM_GET_TSC_KHZ"},
    {FdClass::Vcpu, "KVM_GET_TSC_KHZ"},
};

int ask(int fd, uint32_t request, uintptr_t arg)
{
    return int(syscall(SYS_ioctl, fd, request, arg));
}

/* One VM's reader. */
class Reader {
public:
    explicit Reader(Objects::Open open) : fd_(open.fd), object_(open.object) {}

    void read_all(std::span<const uint32_t> msrs, size_t xsave_size)
    {
        read_structs();
        read_numbers();
        if (object_->kind == FdClass::Vm) {
            read_caps();
        } else {
            read_cpuid();
            read_msrs(msrs);
            read_xsave(xsave_size);
            read_nested_state();
            read_tsc_offset();
        }
    }

private:
    void say(const char *what, const std::string &item,
             std::span<const uint8_t> bytes)
    {
        Json line("read");
        line.text("object", object_->label).text("what", what);
        line.text("item", item).bytes("bytes", bytes);
        write_record(line);
    }

    void say(const char *what, const std::string &item, uint64_t value)
    {
        uint8_t bytes[sizeof(value)];
        memcpy(bytes, &value, sizeof(value));
        say(what, item, bytes);
    }

    uint32_t request(const char *name)
    {
        for (const kvm_reset::Row &row : kvm_reset::catalogue()) {
            if (row.on == object_->kind && !strcmp(row.name, name)) {
                return row.request;
            }
        }
        return 0;
    }

    void read_structs()
    {
        for (const Reading &reading : readings) {
            if (reading.on != object_->kind) {
                continue;
            }
            uint32_t number = request(reading.name);
            for (unsigned i = reading.first; i <= reading.last; i++) {
                std::vector<uint8_t> bytes(kvm_reset::ioc_size(number));
                if (reading.which.width) {
                    memcpy(&bytes[reading.which.offset], &i,
                           reading.which.width);
                }
                if (ask(fd_, number, uintptr_t(bytes.data())) >= 0) {
                    say(reading.name,
                        reading.which.width ? std::to_string(i) : "", bytes);
                }
            }
        }
    }

    void read_numbers()
    {
        for (const Number &number : numbers) {
            if (number.on == object_->kind) {
                int value = ask(fd_, request(number.name), 0);
                if (value >= 0) {
                    say(number.name, "", uint64_t(value));
                }
            }
        }
    }

    void read_caps()
    {
        for (unsigned cap = 0; cap < caps; cap++) {
            int value = ask(fd_, request("KVM_CHECK_EXTENSION"), cap);
            if (value > 0) {
                say("KVM_CHECK_EXTENSION", std::to_string(cap),
                    uint64_t(value));
            }
        }
    }

    void read_cpuid()
    {
        std::vector<uint8_t> bytes(8 + cpuid_entries * cpuid_entry);
        uint32_t count = cpuid_entries;

        memcpy(&bytes[0], &count, 4);
        if (ask(fd_, request("KVM_GET_CPUID2"), uintptr_t(bytes.data())) < 0) {
            return;
        }
        memcpy(&count, &bytes[0], 4);
        for (uint32_t i = 0; i < count && i < cpuid_entries; i++) {
            auto entry = std::span(bytes).subspan(8 + i * cpuid_entry,
                                                  cpuid_entry);
            uint32_t leaf[2];
            memcpy(leaf, entry.data(), sizeof(leaf));
            say("KVM_GET_CPUID2", format("%#x.%u", leaf[0], leaf[1]), entry);
        }
    }

    void read_msrs(std::span<const uint32_t> msrs)
    {
        /* struct kvm_msrs with one entry: index at 8, data at 16. */
        for (uint32_t index : msrs) {
            uint64_t words[3] = {1, index, 0};
            if (ask(fd_, request("KVM_GET_MSRS"), uintptr_t(words)) == 1) {
                say("KVM_GET_MSRS", format("%#x", index), words[2]);
            }
        }
    }

    void read_xsave(size_t size)
    {
        std::vector<uint8_t> bytes(size);
        const char *name = size > 4096 ? "KVM_GET_XSAVE2" : "KVM_GET_XSAVE";
        if (ask(fd_, request(name), uintptr_t(bytes.data())) >= 0) {
            say(name, "", bytes);
        }
    }

    void read_nested_state()
    {
        /* struct kvm_nested_state: its whole size at 4. */
        std::vector<uint8_t> bytes(nested_state);
        uint32_t size = nested_state;
        memcpy(&bytes[4], &size, sizeof(size));
        if (ask(fd_, request("KVM_GET_NESTED_STATE"), uintptr_t(bytes.data())) <
            0) {
            return;
        }
        memcpy(&size, &bytes[4], sizeof(size));
        say("KVM_GET_NESTED_STATE", "",
            std::span(bytes).first(std::min<size_t>(size, bytes.size())));
    }

    void read_tsc_offset()
    {
        /* struct kvm_device_attr: flags and group, attribute, address. */
        uint64_t value = 0;
        uint64_t attr[3] = {0, 0, uintptr_t(&value)};
        if (ask(fd_, request("KVM_GET_DEVICE_ATTR"), uintptr_t(attr)) >= 0) {
            say("KVM_GET_DEVICE_ATTR", "TSC offset", value);
        }
    }

    int fd_;
    ObjectPtr object_;
};

/* The MSRs of one of KVM's two lists. */
void add_msrs(int system, const char *list, std::vector<uint32_t> &msrs)
{
    std::vector<uint32_t> words(1 + 1024);
    words[0] = 1024;
    if (ask(system, find_row(list)->request, uintptr_t(words.data())) >= 0) {
        msrs.insert(msrs.end(), words.begin() + 1,
                    words.begin() + 1 + words[0]);
    }
}

} /* namespace */

void read_back(Objects &objects, unsigned vm)
{
    std::vector<uint32_t> msrs;
    size_t xsave_size = 4096;

    for (const auto &open : objects.of(0)) {
        if (msrs.empty()) {
            add_msrs(open.fd, "KVM_GET_MSR_INDEX_LIST", msrs);
            add_msrs(open.fd, "KVM_GET_MSR_FEATURE_INDEX_LIST", msrs);
        }
    }
    for (const auto &open : objects.of(vm)) {
        if (open.object->kind == FdClass::Vm) {
            int size = ask(open.fd, find_row("KVM_CHECK_EXTENSION")->request,
                           cap_xsave2);
            xsave_size = std::max<size_t>(xsave_size, std::max(size, 0));
        }
    }
    for (const auto &open : objects.of(vm)) {
        if (open.object->kind == FdClass::Vm ||
            open.object->kind == FdClass::Vcpu) {
            Reader(open).read_all(msrs, xsave_size);
        }
    }
}

} /* namespace audit */
