/*
 * KVM_RUN, and what a guest asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A real guest shares its pages and gives up through its GHCB, or TDCALL.
 * The guest here is an ordinary one.  It can say the same through nine ports,
 * in whatever portions, and the program gets the exit that Linux makes of it:
 *
 *     0xc0c0 to 0xc0c3   out: number of the first page, little endian
 *     0xc0c4 to 0xc0c7   out: number of pages
 *     0xc0c8             out: 1 share, 2 make private: KVM_HC_MAP_GPA_RANGE;
 *                        3 terminate, the reason is the first port's:
 *                        SEV_TERM, or TDX_FATAL; 4 the system event whose
 *                        number is the first port's; 5 shutdown, as after a
 *                        triple fault; 6 an error inside of KVM; 7 a TD's
 *                        quote, of the request in these pages
 *                        in: 0, or 1 if the last request was refused
 *
 * So in a Linux guest, as root, page 0x1000 becomes shared with
 *
 *     printf '\0\20\0\0\1\0\0\0\1' | dd of=/dev/port bs=1 seek=49344
 */

#include "platform.h"

#include <cstring>

#include "log.h"
#include "sev.h"
#include "tdx.h"

namespace coco {

constexpr uint16_t kPort = 0xc0c0;
constexpr uint16_t kCommandPort = kPort + 8;

enum Command : uint8_t {
    kShare = 1,
    kMakePrivate = 2,
    kTerminate = 3,
    kSystemEvent = 4,
    kShutdown = 5,
    kInternalError = 6,
    kGetQuote = 7
};

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

static uint32_t word_of(const Vcpu &vcpu, size_t offset)
{
    uint32_t word;
    memcpy(&word, vcpu.request.data() + offset, sizeof(word));
    return word;
}

static void ask_to_convert(Vcpu *vcpu, kvm_run *run, bool to_private)
{
    memset(&run->hypercall, 0, sizeof(run->hypercall));
    run->exit_reason = KVM_EXIT_HYPERCALL;
    run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
    run->hypercall.args[0] = uint64_t(word_of(*vcpu, 0)) * kPage;
    run->hypercall.args[1] = word_of(*vcpu, 4);
    run->hypercall.args[2] = to_private ? kMapGpaEncrypted : 0;
    vcpu->request_pending = true;
}

static void ask_for_quote(Vcpu *vcpu, kvm_run *run)
{
    TdxExit exit = {};
    exit.nr = kTdvmcallGetQuote;
    exit.gpa = uint64_t(word_of(*vcpu, 0)) * kPage;
    exit.size = uint64_t(word_of(*vcpu, 4)) * kPage;
    run->exit_reason = kExitTdx;
    memcpy(&run->hypercall, &exit, sizeof(exit));
    vcpu->request_pending = true;
}

/* What the program has answered. */
static bool refused(const kvm_run &run)
{
    TdxExit exit;
    memcpy(&exit, &run.hypercall, sizeof(exit));
    return (run.exit_reason == kExitTdx ? exit.ret : run.hypercall.ret) != 0;
}

/* SEV_TERM with the GHCB's MSR, or a TD's report of a fatal error in R12. */
static void ask_to_end(const File &file, kvm_run *run)
{
    constexpr size_t kR12 = 12;
    uint64_t reason = file.vcpu->request[0];
    bool td = file.vm->type() == KVM_X86_TDX_VM;
    log_event("guest_terminates", file.vm->number())
        .number("reason", static_cast<int64_t>(reason));
    memset(&run->system_event, 0, sizeof(run->system_event));
    run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run->system_event.type = td ? KVM_SYSTEM_EVENT_TDX_FATAL
                                : KVM_SYSTEM_EVENT_SEV_TERM;
    run->system_event.ndata = td ? 16 : 1;
    run->system_event.data[td ? kR12 : 0] = reason << 16 |
                                            (td ? 0 : kGhcbTerminate);
}

/* As Linux makes of Hyper-V's and of other requests: no data. */
static void ask_for_event(const File &file, kvm_run *run)
{
    memset(&run->system_event, 0, sizeof(run->system_event));
    run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run->system_event.type = file.vcpu->request[0];
}

static void fail_inside(kvm_run *run)
{
    memset(&run->internal, 0, sizeof(run->internal));
    run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
}

/* Whether the program is to see the exit, which is then the command's. */
static bool obey(const File &file, kvm_run *run, uint8_t command)
{
    if (file.vm->has_private_memory() &&
        (command == kShare || command == kMakePrivate)) {
        ask_to_convert(file.vcpu.get(), run, command == kMakePrivate);
        return true;
    }
    if (file.vm->type() == KVM_X86_TDX_VM && command == kGetQuote) {
        ask_for_quote(file.vcpu.get(), run);
        return true;
    }
    switch (command) {
    case kTerminate:
        ask_to_end(file, run);
        return true;
    case kSystemEvent:
        ask_for_event(file, run);
        return true;
    case kShutdown:
        run->exit_reason = KVM_EXIT_SHUTDOWN;
        return true;
    case kInternalError:
        fail_inside(run);
        return true;
    default:
        file.vcpu->request_refused = true;
        return false;
    }
}

/* A save area that was shut down stays so: nobody can put it right. */
static bool is_shut_down(const File &file, kvm_run *run)
{
    if (!run || !file.vcpu->shut_down || run->immediate_exit) {
        return false;
    }
    run->exit_reason = KVM_EXIT_SHUTDOWN;
    return true;
}

/* Whether the exit was the platform's to handle and the guest goes on. */
static bool answer_port(const File &file, kvm_run *run)
{
    if (run->exit_reason != KVM_EXIT_IO || run->io.count != 1 ||
        run->io.port < kPort || run->io.port > kCommandPort) {
        return false;
    }
    Vcpu *vcpu = file.vcpu.get();
    uint8_t *data = reinterpret_cast<uint8_t *>(run) + run->io.data_offset;
    if (run->io.direction == KVM_EXIT_IO_IN) {
        memset(data, 0, run->io.size);
        data[0] = vcpu->request_refused;
        return true;
    }
    for (uint8_t i = 0; i < run->io.size; i++) {
        uint16_t port = run->io.port + i;
        if (port == kCommandPort) {
            return !obey(file, run, data[i]);
        }
        vcpu->request[port - kPort] = data[i];
    }
    return true;
}

int run_vcpu(const File &file, int fd, kvm_run *run)
{
    Vm *vm = file.vm.get();
    bool confidential = vm->sev || vm->tdx || vm->type() != KVM_X86_DEFAULT_VM;
    if (!confidential) {
        return real_ioctl(fd, KVM_RUN, uintptr_t(0));
    }
    if (vm->type() == KVM_X86_TDX_VM &&
        (!vm->launched || !file.vcpu->tdx_ready)) {
        return -EINVAL;
    }
    bool needs_lock = vm->sev && vm->sev->es;
    if (!vm->launched || (needs_lock && !file.vcpu->locked)) {
        return cannot_enter(file, run);
    }
    if (vm->killed) {
        return -EIO;
    }
    if (int ret = vm->first_run(); ret != 0) {
        return ret;
    }
    if (run && file.vcpu->request_pending) {
        file.vcpu->request_pending = false;
        file.vcpu->request_refused = refused(*run);
    }
    if (is_shut_down(file, run)) {
        return 0;
    }
    while (true) {
        int ret = real_ioctl(fd, KVM_RUN, uintptr_t(0));
        if (ret == 0 && run && answer_port(file, run)) {
            continue;
        }
        file.vcpu->shut_down = file.vcpu->locked && ret == 0 && run &&
                               run->exit_reason == KVM_EXIT_SHUTDOWN;
        return ret;
    }
}

} // namespace coco
