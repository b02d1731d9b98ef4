/*
 * A SEV, SEV-ES or SEV-SNP guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_SEV_H
#define COCO_SEV_H

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "abi.h"
#include "asid.h"
#include "digest.h"
#include "encrypted.h"
#include "files.h"
#include "vm.h"

namespace coco {

/* What kvm_amd and the firmware know of one guest. */
class SevGuest {
public:
    struct Region {
        uint64_t address;
        uint64_t size;
    };

    bool es = false;
    bool snp = false;
    uint64_t vmsa_features = 0;
    std::unique_ptr<Asid> asid;
    std::list<Region> regions; /* KVM_MEMORY_ENCRYPT_REG_REGION */

    /* The firmware's context, from LAUNCH_START on */
    bool started = false;
    GuestState state = kStateUninit;
    uint32_t handle = 0;
    uint64_t policy = 0;
    int sev_fd = 0; /* the number of /dev/sev, as LAUNCH_START had it */
    std::array<uint8_t, 16> tik = {};
    std::array<uint8_t, 16> tek = {};
    Sha256 measure = {}; /* what LAUNCH_MEASURE answered */
    SevDigest digest;
    SnpDigest snp_digest;
    std::unique_ptr<EncryptedMemory> memory;

    const char *tee() const { return snp ? "snp" : es ? "sev-es" : "sev"; }
};

/** KVM_MEMORY_ENCRYPT_OP of a VM; arg as the program gave it. -errno or 0. */
int sev_memory_encrypt_op(Vm *vm, uintptr_t arg);
int sev_register_region(Vm *vm, const kvm_enc_region &region);
int sev_unregister_region(Vm *vm, const kvm_enc_region &region);

/** The bits of vmsa_features that KVM_SEV_INIT2 takes. */
uint64_t sev_vmsa_features();

/** Whether these pages can be pinned for the guest: 0 or -errno. */
int sev_pin(const SevGuest &sev, uint64_t address, uint64_t size);

/* One command's own part, with the VM's lock held. fw_error is for *error. */
struct SevCall {
    Vm *vm;
    SevGuest *sev;
    uint64_t data;
    uint32_t sev_fd;
    uint32_t *fw_error;
};

/** What firmware said no with: sets it, and returns what Linux returns. */
int fw_refuses(const SevCall &call, FwError error);

/** 0 if this is the number of an open /dev/sev, else -EBADF. */
int check_sev_fd(uint32_t fd);

/** Asks step(): 0, or the error that is wanted here. */
int fault_in(const SevCall &call, const char *what, uint64_t pages = 0);

int sev_launch_start(const SevCall &call);
int sev_launch_update_data(const SevCall &call);
int sev_launch_update_vmsa(const SevCall &call);
int sev_launch_measure(const SevCall &call);
int sev_launch_secret(const SevCall &call);
int sev_launch_finish(const SevCall &call);
int sev_guest_status(const SevCall &call);
int sev_get_attestation_report(const SevCall &call);
int snp_launch_start(const SevCall &call);
int snp_launch_update(const SevCall &call);
int snp_launch_finish(const SevCall &call);

/** Locks the registers of a vCPU and returns its save area; 0 or -errno. */
int take_vmsa(const SevCall &call, Vcpu *vcpu,
              std::array<uint8_t, kPage> *vmsa);

/** Whether SNP firmware takes this CPUID page; if not, it is put right. */
bool check_cpuid_page(std::span<uint8_t> page);

/* --- /dev/sev --------------------------------------------------------- */

/** A file that stands for /dev/sev; its fd, or -errno. */
int open_sev_device(int flags);
int sev_device_ioctl(unsigned long request, uintptr_t arg);

} // namespace coco

#endif
