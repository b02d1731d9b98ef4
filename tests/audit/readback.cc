/*
 * Everything that KVM lets one read of a VM and its vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM API, chapter 4.
 */

#include "readback.h"

#include <cstring>
#include <memory>
#include <sys/syscall.h>
#include <unistd.h>

#include "argument.h"
#include "catalogue.h"
#include "error.h"
#include "field_of.h"
#include "json.h"
#include "kvm_abi.h"

namespace audit {

using kvm_reset::FdClass;
using kvm_reset::Field;
using kvm_reset::field_of;
using kvm_reset::find_row;
using kvm_reset::format;
using kvm_reset::read_field;
using kvm_reset::write_field;
using namespace kvm_reset::abi;

namespace {

constexpr unsigned caps = 256;
constexpr size_t cpuid_entries = 256;
constexpr size_t nested_state = sizeof(kvm_nested_state) + 8192;

/* A fixed struct; where there are several, @which says which one is meant. */
struct Reading {
    FdClass on;
    const char *name;
    unsigned first = 0;
    unsigned last = 0;
    Field which = {};
};

constexpr Reading readings[] = {
    {FdClass::Vm, "KVM_GET_IRQCHIP", 0, KVM_IRQCHIP_IOAPIC,
     field_of(&kvm_irqchip::chip_id)},
    {FdClass::Vm, "KVM_GET_PIT2"},
    {FdClass::Vm, "KVM_GET_CLOCK"},
    {FdClass::Vm, "KVM_XEN_HVM_GET_ATTR", 0, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
     field_of(&kvm_xen_hvm_attr::type)},
    {FdClass::Vcpu, "KVM_GET_REGS"},
    {FdClass::Vcpu, "KVM_GET_SREGS"},
    {FdClass::Vcpu, "KVM_GET_SREGS2"},
    {FdClass::Vcpu, "KVM_GET_DEBUGREGS"},
    {FdClass::Vcpu, "KVM_GET_XCRS"},
    {FdClass::Vcpu, "KVM_GET_LAPIC"},
    {FdClass::Vcpu, "KVM_GET_MP_STATE"},
    {FdClass::Vcpu, "KVM_GET_VCPU_EVENTS"},
    {FdClass::Vcpu, "KVM_XEN_VCPU_GET_ATTR", 0,
     KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, field_of(&kvm_xen_vcpu_attr::type)},
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
        auto cpuid = std::make_unique<kvm_cpuid2_of<cpuid_entries>>();

        if (ask(fd_, request("KVM_GET_CPUID2"), uintptr_t(cpuid.get())) < 0) {
            return;
        }
        for (uint32_t i = 0; i < cpuid->nent && i < cpuid_entries; i++) {
            const kvm_cpuid_entry2 &entry = cpuid->entries[i];
            say("KVM_GET_CPUID2", format("%#x.%u", entry.function, entry.index),
                {reinterpret_cast<const uint8_t *>(&entry), sizeof(entry)});
        }
    }

    void read_msrs(std::span<const uint32_t> msrs)
    {
        for (uint32_t index : msrs) {
            kvm_msrs_of<1> one{.entries = {{.index = index}}};
            if (ask(fd_, request("KVM_GET_MSRS"), uintptr_t(&one)) == 1) {
                say("KVM_GET_MSRS", format("%#x", index), one.entries[0].data);
            }
        }
    }

    void read_xsave(size_t size)
    {
        std::vector<uint8_t> bytes(size);
        const char *name = size > sizeof(kvm_xsave) ? "KVM_GET_XSAVE2"
                                                    : "KVM_GET_XSAVE";
        if (ask(fd_, request(name), uintptr_t(bytes.data())) >= 0) {
            say(name, "", bytes);
        }
    }

    void read_nested_state()
    {
        constexpr Field size_field = field_of(&kvm_nested_state::size);
        std::vector<uint8_t> bytes(nested_state);
        write_field(bytes, size_field, nested_state);
        if (ask(fd_, request("KVM_GET_NESTED_STATE"), uintptr_t(bytes.data())) <
            0) {
            return;
        }
        size_t size = read_field(bytes, size_field);
        say("KVM_GET_NESTED_STATE", "",
            std::span(bytes).first(std::min(size, bytes.size())));
    }

    void read_tsc_offset()
    {
        uint64_t value = 0;
        kvm_device_attr attr{.group = KVM_VCPU_TSC_CTRL,
                             .attr = KVM_VCPU_TSC_OFFSET,
                             .addr = uintptr_t(&value)};
        if (ask(fd_, request("KVM_GET_DEVICE_ATTR"), uintptr_t(&attr)) >= 0) {
            say("KVM_GET_DEVICE_ATTR", "TSC offset", value);
        }
    }

    int fd_;
    ObjectPtr object_;
};

/* The MSRs of one of KVM's two lists. */
void add_msrs(int system, const char *list, std::vector<uint32_t> &msrs)
{
    kvm_msr_list_of<1024> found;
    if (ask(system, find_row(list)->request, uintptr_t(&found)) >= 0) {
        msrs.insert(msrs.end(), found.indices, found.indices + found.nmsrs);
    }
}

} /* namespace */

void read_back(Objects &objects, unsigned vm)
{
    std::vector<uint32_t> msrs;
    size_t xsave_size = sizeof(kvm_xsave);

    for (const auto &open : objects.of(0)) {
        if (msrs.empty()) {
            add_msrs(open.fd, "KVM_GET_MSR_INDEX_LIST", msrs);
            add_msrs(open.fd, "KVM_GET_MSR_FEATURE_INDEX_LIST", msrs);
        }
    }
    for (const auto &open : objects.of(vm)) {
        if (open.object->kind == FdClass::Vm) {
            int size = ask(open.fd, find_row("KVM_CHECK_EXTENSION")->request,
                           KVM_CAP_XSAVE2);
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
