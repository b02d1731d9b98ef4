/*
 * What the core asks of an architecture
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core knows KVM's ABI and no CPU.  The few questions whose answer
 * depends on one are asked here; target/ARCH/kvm-reset/ answers them.
 */

#ifndef KVM_RESET_ARCH_H
#define KVM_RESET_ARCH_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "definition.h"
#include "error.h"
#include "kernel.h"
#include "launch_command.h"
#include "launch_measurement.h"
#include "host_features.h"
#include "other_launch.h"
#include "state_piece.h"

namespace kvm_reset {

struct Arch {
    const char *name;
    /*
     * The MSRs that define a vCPU rather than being its state, sorted; read
     * from the kernel through the open KVM device @system.
     */
    std::vector<uint32_t> (*defining_msrs)(Kernel &kernel, int system);
    /*
     * What sub-command @id of KVM_MEMORY_ENCRYPT_OP is on an fd of class @on
     * of a VM of type @vm_type (the argument of KVM_CREATE_VM); nullptr if it
     * is not known.
     */
    const LaunchCommand *(*launch_command)(uint64_t vm_type, FdClass on,
                                           uint32_t id);
    /*
     * What the platform measures when such a guest is launched.  Takes
     * milliseconds for megabytes.
     */
    Result<LaunchMeasurement> (*measure)(const Definition &definition);
    /*
     * The launch that the IGVM file in @bytes asks for, of the guest that
     * @recorded is.  Fails if the file is not for that guest.  Any thread.
     */
    Result<OtherLaunch> (*launch_of_igvm)(Kernel &kernel,
                                          const Definition &recorded,
                                          std::span<const uint8_t> bytes,
                                          const LaunchHost &host);
    /*
     * Gives the vCPU behind @fd, which was reset, the @registers of
     * WrittenLaunch; those that it does not have stay.
     */
    Result<void> (*start_vcpu)(Kernel &kernel, int fd,
                               std::span<const uint8_t> registers);
    /* A guest's volatile state, in the order in which it is put. */
    std::span<const StatePiece> (*state_pieces)();
    /* What the KVM device that is open at @system offers. */
    Result<HostFeatures> (*host_features)(Kernel &kernel, int system);
    /*
     * What @before has and @now has not, in words, of what a guest of that
     * definition may use.
     */
    std::vector<std::string> (*missing_features)(const HostFeatures &before,
                                                 const HostFeatures &now,
                                                 const Snapshot &snapshot);
};

/* @arch has static storage.  Called before main(), once. */
bool register_arch(const Arch *arch);

/* The architecture that this program was linked with, or nullptr. */
const Arch *arch();

} /* namespace kvm_reset */

#endif
