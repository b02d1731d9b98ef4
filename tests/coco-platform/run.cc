/*
 * KVM_RUN, and what a guest asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A real guest shares its pages and gives up through its GHCB, or TDCALL.
 * The guest here is an ordinary one.  It can say the same through three
 * 32-bit ports, and the program gets the exit that Linux makes of it:
 *
 *     out 0xc0c0, page number
 *     out 0xc0c4, number of pages
 *     out 0xc0c8, 1 (share), 2 (make private): KVM_HC_MAP_GPA_RANGE
 *                 0x100 | reason (0 to 255): terminate, as SEV_TERM
 *     in  0xc0c8, 0 or the error with which the last one was answered
 */

#include "platform.h"

#include <cstring>

#include "log.h"
#include "sev.h"
#include "tdx.h"

namespace coco {

constexpr uint16_t kPortPage = 0xc0c0;
constexpr uint16_t kPortCount = 0xc0c4;
constexpr uint16_t kPortCommand = 0xc0c8;
constexpr uint32_t kShare = 1;
constexpr uint32_t kMakePrivate = 2;
constexpr uint32_t kTerminate = 0x100;

/* The GHCB's request to terminate: in bits 0 to 11 of its MSR. */
constexpr uint64_t kGhcbTerminate = 0x100;

/* As VMRUN of an address space or save area that is not ready. */
static int cannot_enter(const File &file, kvm_run *run)
{
    log_event("fail_entry", file.vm->number()).number("vcpu", file.vcpu->id);
    if (!run) {
        return -EINVAL;
    }
    run->exit_reason = KVM_EXIT_FAIL_ENTRY;
    run->fail_entry.hardware_entry_failure_reason = ~0ull;
    run->fail_entry.cpu = 0;
    return 0;
}

static void ask_to_convert(Vcpu *vcpu, kvm_run *run, bool to_private)
{
    memset(&run->hypercall, 0, sizeof(run->hypercall));
    run->exit_reason = KVM_EXIT_HYPERCALL;
    run->hypercall.nr = kMapGpaRange;
    run->hypercall.args[0] = uint64_t(vcpu->request_page) * kPage;
    run->hypercall.args[1] = vcpu->request_pages;
    run->hypercall.args[2] = to_private ? kMapGpaEncrypted : 0;
    vcpu->request_pending = true;
}

static void ask_to_end(const File &file, kvm_run *run, uint32_t reason)
{
    log_event("guest_terminates", file.vm->number()).number("reason", reason);
    run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run->system_event.type = kSystemEventSevTerm;
    run->system_event.ndata = 1;
    run->system_event.data[0] = kGhcbTerminate | uint64_t(reason) << 16;
}

/* Whether the exit was the platform's to handle and the guest goes on. */
static bool answer_port(const File &file, kvm_run *run)
{
    if (run->exit_reason != KVM_EXIT_IO || run->io.size != 4 ||
        run->io.count != 1 || run->io.port < kPortPage ||
        run->io.port > kPortCommand) {
        return false;
    }
    uint32_t value;
    uint8_t *data = reinterpret_cast<uint8_t *>(run) + run->io.data_offset;
    Vcpu *vcpu = file.vcpu.get();
    if (run->io.direction == KVM_EXIT_IO_IN) {
        memcpy(data, &vcpu->request_result, sizeof(value));
        return true;
    }
    memcpy(&value, data, sizeof(value));
    if (run->io.port == kPortPage) {
        vcpu->request_page = value;
    } else if (run->io.port == kPortCount) {
        vcpu->request_pages = value;
    } else if ((value == kShare || value == kMakePrivate) &&
               file.vm->has_private_memory()) {
        ask_to_convert(vcpu, run, value == kMakePrivate);
        return false;
    } else if (value >= kTerminate && value < 2 * kTerminate) {
        ask_to_end(file, run, value & 0xff);
        return false;
    }
    return true;
}

int run_vcpu(const File &file, int fd, kvm_run *run)
{
    Vm *vm = file.vm.get();
    bool confidential = vm->sev || vm->tdx || vm->type() != kDefaultVm;
    if (!confidential) {
        return real_ioctl(fd, KVM_RUN, uintptr_t(0));
    }
    if (vm->type() == kTdxVm && (!vm->launched || !file.vcpu->tdx_ready)) {
        return -EINVAL;
    }
    bool needs_lock = vm->sev && vm->sev->es;
    if (!vm->launched || (needs_lock && !file.vcpu->locked)) {
        return cannot_enter(file, run);
    }
    if (!vm->has_run) {
        vm->first_run();
    }
    if (run && file.vcpu->request_pending) {
        file.vcpu->request_pending = false;
        file.vcpu->request_result = static_cast<uint32_t>(run->hypercall.ret);
    }
    while (true) {
        int ret = real_ioctl(fd, KVM_RUN, uintptr_t(0));
        if (ret != 0 || !run || !answer_port(file, run)) {
            return ret;
        }
    }
}

} // namespace coco
