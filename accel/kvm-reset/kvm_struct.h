/*
 * KVM's structs, as x86 has them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See kvm_abi.h.  A struct ends where its fixed part ends; where an array
 * follows, NAME_of<count> is the same with room for count elements, and says
 * so.
 * What nobody here asks about (a union's other members) may be missing; what
 * is there is what a C compiler says, which tests/unit/abi_check sees to.
 * A gap is padding that has no name in C; one makes it zero.
 * In a union the member that covers it all comes first: it is the one that is
 * made zero.
 */

#ifndef KVM_RESET_KVM_STRUCT_H
#define KVM_RESET_KVM_STRUCT_H

#include <cstddef>
#include <cstdint>

namespace kvm_reset::abi {

/* --- <asm/kvm.h> ---------------------------------------------------------- */

struct kvm_regs {
    uint64_t rax = 0;
    uint64_t rbx = 0;
    uint64_t rcx = 0;
    uint64_t rdx = 0;
    uint64_t rsi = 0;
    uint64_t rdi = 0;
    uint64_t rsp = 0;
    uint64_t rbp = 0;
    uint64_t r8 = 0;
    uint64_t r9 = 0;
    uint64_t r10 = 0;
    uint64_t r11 = 0;
    uint64_t r12 = 0;
    uint64_t r13 = 0;
    uint64_t r14 = 0;
    uint64_t r15 = 0;
    uint64_t rip = 0;
    uint64_t rflags = 0;
};

struct kvm_segment {
    uint64_t base = 0;
    uint32_t limit = 0;
    uint16_t selector = 0;
    uint8_t type = 0;
    uint8_t present = 0;
    uint8_t dpl = 0;
    uint8_t db = 0;
    uint8_t s = 0;
    uint8_t l = 0;
    uint8_t g = 0;
    uint8_t avl = 0;
    uint8_t unusable = 0;
    uint8_t padding = 0;
};

struct kvm_dtable {
    uint64_t base = 0;
    uint16_t limit = 0;
    uint16_t padding[3] = {};
};

struct kvm_sregs {
    kvm_segment cs = {};
    kvm_segment ds = {};
    kvm_segment es = {};
    kvm_segment fs = {};
    kvm_segment gs = {};
    kvm_segment ss = {};
    kvm_segment tr = {};
    kvm_segment ldt = {};
    kvm_dtable gdt = {};
    kvm_dtable idt = {};
    uint64_t cr0 = 0;
    uint64_t cr2 = 0;
    uint64_t cr3 = 0;
    uint64_t cr4 = 0;
    uint64_t cr8 = 0;
    uint64_t efer = 0;
    uint64_t apic_base = 0;
    uint64_t interrupt_bitmap[4] = {};
};

struct kvm_sregs2 {
    kvm_segment cs = {};
    kvm_segment ds = {};
    kvm_segment es = {};
    kvm_segment fs = {};
    kvm_segment gs = {};
    kvm_segment ss = {};
    kvm_segment tr = {};
    kvm_segment ldt = {};
    kvm_dtable gdt = {};
    kvm_dtable idt = {};
    uint64_t cr0 = 0;
    uint64_t cr2 = 0;
    uint64_t cr3 = 0;
    uint64_t cr4 = 0;
    uint64_t cr8 = 0;
    uint64_t efer = 0;
    uint64_t apic_base = 0;
    uint64_t flags = 0;
    uint64_t pdptrs[4] = {};
};

struct kvm_fpu {
    uint8_t fpr[8][16] = {};
    uint16_t fcw = 0;
    uint16_t fsw = 0;
    uint8_t ftwx = 0;
    uint8_t pad1 = 0;
    uint16_t last_opcode = 0;
    uint64_t last_ip = 0;
    uint64_t last_dp = 0;
    uint8_t xmm[16][16] = {};
    uint32_t mxcsr = 0;
    uint32_t pad2 = 0;
};

template <size_t count = 0> struct kvm_xsave_of {
    uint32_t region[1024] = {};
    uint32_t extra[count] = {};
};
using kvm_xsave = kvm_xsave_of<>;

struct kvm_xcr {
    uint32_t xcr = 0;
    uint32_t reserved = 0;
    uint64_t value = 0;
};

struct kvm_xcrs {
    uint32_t nr_xcrs = 0;
    uint32_t flags = 0;
    kvm_xcr xcrs[16] = {};
    uint64_t padding[16] = {};
};

struct kvm_debugregs {
    uint64_t db[4] = {};
    uint64_t dr6 = 0;
    uint64_t dr7 = 0;
    uint64_t flags = 0;
    uint64_t reserved[9] = {};
};

struct kvm_vcpu_events {
    struct {
        uint8_t injected;
        uint8_t nr;
        uint8_t has_error_code;
        uint8_t pending;
        uint32_t error_code;
    } exception = {};
    struct {
        uint8_t injected;
        uint8_t nr;
        uint8_t soft;
        uint8_t shadow;
    } interrupt = {};
    struct {
        uint8_t injected;
        uint8_t pending;
        uint8_t masked;
        uint8_t pad;
    } nmi = {};
    uint32_t sipi_vector = 0;
    uint32_t flags = 0;
    struct {
        uint8_t smm;
        uint8_t pending;
        uint8_t smm_inside_nmi;
        uint8_t latched_init;
    } smi = {};
    struct {
        uint8_t pending;
    } triple_fault = {};
    uint8_t reserved[26] = {};
    uint8_t exception_has_payload = 0;
    uint64_t exception_payload = 0;
};

struct kvm_lapic_state {
    char regs[1024] = {};
};

struct kvm_nested_state {
    uint16_t flags = 0;
    uint16_t format = 0;
    uint32_t size = 0;
    uint8_t hdr[120] = {};
};

struct kvm_guest_debug_arch {
    uint64_t debugreg[8] = {};
};

struct kvm_x86_mce {
    uint64_t status = 0;
    uint64_t addr = 0;
    uint64_t misc = 0;
    uint64_t mcg_status = 0;
    uint8_t bank = 0;
    uint8_t pad1[7] = {};
    uint64_t pad2[3] = {};
};

struct kvm_msr_entry {
    uint32_t index = 0;
    uint32_t reserved = 0;
    uint64_t data = 0;
};

template <size_t count = 0> struct kvm_msrs_of {
    uint32_t nmsrs = count;
    uint32_t pad = 0;
    kvm_msr_entry entries[count] = {};
};
using kvm_msrs = kvm_msrs_of<>;

template <size_t count = 0> struct kvm_msr_list_of {
    uint32_t nmsrs = count;
    uint32_t indices[count] = {};
};
using kvm_msr_list = kvm_msr_list_of<>;

struct kvm_msr_filter_range {
    uint32_t flags = 0;
    uint32_t nmsrs = 0;
    uint32_t base = 0;
    uint32_t gap = 0;
    uint8_t *bitmap = nullptr;
};

struct kvm_msr_filter {
    uint32_t flags = 0;
    uint32_t gap = 0;
    kvm_msr_filter_range ranges[16] = {};
};

struct kvm_cpuid_entry {
    uint32_t function = 0;
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    uint32_t padding = 0;
};

template <size_t count = 0> struct kvm_cpuid_of {
    uint32_t nent = count;
    uint32_t padding = 0;
    kvm_cpuid_entry entries[count] = {};
};
using kvm_cpuid = kvm_cpuid_of<>;

struct kvm_cpuid_entry2 {
    uint32_t function = 0;
    uint32_t index = 0;
    uint32_t flags = 0;
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    uint32_t padding[3] = {};
};

template <size_t count = 0> struct kvm_cpuid2_of {
    uint32_t nent = count;
    uint32_t padding = 0;
    kvm_cpuid_entry2 entries[count] = {};
};
using kvm_cpuid2 = kvm_cpuid2_of<>;

template <size_t count = 0> struct kvm_pmu_event_filter_of {
    uint32_t action = 0;
    uint32_t nevents = count;
    uint32_t fixed_counter_bitmap = 0;
    uint32_t flags = 0;
    uint32_t pad[4] = {};
    uint64_t events[count] = {};
};
using kvm_pmu_event_filter = kvm_pmu_event_filter_of<>;

struct kvm_pic_state {
    uint8_t last_irr = 0;
    uint8_t irr = 0;
    uint8_t imr = 0;
    uint8_t isr = 0;
    uint8_t priority_add = 0;
    uint8_t irq_base = 0;
    uint8_t read_reg_select = 0;
    uint8_t poll = 0;
    uint8_t special_mask = 0;
    uint8_t init_state = 0;
    uint8_t auto_eoi = 0;
    uint8_t rotate_on_auto_eoi = 0;
    uint8_t special_fully_nested_mode = 0;
    uint8_t init4 = 0;
    uint8_t elcr = 0;
    uint8_t elcr_mask = 0;
};

struct kvm_ioapic_state {
    uint64_t base_address = 0;
    uint32_t ioregsel = 0;
    uint32_t id = 0;
    uint32_t irr = 0;
    uint32_t pad = 0;
    uint64_t redirtbl[24] = {};
};

struct kvm_irqchip {
    uint32_t chip_id = 0;
    uint32_t pad = 0;
    union {
        char dummy[512] = {};
        kvm_pic_state pic;
        kvm_ioapic_state ioapic;
    } chip;
};

struct kvm_pit_channel_state {
    uint32_t count = 0;
    uint16_t latched_count = 0;
    uint8_t count_latched = 0;
    uint8_t status_latched = 0;
    uint8_t status = 0;
    uint8_t read_state = 0;
    uint8_t write_state = 0;
    uint8_t write_latch = 0;
    uint8_t rw_mode = 0;
    uint8_t mode = 0;
    uint8_t bcd = 0;
    uint8_t gate = 0;
    int64_t count_load_time = 0;
};

struct kvm_pit_state {
    kvm_pit_channel_state channels[3] = {};
};

struct kvm_pit_state2 {
    kvm_pit_channel_state channels[3] = {};
    uint32_t flags = 0;
    uint32_t reserved[9] = {};
};

struct kvm_pit_config {
    uint32_t flags = 0;
    uint32_t pad[15] = {};
};

struct kvm_reinject_control {
    uint8_t pit_reinject = 0;
    uint8_t reserved[31] = {};
};

struct kvm_tpr_access_ctl {
    uint32_t enabled = 0;
    uint32_t flags = 0;
    uint32_t reserved[8] = {};
};

struct kvm_vapic_addr {
    uint64_t vapic_addr = 0;
};

struct kvm_xen_hvm_config {
    uint32_t flags = 0;
    uint32_t msr = 0;
    uint64_t blob_addr_32 = 0;
    uint64_t blob_addr_64 = 0;
    uint8_t blob_size_32 = 0;
    uint8_t blob_size_64 = 0;
    uint8_t pad2[30] = {};
};

struct kvm_xen_hvm_attr {
    uint16_t type = 0;
    uint16_t pad[3] = {};
    union {
        uint64_t pad[8] = {};
        uint8_t long_mode;
        uint8_t vector;
        uint8_t runstate_update_flag;
        uint32_t xen_version;
    } u;
};

struct kvm_xen_vcpu_attr {
    uint16_t type = 0;
    uint16_t pad[3] = {};
    union {
        uint64_t pad[8] = {};
        uint64_t gpa;
        uint64_t hva;
        uint32_t vcpu_id;
        uint8_t vector;
    } u;
};

struct kvm_hyperv_eventfd {
    uint32_t conn_id = 0;
    int32_t fd = 0;
    uint32_t flags = 0;
    uint32_t padding[3] = {};
};

struct kvm_sev_cmd {
    uint32_t id = 0;
    uint32_t pad0 = 0;
    uint64_t data = 0;
    uint32_t error = 0;
    uint32_t sev_fd = 0;
};

struct kvm_tdx_cmd {
    uint32_t id = 0;
    uint32_t flags = 0;
    uint64_t data = 0;
    uint64_t hw_error = 0;
};

/* --- <linux/kvm.h> -------------------------------------------------------- */

struct kvm_userspace_memory_region {
    uint32_t slot = 0;
    uint32_t flags = 0;
    uint64_t guest_phys_addr = 0;
    uint64_t memory_size = 0;
    uint64_t userspace_addr = 0;
};

struct kvm_userspace_memory_region2 {
    uint32_t slot = 0;
    uint32_t flags = 0;
    uint64_t guest_phys_addr = 0;
    uint64_t memory_size = 0;
    uint64_t userspace_addr = 0;
    uint64_t guest_memfd_offset = 0;
    uint32_t guest_memfd = 0;
    uint32_t pad1 = 0;
    uint64_t pad2[14] = {};
};

struct kvm_create_guest_memfd {
    uint64_t size = 0;
    uint64_t flags = 0;
    uint64_t reserved[6] = {};
};

struct kvm_memory_attributes {
    uint64_t address = 0;
    uint64_t size = 0;
    uint64_t attributes = 0;
    uint64_t flags = 0;
};

struct kvm_enc_region {
    uint64_t addr = 0;
    uint64_t size = 0;
};

struct kvm_pre_fault_memory {
    uint64_t gpa = 0;
    uint64_t size = 0;
    uint64_t flags = 0;
    uint64_t padding[5] = {};
};

struct kvm_dirty_log {
    uint32_t slot = 0;
    uint32_t padding1 = 0;
    void *dirty_bitmap = nullptr;
};

struct kvm_clear_dirty_log {
    uint32_t slot = 0;
    uint32_t num_pages = 0;
    uint64_t first_page = 0;
    void *dirty_bitmap = nullptr;
};

struct kvm_dirty_gfn {
    uint32_t flags = 0;
    uint32_t slot = 0;
    uint64_t offset = 0;
};

struct kvm_irq_level {
    uint32_t irq = 0;
    uint32_t level = 0;
};

struct kvm_msi {
    uint32_t address_lo = 0;
    uint32_t address_hi = 0;
    uint32_t data = 0;
    uint32_t flags = 0;
    uint32_t devid = 0;
    uint8_t pad[12] = {};
};

struct kvm_irq_routing_irqchip {
    uint32_t irqchip;
    uint32_t pin;
};

struct kvm_irq_routing_msi {
    uint32_t address_lo;
    uint32_t address_hi;
    uint32_t data;
    uint32_t devid;
};

struct kvm_irq_routing_xen_evtchn {
    uint32_t port = 0;
    uint32_t vcpu = 0;
    uint32_t priority = 0;
};

struct kvm_irq_routing_entry {
    uint32_t gsi = 0;
    uint32_t type = 0;
    uint32_t flags = 0;
    uint32_t pad = 0;
    union {
        uint32_t pad[8] = {};
        kvm_irq_routing_irqchip irqchip;
        kvm_irq_routing_msi msi;
    } u;
};

template <size_t count = 0> struct kvm_irq_routing_of {
    uint32_t nr = count;
    uint32_t flags = 0;
    kvm_irq_routing_entry entries[count] = {};
};
using kvm_irq_routing = kvm_irq_routing_of<>;

struct kvm_irqfd {
    uint32_t fd = 0;
    uint32_t gsi = 0;
    uint32_t flags = 0;
    uint32_t resamplefd = 0;
    uint8_t pad[16] = {};
};

struct kvm_ioeventfd {
    uint64_t datamatch = 0;
    uint64_t addr = 0;
    uint32_t len = 0;
    int32_t fd = 0;
    uint32_t flags = 0;
    uint8_t pad[36] = {};
};

struct kvm_coalesced_mmio_zone {
    uint64_t addr = 0;
    uint32_t size = 0;
    uint32_t pio = 0;
};

struct kvm_coalesced_mmio {
    uint64_t phys_addr = 0;
    uint32_t len = 0;
    uint32_t pio = 0;
    uint8_t data[8] = {};
};

template <size_t count = 0> struct kvm_coalesced_mmio_ring_of {
    uint32_t first = 0;
    uint32_t last = 0;
    kvm_coalesced_mmio coalesced_mmio[count] = {};
};
using kvm_coalesced_mmio_ring = kvm_coalesced_mmio_ring_of<>;

struct kvm_clock_data {
    uint64_t clock = 0;
    uint32_t flags = 0;
    uint32_t pad0 = 0;
    uint64_t realtime = 0;
    uint64_t host_tsc = 0;
    uint32_t pad[4] = {};
};

struct kvm_enable_cap {
    uint32_t cap = 0;
    uint32_t flags = 0;
    uint64_t args[4] = {};
    uint8_t pad[64] = {};
};

struct kvm_create_device {
    uint32_t type = 0;
    uint32_t fd = 0;
    uint32_t flags = 0;
};

struct kvm_device_attr {
    uint32_t flags = 0;
    uint32_t group = 0;
    uint64_t attr = 0;
    uint64_t addr = 0;
};

struct kvm_guest_debug {
    uint32_t control = 0;
    uint32_t pad = 0;
    kvm_guest_debug_arch arch = {};
};

struct kvm_interrupt {
    uint32_t irq = 0;
};

struct kvm_mp_state {
    uint32_t mp_state = 0;
};

struct kvm_one_reg {
    uint64_t id = 0;
    uint64_t addr = 0;
};

template <size_t count = 0> struct kvm_reg_list_of {
    uint64_t n = count;
    uint64_t reg[count] = {};
};
using kvm_reg_list = kvm_reg_list_of<>;

template <size_t count = 0> struct kvm_signal_mask_of {
    uint32_t len = count;
    uint8_t sigset[count] = {};
};
using kvm_signal_mask = kvm_signal_mask_of<>;

struct kvm_translation {
    uint64_t linear_address = 0;
    uint64_t physical_address = 0;
    uint8_t valid = 0;
    uint8_t writeable = 0;
    uint8_t usermode = 0;
    uint8_t pad[5] = {};
};

struct kvm_stats_header {
    uint32_t flags = 0;
    uint32_t name_size = 0;
    uint32_t num_desc = 0;
    uint32_t id_offset = 0;
    uint32_t desc_offset = 0;
    uint32_t data_offset = 0;
};

template <size_t count = 0> struct kvm_stats_desc_of {
    uint32_t flags = 0;
    int16_t exponent = 0;
    uint16_t size = 0;
    uint32_t offset = 0;
    uint32_t bucket_size = 0;
    char name[count] = {};
};
using kvm_stats_desc = kvm_stats_desc_of<>;

/* Mapped, never made: the kernel's.  The exits that somebody here looks at. */
struct kvm_run {
    uint8_t request_interrupt_window;
    uint8_t immediate_exit;
    uint8_t padding1[6];
    uint32_t exit_reason;
    uint8_t ready_for_interrupt_injection;
    uint8_t if_flag;
    uint16_t flags;
    uint64_t cr8;
    uint64_t apic_base;
    union {
        struct {
            uint64_t hardware_entry_failure_reason;
            uint32_t cpu;
        } fail_entry;
        struct {
            uint8_t direction;
            uint8_t size;
            uint16_t port;
            uint32_t count;
            uint64_t data_offset;
        } io;
        struct {
            uint64_t phys_addr;
            uint8_t data[8];
            uint32_t len;
            uint8_t is_write;
        } mmio;
        struct {
            uint64_t nr;
            uint64_t args[6];
            uint64_t ret;
            uint64_t flags;
        } hypercall;
        struct {
            uint32_t suberror;
            uint32_t ndata;
            uint64_t data[16];
        } internal;
        struct {
            uint32_t type;
            uint32_t ndata;
            uint64_t data[16];
        } system_event;
        struct {
            uint8_t error;
            uint8_t pad[7];
            uint32_t reason;
            uint32_t index;
            uint64_t data;
        } msr;
        char padding[256];
    };
    uint64_t kvm_valid_regs;
    uint64_t kvm_dirty_regs;
    union {
        char padding[2048];
    } s;
};

} /* namespace kvm_reset::abi */

#endif
