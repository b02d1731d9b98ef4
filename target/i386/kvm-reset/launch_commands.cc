/*
 * The sub-commands of KVM_MEMORY_ENCRYPT_OP on x86: SEV and TDX
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers, sizes and offsets are those of <asm/kvm.h>; what the commands do
 * is in the kernel's Documentation/virt/kvm/x86/amd-memory-encryption.rst and
 * intel-tdx.rst.
 */

#include "launch_commands.h"

#include <algorithm>
#include <array>

namespace kvm_reset {

namespace {

constexpr auto Vm = FdClass::Vm;
constexpr auto Vcpu = FdClass::Vcpu;
using enum LaunchEffect;

constexpr Field sev_error{16, 4};
constexpr Field tdx_error{16, 8};

/* KVM_CREATE_VM: KVM_X86_TDX_VM. */
constexpr uint64_t tdx_vm_type = 5;

/* A page that is added as zeros has no source. */
constexpr uint64_t snp_page_type_zero = 3;

constexpr LaunchPointer to(uint16_t offset, Field length, uint32_t unit = 1)
{
    return {.offset = offset, .length = length, .unit = unit};
}

constexpr LaunchCommand sev[] = {
    {.name = "KVM_SEV_INIT", .id = 0, .effect = Define},
    {.name = "KVM_SEV_ES_INIT", .id = 1, .effect = Define},
    {.name = "KVM_SEV_LAUNCH_START",
     .id = 2,
     .effect = Define,
     .size = 40,
     .pointers = {to(8, {16, 4}), to(24, {32, 4})}},
    {.name = "KVM_SEV_LAUNCH_UPDATE_DATA",
     .id = 3,
     .effect = Step,
     .size = 16,
     .pointers = {{{.offset = 0,
                    .length = {8, 4},
                    .unit = 1,
                    .pointing = LaunchPointing::InPlace}}}},
    {.name = "KVM_SEV_LAUNCH_UPDATE_VMSA", .id = 4, .effect = Step},
    {.name = "KVM_SEV_LAUNCH_SECRET", .id = 5, .effect = Secret},
    {.name = "KVM_SEV_LAUNCH_MEASURE",
     .id = 6,
     .effect = Step,
     .size = 16,
     .pointers = {{{.offset = 0,
                    .length = {8, 4},
                    .unit = 1,
                    .pointing = LaunchPointing::From}}},
     .note = "a question, without which the firmware does not go on"},
    {.name = "KVM_SEV_LAUNCH_FINISH", .id = 7, .effect = Finish},
    {.name = "KVM_SEV_SEND_START",
     .id = 8,
     .effect = Foreign,
     .note = "migration"},
    {.name = "KVM_SEV_SEND_UPDATE_DATA",
     .id = 9,
     .effect = Foreign,
     .note = "migration"},
    {.name = "KVM_SEV_SEND_UPDATE_VMSA",
     .id = 10,
     .effect = Foreign,
     .note = "migration"},
    {.name = "KVM_SEV_SEND_FINISH",
     .id = 11,
     .effect = Foreign,
     .note = "migration"},
    {.name = "KVM_SEV_RECEIVE_START",
     .id = 12,
     .effect = Foreign,
     .note = "the source has the key"},
    {.name = "KVM_SEV_RECEIVE_UPDATE_DATA",
     .id = 13,
     .effect = Foreign,
     .note = "the source has the key"},
    {.name = "KVM_SEV_RECEIVE_UPDATE_VMSA",
     .id = 14,
     .effect = Foreign,
     .note = "the source has the key"},
    {.name = "KVM_SEV_RECEIVE_FINISH",
     .id = 15,
     .effect = Foreign,
     .note = "the source has the key"},
    {.name = "KVM_SEV_GUEST_STATUS", .id = 16, .effect = Query},
    {.name = "KVM_SEV_DBG_DECRYPT", .id = 17, .effect = Query},
    {.name = "KVM_SEV_DBG_ENCRYPT",
     .id = 18,
     .effect = Query,
     .note = "writes to the memory of a guest that may be debugged"},
    {.name = "KVM_SEV_CERT_EXPORT", .id = 19, .effect = Query},
    {.name = "KVM_SEV_GET_ATTESTATION_REPORT", .id = 20, .effect = Query},
    {.name = "KVM_SEV_SEND_CANCEL",
     .id = 21,
     .effect = Foreign,
     .note = "migration"},
    {.name = "KVM_SEV_INIT2", .id = 22, .effect = Define, .size = 48},
    {.name = "KVM_SEV_SNP_LAUNCH_START",
     .id = 100,
     .effect = Define,
     .size = 64},
    {.name = "KVM_SEV_SNP_LAUNCH_UPDATE",
     .id = 101,
     .effect = Step,
     .size = 64,
     .pointers = {{{.offset = 8,
                    .length = {16, 8},
                    .unit = 1,
                    .when = {24, 1},
                    .equal = false,
                    .is = snp_page_type_zero}}},
     .left = {16, 8}},
    {.name = "KVM_SEV_SNP_LAUNCH_FINISH",
     .id = 102,
     .effect = Finish,
     .size = 88,
     .pointers = {{{.offset = 0, .unit = 96, .when = {16, 1}, .is = 1},
                   {.offset = 8, .unit = 4096, .when = {16, 1}, .is = 1}}}},
};

constexpr LaunchCommand tdx[] = {
    {.name = "KVM_TDX_CAPABILITIES", .id = 0, .effect = Query},
    {.name = "KVM_TDX_INIT_VM",
     .id = 1,
     .effect = Define,
     .size = 264,
     .tail = {{256, 4}, 40}},
    {.name = "KVM_TDX_INIT_VCPU",
     .id = 2,
     .on = Vcpu,
     .effect = Define,
     .data_is_value = true},
    {.name = "KVM_TDX_INIT_MEM_REGION",
     .id = 3,
     .on = Vcpu,
     .effect = Step,
     .size = 24,
     .pointers = {to(0, {16, 8}, 4096)},
     .left = {16, 8}},
    {.name = "KVM_TDX_FINALIZE_VM", .id = 4, .effect = Finish},
    {.name = "KVM_TDX_GET_CPUID", .id = 5, .on = Vcpu, .effect = Query},
};

/* All commands of a vendor have the error in one place. */
template <size_t size>
constexpr auto with_error(const LaunchCommand (&rows)[size], Field error)
{
    std::array<LaunchCommand, size> commands;
    std::copy(std::begin(rows), std::end(rows), commands.begin());
    for (LaunchCommand &command : commands) {
        command.error = error;
    }
    return commands;
}

constexpr auto sev_table = with_error(sev, sev_error);
constexpr auto tdx_table = with_error(tdx, tdx_error);

} /* namespace */

std::span<const LaunchCommand> sev_commands()
{
    return sev_table;
}

std::span<const LaunchCommand> tdx_commands()
{
    return tdx_table;
}

const LaunchCommand *x86_launch_command(uint64_t vm_type, FdClass on,
                                        uint32_t id)
{
    std::span<const LaunchCommand> commands = vm_type == tdx_vm_type
                                                ? tdx_commands()
                                                : sev_commands();
    auto found = std::ranges::find_if(
        commands, [&](const LaunchCommand &command) {
            return command.id == id && command.on == on;
        });
    return found == commands.end() ? nullptr : &*found;
}

} /* namespace kvm_reset */
