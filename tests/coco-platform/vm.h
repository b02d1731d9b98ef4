/*
 * A VM, its vCPUs and its memory, as the platform keeps them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A VM lives, here as in the kernel, until the last file is closed that
 * belongs to it: its own, a vCPU's, a device's, a guest_memfd's, and what is
 * mapped of them (files.h).  Its destructor is the teardown.
 */

#ifndef COCO_VM_H
#define COCO_VM_H

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "abi.h"
#include "ranges.h"
#include "view.h"

namespace coco {

class Vm;
class SevGuest;
class TdxGuest;

struct Vcpu {
    uint32_t id = 0;
    std::atomic<kvm_run *> run = nullptr; /* where it was mapped last */
    /* Its registers are the guest's own: nobody else sees or sets them. */
    std::atomic<bool> locked = false;
    bool debugged = false;  /* by KVM_SET_GUEST_DEBUG */
    bool tdx_ready = false; /* KVM_TDX_INIT_VCPU was done */
    /* What KVM_SET_CPUID2 said: more than the guest is shown. */
    std::vector<kvm_cpuid_entry2> cpuid;
    /* What the guest asks of the platform (run.cc) */
    std::array<uint8_t, 8> request = {};
    bool request_refused = false;
    bool request_pending = false;
    bool shut_down = false; /* by a triple fault, and locked */
};

/* A guest_memfd: a memfd of the platform's, of which the program has a
 * duplicate. */
class Gmem {
public:
    Gmem(Vm *vm, int fd, uint64_t size) : vm_(vm), fd_(fd), size_(size) {}
    ~Gmem();
    Gmem(const Gmem &) = delete;
    Gmem &operator=(const Gmem &) = delete;

    Vm *vm() const { return vm_; }
    int fd() const { return fd_; }
    uint64_t size() const { return size_; }

    /** Pages that are there from now on; 0 or -ENOMEM. The VM's lock held. */
    int populate(uint64_t from, uint64_t to);

    /** Takes pages from the guest, one by one, which takes its time. The VM's
     *  lock not held. */
    void reclaim(uint64_t from, uint64_t to);

    /* Offsets of pages that the launch put there: assigned to the guest. */
    Ranges loaded;
    /* Those of them whose contents came from the host. */
    Ranges filled;

private:
    Vm *vm_;
    int fd_;
    uint64_t size_;
    Ranges populated_;
};

struct Slot {
    uint32_t id;
    uint32_t flags;
    uint64_t gpa;
    uint64_t size;
    uint64_t host_address;
    std::shared_ptr<View> view; /* null: KVM has the program's own address */
    Gmem *gmem = nullptr;       /* null: none, or it was closed */
    bool private_slot = false;  /* made with KVM_MEM_GUEST_MEMFD */
    uint64_t gmem_offset = 0;

    bool holds(uint64_t address) const
    {
        return address >= gpa && address - gpa < size;
    }
};

class Vm {
public:
    explicit Vm(uint32_t type);
    ~Vm();
    Vm(const Vm &) = delete;
    Vm &operator=(const Vm &) = delete;

    uint64_t number() const { return number_; }

    /** The type that KVM_CREATE_VM was given. */
    uint32_t type() const { return type_; }
    bool has_private_memory() const
    {
        return type_ == KVM_X86_SNP_VM || type_ == KVM_X86_TDX_VM;
    }
    /** Refuses access to locked registers, where other types ignore it. */
    bool refuses_locked() const
    {
        return type_ == KVM_X86_SEV_ES_VM || has_private_memory();
    }

    /* As in the kernel, one lock for what follows. */
    std::mutex lock;
    std::vector<std::shared_ptr<Vcpu>> vcpus; /* in order of creation */
    std::map<uint32_t, Slot> slots;
    Ranges private_pages; /* guest addresses with the private attribute */
    std::unique_ptr<SevGuest> sev; /* after KVM_SEV_INIT… */
    std::unique_ptr<TdxGuest> tdx; /* after KVM_TDX_INIT_VM */

    /** The guest may run: whatever its kind of launch asks for is done. */
    std::atomic<bool> launched = false;
    std::atomic<bool> has_run = false;
    /* Before it ran it lost what it was launched from. */
    std::atomic<bool> killed = false;
    std::atomic<bool> split_irqchip = false; /* KVM_CAP_SPLIT_IRQCHIP */

    /** Time spent in the platform's own commands (launch_work.h). */
    std::atomic<uint64_t> definition_ns = 0;
    std::atomic<uint64_t> launch_ns = 0;

    /** The slot with this guest address, or null. Lock held. */
    Slot *slot_of(uint64_t gpa);

    /** Makes views right after something changed; 0 or -errno. Lock held. */
    int show(Slot *slot, uint64_t offset, uint64_t length);
    int show_guest_range(uint64_t gpa, uint64_t length);

    /** Before the guest's first instruction: its private memory is new, and
     *  from then on it has all of it; 0 or -ENOMEM. */
    int first_run();

    /** The guest is at work with what is private of this range: 0, or -ENOMEM,
     *  as KVM_RUN says until there is enough. Lock held. */
    int populate(uint64_t gpa, uint64_t end);
    std::atomic<bool> lacks_memory = false;

    /** Bytes of private memory, of all of its guest_memfds. */
    std::atomic<uint64_t> private_bytes = 0;

private:
    int show_private_slot(Slot *slot, uint64_t offset, uint64_t length);
    void make_new(const Slot &slot);

    uint64_t number_;
    uint32_t type_;
};

} // namespace coco

#endif
