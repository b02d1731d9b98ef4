/*
 * A platform for confidential guests without one, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What KVM and the firmware keep of one VM: how far its launch is, what was
 * measured, which vCPUs are locked.  It has those rules of SEV, SEV-ES,
 * SEV-SNP and TDX that a rebirth could break, and refuses as KVM does.
 */

#ifndef TESTS_UNIT_FAKE_COCO_H
#define TESTS_UNIT_FAKE_COCO_H

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fake_slots.h"
#include "kvm_struct.h"

class FakeCoco {
public:
    /* KVM_MEMORY_ENCRYPT_OP on @role, "vm" or "vcpu N". */
    int command(const std::string &role, uintptr_t arg);
    /* KVM_SET_REGS on a vCPU. */
    int set_regs(const std::string &vcpu, uintptr_t arg);
    /* KVM_SET_MEMORY_ATTRIBUTES */
    int set_attributes(uintptr_t arg);
    /* A private slot is deleted, and a TD loses what was launched into it. */
    void lose_pages(uint64_t gpa, uint64_t size);

    /* Answers that are no failures: so often each, and then no more. */
    struct NotReady {
        unsigned no_entropy = 0;  /* KVM_TDX_INIT_VM: EAGAIN */
        unsigned busy = 0;        /* KVM_TDX_FINALIZE_VM: EBUSY */
        unsigned signals = 0;     /* KVM_SEV_SNP_LAUNCH_UPDATE: EIO */
        unsigned early = 0;       /* so many before each call of it, too */
        unsigned interrupted = 0; /* any command: EINTR */
        unsigned idle = 0;        /* steps that add pages: none is */
        /* To one that adds a part of them, if not as Linux. */
        std::optional<int> in_part = {};
        unsigned cpuid = 0; /* CPUID pages: refused, and written over */
    };
    NotReady *not_ready = nullptr; /* of all VMs */
    const FakeSlots *slots = nullptr;
    uint64_t vm_type = 0;
    uint8_t key = 0; /* what memory is encrypted with */
    bool has_asid = false;
    bool free_asid = true;      /* whether there would be one */
    unsigned most_pages = 1000; /* that one call adds */
    std::set<std::string> vcpus;
    /* What was done, in order, as text; the same for the same launch. */
    std::vector<std::string> log;

private:
    enum class State {
        Nothing,
        Initialized,
        Started,
        Measured,
        Running
    };

    int sev(uint32_t id, uint64_t data);
    int snp(uint32_t id, uint64_t data);
    int tdx(const std::string &role, uint32_t id, uint64_t data);
    int initialize(const std::string &what);
    int encrypt(uint64_t data);
    int add_pages(const std::string &what, uint64_t &gpa, uint64_t unit,
                  uint64_t &source, uint64_t &left, bool has_source,
                  int in_part);
    int measure_vcpus();
    int refuse_cpuid(uint64_t page);
    bool is_private(uint64_t gpa) const;

    State state_ = State::Nothing;
    uint64_t firmware_error_ = 0;
    bool es_ = false;
    unsigned early_ = 0; /* signals before this call */
    std::map<std::string, uint64_t> regs_;
    std::set<std::string> locked_;
    std::set<uint64_t> pages_; /* what was launched, by address */
    std::vector<kvm_reset::abi::kvm_memory_attributes> ranges_;
};

#endif
