/*
 * The floor: what a rebirth costs at least
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A bare program that issues the ioctls which define a VM like QEMU's q35,
 * with nothing recorded, copied, checked or undone, and swaps the same fds
 * and mappings.  It reads a line and does one round for each, so that who
 * measures can take turns:
 *
 *     reset-floor --vcpus N --ioeventfds N --irqfds N --early N
 *         [GPA:SIZE:FLAGS]...
 *
 * where so many of the slots come before the timer, as in QEMU.  It
 * answers with nanoseconds: building the VM, the swap, taking the irqfds away
 * from the old VM, giving them to the new one, closing the old VM; and how
 * many ioctls building took.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MOST_SLOTS 128
#define MOST_VCPUS 256
#define MOST_FDS (2 + 2 * MOST_VCPUS)
#define MSI_BASE 24

struct slot {
    uint64_t gpa, size;
    uint32_t flags;
    void *memory;
};

/* What the guest is, the same for each VM. */
static struct slot slots[MOST_SLOTS];
static unsigned slot_count, early_count, vcpu_count = 2;
static unsigned irqfd_count, ioeventfd_count;
static int *irq_eventfds, *io_eventfds;
static struct kvm_cpuid2 *cpuid;
static struct {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
} feature_msr = {{.nmsrs = 1}, {.index = 0x10a}};
static int run_size;
static unsigned long tsc_khz;
static unsigned long ioctls;

/* A VM's fds, in the order of creation: the device, the VM, vCPU, stats, … */
struct vm {
    int fds[MOST_FDS];
    unsigned count;
};

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * UINT64_C(1000000000) + time.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "reset-floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int call(int fd, unsigned long request, void *arg, const char *what)
{
    int ret = ioctl(fd, request, arg);

    ioctls++;
    if (ret < 0) {
        fail(what);
    }
    return ret;
}

#define CALL(fd, request, arg)                                                 \
    call(fd, request, (void *)(uintptr_t)(arg), #request)

static int keep(struct vm *vm, int fd)
{
    vm->fds[vm->count++] = fd;
    return fd;
}

static void enable(int fd, uint32_t cap, uint64_t value)
{
    struct kvm_enable_cap arg = {.cap = cap, .args = {value}};

    if (ioctl(fd, KVM_CHECK_EXTENSION, cap) > 0) {
        CALL(fd, KVM_ENABLE_CAP, &arg);
    }
}

static void set_basics(int vm)
{
    uint64_t identity_map = 0xfeffc000;
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};

    enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
    enable(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
    enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
    CALL(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    CALL(vm, KVM_SET_TSS_ADDR, 0xfeffd000);
    CALL(vm, KVM_X86_SET_MSR_FILTER, &filter);
    CALL(vm, KVM_CREATE_IRQCHIP, 0);
}

static void add_vcpu(struct vm *vm, unsigned id)
{
    uint64_t mce = 10 | UINT64_C(1) << 24;
    int fd = keep(vm, CALL(vm->fds[1], KVM_CREATE_VCPU, (uintptr_t)id));

    CALL(fd, KVM_X86_SETUP_MCE, &mce);
    CALL(fd, KVM_SET_CPUID2, cpuid);
    CALL(fd, KVM_SET_MSRS, &feature_msr);
    keep(vm, CALL(fd, KVM_GET_STATS_FD, 0));
}

static void add_slots(int vm, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct kvm_userspace_memory_region region = {
            .slot = i,
            .flags = slots[i].flags,
            .guest_phys_addr = slots[i].gpa,
            .memory_size = slots[i].size,
            .userspace_addr = (uintptr_t)slots[i].memory,
        };
        CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
    }
}

static void set_routes(int vm)
{
    static struct kvm_irq_routing *table;

    if (!table) {
        table = calloc(1, sizeof(*table) + (MSI_BASE + irqfd_count) *
                                               sizeof(*table->entries));
        for (uint32_t gsi = 0; gsi < MSI_BASE; gsi++) {
            table->entries[table->nr++] = (struct kvm_irq_routing_entry){
                .gsi = gsi,
                .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi},
            };
        }
        for (uint32_t i = 0; i < irqfd_count; i++) {
            table->entries[table->nr++] = (struct kvm_irq_routing_entry){
                .gsi = MSI_BASE + i,
                .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = {.address_lo = 0xfee00000, .data = 0x20 + i % 0xd0},
            };
        }
    }
    CALL(vm, KVM_SET_GSI_ROUTING, table);
}

static void add_ioeventfds(int vm)
{
    for (unsigned i = 0; i < ioeventfd_count; i++) {
        struct kvm_ioeventfd arg = {.addr = 0xf1000000 + i * 4,
                                    .fd = io_eventfds[i]};
        CALL(vm, KVM_IOEVENTFD, &arg);
    }
}

static void change_irqfds(int vm, uint32_t flags)
{
    for (unsigned i = 0; i < irqfd_count; i++) {
        struct kvm_irqfd arg = {
            .fd = irq_eventfds[i], .gsi = MSI_BASE + i, .flags = flags};
        CALL(vm, KVM_IRQFD, &arg);
    }
}

