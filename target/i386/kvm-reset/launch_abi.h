/*
 * KVM's ABI for confidential guests: the commands of KVM_MEMORY_ENCRYPT_OP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See kvm_abi.h.  The names, sizes and numbers are those of <asm/kvm.h>.
 */

#ifndef TARGET_I386_KVM_RESET_LAUNCH_ABI_H
#define TARGET_I386_KVM_RESET_LAUNCH_ABI_H

#include "kvm_abi.h"

namespace kvm_reset::abi {

/* --- SEV, SEV-ES and SEV-SNP ---------------------------------------------- */

constexpr uint32_t KVM_SEV_INIT = 0;
constexpr uint32_t KVM_SEV_ES_INIT = 1;
constexpr uint32_t KVM_SEV_LAUNCH_START = 2;
constexpr uint32_t KVM_SEV_LAUNCH_UPDATE_DATA = 3;
constexpr uint32_t KVM_SEV_LAUNCH_UPDATE_VMSA = 4;
constexpr uint32_t KVM_SEV_LAUNCH_SECRET = 5;
constexpr uint32_t KVM_SEV_LAUNCH_MEASURE = 6;
constexpr uint32_t KVM_SEV_LAUNCH_FINISH = 7;
constexpr uint32_t KVM_SEV_SEND_START = 8;
constexpr uint32_t KVM_SEV_SEND_UPDATE_DATA = 9;
constexpr uint32_t KVM_SEV_SEND_UPDATE_VMSA = 10;
constexpr uint32_t KVM_SEV_SEND_FINISH = 11;
constexpr uint32_t KVM_SEV_RECEIVE_START = 12;
constexpr uint32_t KVM_SEV_RECEIVE_UPDATE_DATA = 13;
constexpr uint32_t KVM_SEV_RECEIVE_UPDATE_VMSA = 14;
constexpr uint32_t KVM_SEV_RECEIVE_FINISH = 15;
constexpr uint32_t KVM_SEV_GUEST_STATUS = 16;
constexpr uint32_t KVM_SEV_DBG_DECRYPT = 17;
constexpr uint32_t KVM_SEV_DBG_ENCRYPT = 18;
constexpr uint32_t KVM_SEV_CERT_EXPORT = 19;
constexpr uint32_t KVM_SEV_GET_ATTESTATION_REPORT = 20;
constexpr uint32_t KVM_SEV_SEND_CANCEL = 21;
constexpr uint32_t KVM_SEV_INIT2 = 22;
constexpr uint32_t KVM_SEV_SNP_LAUNCH_START = 100;
constexpr uint32_t KVM_SEV_SNP_LAUNCH_UPDATE = 101;
constexpr uint32_t KVM_SEV_SNP_LAUNCH_FINISH = 102;
constexpr uint32_t KVM_SEV_SNP_ENABLE_REQ_CERTS = 103;

constexpr uint32_t KVM_SEV_SNP_PAGE_TYPE_NORMAL = 1;
constexpr uint32_t KVM_SEV_SNP_PAGE_TYPE_ZERO = 3;
constexpr uint32_t KVM_SEV_SNP_PAGE_TYPE_UNMEASURED = 4;
constexpr uint32_t KVM_SEV_SNP_PAGE_TYPE_SECRETS = 5;
constexpr uint32_t KVM_SEV_SNP_PAGE_TYPE_CPUID = 6;

constexpr uint32_t KVM_SEV_SNP_ID_BLOCK_SIZE = 96;
constexpr uint32_t KVM_SEV_SNP_ID_AUTH_SIZE = 4096;

struct kvm_sev_init {
    uint64_t vmsa_features = 0;
    uint32_t flags = 0;
    uint16_t ghcb_version = 0;
    uint16_t pad1 = 0;
    uint32_t pad2[8] = {};
};

struct kvm_sev_launch_start {
    uint32_t handle = 0;
    uint32_t policy = 0;
    uint64_t dh_uaddr = 0;
    uint32_t dh_len = 0;
    uint32_t pad0 = 0;
    uint64_t session_uaddr = 0;
    uint32_t session_len = 0;
    uint32_t pad1 = 0;
};

struct kvm_sev_launch_update_data {
    uint64_t uaddr = 0;
    uint32_t len = 0;
    uint32_t pad0 = 0;
};

struct kvm_sev_launch_measure {
    uint64_t uaddr = 0;
    uint32_t len = 0;
    uint32_t pad0 = 0;
};

struct kvm_sev_launch_secret {
    uint64_t hdr_uaddr = 0;
    uint32_t hdr_len = 0;
    uint32_t pad0 = 0;
    uint64_t guest_uaddr = 0;
    uint32_t guest_len = 0;
    uint32_t pad1 = 0;
    uint64_t trans_uaddr = 0;
    uint32_t trans_len = 0;
    uint32_t pad2 = 0;
};

struct kvm_sev_guest_status {
    uint32_t handle = 0;
    uint32_t policy = 0;
    uint32_t state = 0;
};

struct kvm_sev_snp_launch_start {
    uint64_t policy = 0;
    uint8_t gosvw[16] = {};
    uint16_t flags = 0;
    uint8_t pad0[6] = {};
    uint64_t pad1[4] = {};
};

struct kvm_sev_snp_launch_update {
    uint64_t gfn_start = 0;
    uint64_t uaddr = 0;
    uint64_t len = 0;
    uint8_t type = 0;
    uint8_t pad0 = 0;
    uint16_t flags = 0;
    uint32_t pad1 = 0;
    uint64_t pad2[4] = {};
};

struct kvm_sev_snp_launch_finish {
    uint64_t id_block_uaddr = 0;
    uint64_t id_auth_uaddr = 0;
    uint8_t id_block_en = 0;
    uint8_t auth_key_en = 0;
    uint8_t vcek_disabled = 0;
    uint8_t host_data[32] = {};
    uint8_t pad0[3] = {};
    uint16_t flags = 0;
    uint64_t pad1[4] = {};
};

/* --- TDX ------------------------------------------------------------------ */

constexpr uint32_t KVM_TDX_CAPABILITIES = 0;
constexpr uint32_t KVM_TDX_INIT_VM = 1;
constexpr uint32_t KVM_TDX_INIT_VCPU = 2;
constexpr uint32_t KVM_TDX_INIT_MEM_REGION = 3;
constexpr uint32_t KVM_TDX_FINALIZE_VM = 4;
constexpr uint32_t KVM_TDX_GET_CPUID = 5;

constexpr uint32_t KVM_TDX_MEASURE_MEMORY_REGION = 1;

struct kvm_tdx_capabilities {
    uint64_t supported_attrs = 0;
    uint64_t supported_xfam = 0;
    uint64_t kernel_tdvmcallinfo_1_r11 = 0;
    uint64_t user_tdvmcallinfo_1_r11 = 0;
    uint64_t kernel_tdvmcallinfo_1_r12 = 0;
    uint64_t user_tdvmcallinfo_1_r12 = 0;
    uint64_t reserved[250] = {};
    kvm_cpuid2 cpuid = {};
};

struct kvm_tdx_init_vm {
    uint64_t attributes = 0;
    uint64_t xfam = 0;
    uint64_t mrconfigid[6] = {};
    uint64_t mrowner[6] = {};
    uint64_t mrownerconfig[6] = {};
    uint64_t reserved[12] = {};
    kvm_cpuid2 cpuid = {};
};

struct kvm_tdx_init_mem_region {
    uint64_t source_addr = 0;
    uint64_t gpa = 0;
    uint64_t nr_pages = 0;
};

} /* namespace kvm_reset::abi */

#endif
