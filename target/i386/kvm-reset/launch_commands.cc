/*
 * The sub-commands of KVM_MEMORY_ENCRYPT_OP on x86: SEV and TDX
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the commands do is in the kernel's Documentation/virt/kvm/x86/
 * amd-memory-encryption.rst and intel-tdx.rst.
 */

#include "launch_commands.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "launch_abi.h"

namespace kvm_reset {

using namespace abi;

namespace {

constexpr auto Vcpu = FdClass::Vcpu;
using enum LaunchEffect;

/* A row under construction; each word is that of what it sets. */
class CommandBuilder {
public:
    constexpr CommandBuilder(const char *name, uint32_t id, LaunchEffect effect,
                             uint16_t size)
    {
        command_.name = name;
        command_.id = id;
        command_.effect = effect;
        command_.size = size;
    }

    constexpr operator LaunchCommand() const { return command_; }

    constexpr CommandBuilder &on(FdClass fd)
    {
        command_.on = fd;
        return *this;
    }

    constexpr CommandBuilder &data_is_value()
    {
        command_.data_is_value = true;
        return *this;
    }

    constexpr CommandBuilder &tail(Field count, uint16_t element)
    {
        command_.tail = {count, element};
        return *this;
    }

    constexpr CommandBuilder &pointer(LaunchPointer pointer)
    {
        command_.pointers[command_.pointers[0].unit ? 1 : 0] = pointer;
        return *this;
    }

    constexpr CommandBuilder &left(Field field)
    {
        command_.left = field;
        return *this;
    }

    constexpr CommandBuilder &not_ready(NotReady answer)
    {
        command_.not_ready = answer;
        return *this;
    }

