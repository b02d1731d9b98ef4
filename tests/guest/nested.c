/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a hypervisor itself: its own guest counts on a port, and each number
 * must be the next one. For so many of them, or for ever.
 */
#include "commands.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum {
    CODE_AT = 0x1000,
    SIZE = 0x10000,
    PORT = 0x10
};

/* mov $0, %ax; then over and over: inc %ax; out %ax, $PORT */
static const uint8_t code[] = {0xb8, 0, 0, 0x40, 0xe7, PORT, 0xeb, 0xfb};

static int bad(const char *what)
{
    fflush(stdout);
    perror(what);
    printf("kvm-reset-guest: nested FAIL %s\n", what);
    return 1;
}

int command_nested(int argc, char **argv)
{
    unsigned long turns = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, n;
    struct kvm_userspace_memory_region region = {.memory_size = SIZE};
    struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
    struct kvm_sregs sregs;
    struct kvm_run *run;
    uint8_t *memory;
    int kvm, vm, vcpu, size;

    kvm = open("/dev/kvm", O_RDWR);
    vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (vm < 0 || memory == MAP_FAILED) {
        return bad("/dev/kvm");
    }
    memcpy(memory + CODE_AT, code, sizeof(code));
    region.userspace_addr = (uintptr_t)memory;
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region)) {
        return bad("KVM_SET_USER_MEMORY_REGION");
    }
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (vcpu < 0 || run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs)) {
        return bad("KVM_CREATE_VCPU");
    }
    sregs.cs.base = sregs.cs.selector = 0;
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
        ioctl(vcpu, KVM_SET_REGS, &regs)) {
        return bad("KVM_SET_REGS");
    }
    for (n = 1; !turns || n <= turns; n++) {
        uint16_t value;

        if (ioctl(vcpu, KVM_RUN, 0)) {
            return bad("KVM_RUN");
        }
        if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT) {
            printf("kvm-reset-guest: nested FAIL exit %u\n", run->exit_reason);
            return 1;
        }
        memcpy(&value, (uint8_t *)run + run->io.data_offset, sizeof(value));
        if (value != (uint16_t)n) {
            printf("kvm-reset-guest: nested FAIL %u is not %lu\n", value, n);
            return 1;
        }
        if (!turns && n % 500 == 0) {
            printf("kvm-reset-guest: nested runs n=%lu\n", n);
            fflush(stdout);
        }
    }
    printf("kvm-reset-guest: nested ok n=%lu\n", turns);
    return 0;
}