static void build(struct vm *vm)
{
    struct kvm_coalesced_mmio_zone zone = {.addr = 0xcf8, .size = 1, .pio = 1};
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    struct kvm_tpr_access_ctl tpr = {.enabled = 1};

    vm->count = 0;
    if (keep(vm, open("/dev/kvm", O_RDWR | O_CLOEXEC)) < 0) {
        fail("/dev/kvm");
    }
    int fd = keep(vm, CALL(vm->fds[0], KVM_CREATE_VM, 0));
    set_basics(fd);
    for (unsigned i = 0; i < vcpu_count; i++) {
        add_vcpu(vm, i);
    }
    add_slots(fd, 0, early_count);
    for (unsigned i = 0; i < 3; i++, zone.addr += 0x40) {
        CALL(fd, KVM_REGISTER_COALESCED_MMIO, &zone);
    }
    CALL(fd, KVM_CREATE_PIT2, &pit);
    for (unsigned i = 0; i < vcpu_count; i++) {
        CALL(vm->fds[2 + 2 * i], KVM_SET_TSC_KHZ, tsc_khz);
    }
    add_slots(fd, early_count, slot_count);
    for (unsigned i = 0; i < vcpu_count; i++) {
        CALL(vm->fds[2 + 2 * i], KVM_TPR_ACCESS_REPORTING, &tpr);
    }
    set_routes(fd);
    add_ioeventfds(fd);
}

/* The runs of @vm's vCPUs: mapped anew, or in place of the old ones. */
static void map_runs(const struct vm *vm, void **runs)
{
    for (unsigned i = 0; i < vcpu_count; i++) {
        runs[i] = mmap(runs[i], run_size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | (runs[i] ? MAP_FIXED : 0),
                       vm->fds[2 + 2 * i], 0);
        if (runs[i] == MAP_FAILED) {
            fail("mapping a vCPU");
        }
    }
}

static void close_all(struct vm *vm)
{
    for (unsigned i = 0; i < vm->count; i++) {
        close(vm->fds[i]);
    }
}

static struct vm take_places(const struct vm *in_use, struct vm *fresh,
                             void **runs)
{
    struct vm old = {.count = in_use->count};

    for (unsigned i = 0; i < in_use->count; i++) {
        old.fds[i] = fcntl(in_use->fds[i], F_DUPFD_CLOEXEC, 0);
        if (old.fds[i] < 0) {
            fail("keeping an old fd");
        }
    }
    for (unsigned i = 0; i < in_use->count; i++) {
        if (dup3(fresh->fds[i], in_use->fds[i], O_CLOEXEC) < 0) {
            fail("dup3");
        }
    }
    map_runs(in_use, runs);
    close_all(fresh);
    return old;
}

static void do_round(const struct vm *in_use, void **runs)
{
    static struct vm fresh;
    uint64_t times[6];

    ioctls = 0;
    times[0] = now();
    build(&fresh);
    times[1] = now();
    unsigned long building = ioctls;
    change_irqfds(in_use->fds[1], KVM_IRQFD_FLAG_DEASSIGN);
    times[2] = now();
    change_irqfds(fresh.fds[1], 0);
    times[3] = now();
    struct vm old = take_places(in_use, &fresh, runs);
    times[4] = now();
    close_all(&old);
    times[5] = now();
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %lu\n",
           times[1] - times[0], times[4] - times[3], times[2] - times[1],
           times[3] - times[2], times[5] - times[4], building);
    fflush(stdout);
}

static int *eventfds(unsigned count)
{
    int *fds = calloc(count + 1, sizeof(*fds));

    for (unsigned i = 0; i < count; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fds[i] < 0) {
            fail("an eventfd");
        }
    }
    return fds;
}

static void ask_kernel(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    const unsigned most = 256;

    if (kvm < 0) {
        fail("/dev/kvm");
    }
    cpuid = calloc(1, sizeof(*cpuid) + most * sizeof(*cpuid->entries));
    cpuid->nent = most;
    CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
    CALL(kvm, KVM_GET_MSRS, &feature_msr);
    run_size = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    int vm = CALL(kvm, KVM_CREATE_VM, 0);
    int vcpu = CALL(vm, KVM_CREATE_VCPU, 0);
    tsc_khz = CALL(vcpu, KVM_GET_TSC_KHZ, 0);
    close(vcpu);
    close(vm);
    close(kvm);
}

static void add_slot(const char *text)
{
    struct slot *slot = &slots[slot_count];

    if (slot_count == MOST_SLOTS ||
        sscanf(text, "%" SCNi64 ":%" SCNi64 ":%" SCNi32, &slot->gpa,
               &slot->size, &slot->flags) != 3) {
        fprintf(stderr, "reset-floor: %s: not GPA:SIZE:FLAGS, or the %uth\n",
                text, slot_count + 1);
        exit(2);
    }
    slot->memory = mmap(NULL, slot->size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slot->memory == MAP_FAILED) {
        fail("memory of a slot");
    }
    slot_count++;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"vcpus", required_argument, NULL, 'v'},
        {"irqfds", required_argument, NULL, 'q'},
        {"ioeventfds", required_argument, NULL, 'i'},
        {"early", required_argument, NULL, 'e'},
        {}};
    static struct vm in_use;
    static void *runs[MOST_VCPUS];
    char line[16];
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?') {
            return 2;
        }
        unsigned number = strtoul(optarg, NULL, 0);
        *(option == 'v'   ? &vcpu_count
          : option == 'q' ? &irqfd_count
          : option == 'i' ? &ioeventfd_count
                          : &early_count) = number;
    }
    for (; optind < argc; optind++) {
        add_slot(argv[optind]);
    }
    if (vcpu_count < 1 || vcpu_count > MOST_VCPUS || early_count > slot_count) {
        fprintf(stderr,
                "reset-floor: --vcpus is 1 to %u, --early no more than"
                " slots\n",
                MOST_VCPUS);
        return 2;
    }
    ask_kernel();
    irq_eventfds = eventfds(irqfd_count);
    io_eventfds = eventfds(ioeventfd_count);
    build(&in_use);
    change_irqfds(in_use.fds[1], 0);
    map_runs(&in_use, runs);
    while (fgets(line, sizeof(line), stdin)) {
        do_round(&in_use, runs);
    }
    return 0;
}