    constexpr CommandBuilder &note(const char *why)
    {
        command_.note = why;
        return *this;
    }

private:
    LaunchCommand command_;
};

constexpr CommandBuilder command(const char *name, uint32_t id,
                                 LaunchEffect effect)
{
    return {name, id, effect, 0};
}

/* @Argument: what data points to. */
template <class Argument>
constexpr CommandBuilder command(const char *name, uint32_t id,
                                 LaunchEffect effect)
{
    return {name, id, effect, sizeof(Argument)};
}

/* A pointer, and the field that says how many bytes are there. */
template <class Struct, class Member, class Length>
constexpr LaunchPointer bytes(Member Struct::*member, Length Struct::*length,
                              LaunchPointing pointing = LaunchPointing::To)
{
    return {.offset = offset_of(member),
            .length = field_of(length),
            .unit = 1,
            .pointing = pointing};
}

constexpr uint64_t millisecond = 1'000'000;

/* A signal that comes before the first page is an EIO, too. */
constexpr NotReady interrupted = {
    .error = EIO,
    .most = 100,
    .firmware_silent = true,
    .why = "a signal came each time, or KVM cannot take the page"};
constexpr NotReady no_entropy = {.error = EAGAIN,
                                 .most = 100,
                                 .pause = millisecond,
                                 .why = "the TDX module has no entropy"};
constexpr NotReady module_is_busy = {
    .error = EBUSY,
    .most = 100,
    .pause = millisecond,
    .why = "the TDX module is busy with another TD"};

constexpr const char *migration = "migration";
constexpr const char *key_is_away = "the source has the key";

constexpr LaunchCommand sev[] = {
    command(NAMED(KVM_SEV_INIT), Define),
    command(NAMED(KVM_SEV_ES_INIT), Define),
    command<kvm_sev_launch_start>(NAMED(KVM_SEV_LAUNCH_START), Define)
        .pointer(bytes(&kvm_sev_launch_start::dh_uaddr,
                       &kvm_sev_launch_start::dh_len))
        .pointer(bytes(&kvm_sev_launch_start::session_uaddr,
                       &kvm_sev_launch_start::session_len)),
    command<kvm_sev_launch_update_data>(NAMED(KVM_SEV_LAUNCH_UPDATE_DATA), Step)
        .pointer(bytes(&kvm_sev_launch_update_data::uaddr,
                       &kvm_sev_launch_update_data::len,
                       LaunchPointing::InPlace)),
    command(NAMED(KVM_SEV_LAUNCH_UPDATE_VMSA), Step),
    command(NAMED(KVM_SEV_LAUNCH_SECRET), Secret),
    command<kvm_sev_launch_measure>(NAMED(KVM_SEV_LAUNCH_MEASURE), Step)
        .pointer(bytes(&kvm_sev_launch_measure::uaddr,
                       &kvm_sev_launch_measure::len, LaunchPointing::From))
        .note("a question, without which the firmware does not go on"),
    command(NAMED(KVM_SEV_LAUNCH_FINISH), Finish),
    command(NAMED(KVM_SEV_SEND_START), Foreign).note(migration),
    command(NAMED(KVM_SEV_SEND_UPDATE_DATA), Foreign).note(migration),
    command(NAMED(KVM_SEV_SEND_UPDATE_VMSA), Foreign).note(migration),
    command(NAMED(KVM_SEV_SEND_FINISH), Foreign).note(migration),
    command(NAMED(KVM_SEV_RECEIVE_START), Foreign).note(key_is_away),
    command(NAMED(KVM_SEV_RECEIVE_UPDATE_DATA), Foreign).note(key_is_away),
    command(NAMED(KVM_SEV_RECEIVE_UPDATE_VMSA), Foreign).note(key_is_away),
    command(NAMED(KVM_SEV_RECEIVE_FINISH), Foreign).note(key_is_away),
    command(NAMED(KVM_SEV_GUEST_STATUS), Query),
    command(NAMED(KVM_SEV_DBG_DECRYPT), Query),
    command(NAMED(KVM_SEV_DBG_ENCRYPT), Query)
        .note("writes to the memory of a guest that may be debugged"),
    command(NAMED(KVM_SEV_CERT_EXPORT), Query),
    command(NAMED(KVM_SEV_GET_ATTESTATION_REPORT), Query),
    command(NAMED(KVM_SEV_SEND_CANCEL), Foreign).note(migration),
    command<kvm_sev_init>(NAMED(KVM_SEV_INIT2), Define),
    command<kvm_sev_snp_launch_start>(NAMED(KVM_SEV_SNP_LAUNCH_START), Define),
    command(NAMED(KVM_SEV_SNP_ENABLE_REQ_CERTS), Define)
        .note("exits for the certificates of an extended report; no argument"),
    /* A page of zeros has no source; over a CPUID page that it refuses KVM
     * writes the firmware's. */
    command<kvm_sev_snp_launch_update>(NAMED(KVM_SEV_SNP_LAUNCH_UPDATE), Step)
        .pointer({.offset = offset_of(&kvm_sev_snp_launch_update::uaddr),
                  .length = field_of(&kvm_sev_snp_launch_update::len),
                  .unit = 1,
                  .when = field_of(&kvm_sev_snp_launch_update::type),
                  .equal = false,
                  .is = KVM_SEV_SNP_PAGE_TYPE_ZERO,
                  .copy_when = field_of(&kvm_sev_snp_launch_update::type),
                  .copy_is = KVM_SEV_SNP_PAGE_TYPE_CPUID})
        .left(field_of(&kvm_sev_snp_launch_update::len))
        .not_ready(interrupted),
    command<kvm_sev_snp_launch_finish>(NAMED(KVM_SEV_SNP_LAUNCH_FINISH), Finish)
        .pointer(
            {.offset = offset_of(&kvm_sev_snp_launch_finish::id_block_uaddr),
             .unit = KVM_SEV_SNP_ID_BLOCK_SIZE,
             .when = field_of(&kvm_sev_snp_launch_finish::id_block_en),
             .is = 1})
        .pointer(
            {.offset = offset_of(&kvm_sev_snp_launch_finish::id_auth_uaddr),
             .unit = KVM_SEV_SNP_ID_AUTH_SIZE,
             .when = field_of(&kvm_sev_snp_launch_finish::id_block_en),
             .is = 1}),
};

constexpr LaunchCommand tdx[] = {
    command(NAMED(KVM_TDX_CAPABILITIES), Query),
    command<kvm_tdx_init_vm>(NAMED(KVM_TDX_INIT_VM), Define)
        .tail(field_of(&kvm_tdx_init_vm::cpuid, &kvm_cpuid2::nent),
              sizeof(kvm_cpuid_entry2))
        .not_ready(no_entropy),
    command(NAMED(KVM_TDX_INIT_VCPU), Define).on(Vcpu).data_is_value(),
    command<kvm_tdx_init_mem_region>(NAMED(KVM_TDX_INIT_MEM_REGION), Step)
        .on(Vcpu)
        .pointer({.offset = offset_of(&kvm_tdx_init_mem_region::source_addr),
                  .length = field_of(&kvm_tdx_init_mem_region::nr_pages),
                  .unit = 4096})
        .left(field_of(&kvm_tdx_init_mem_region::nr_pages)),
    command(NAMED(KVM_TDX_FINALIZE_VM), Finish).not_ready(module_is_busy),
    command(NAMED(KVM_TDX_GET_CPUID), Query).on(Vcpu),
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

constexpr auto sev_table = with_error(sev, field_of(&kvm_sev_cmd::error));
constexpr auto tdx_table = with_error(tdx, field_of(&kvm_tdx_cmd::hw_error));

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
    std::span<const LaunchCommand> commands = vm_type == KVM_X86_TDX_VM
                                                ? tdx_commands()
                                                : sev_commands();
    auto found = std::ranges::find_if(
        commands, [&](const LaunchCommand &command) {
            return command.id == id && command.on == on;
        });
    return found == commands.end() ? nullptr : &*found;
}

} /* namespace kvm_reset */
