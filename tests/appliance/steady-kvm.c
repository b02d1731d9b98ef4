/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the appliance's KVM from patching the kernel's code as VMs come and go.
 *
 * Linux turns some of its branches into jumps or back when the first VM, or
 * the first virtual CPU of some kind, appears and when the last one goes. While
 * it does so another CPU may meet a breakpoint instruction, which is expected;
 * under emulation with several threads it now and then goes on meeting it
 * afterwards: "int3" oopses in finish_task_switch() and stacks that overflow.
 * So one VM of each kind stays for as long as the appliance runs:
 *
 *   any VM                           preempt_notifier_key
 *   a vCPU without a LAPIC           kvm_has_noapic_vcpu
 *   a LAPIC that software has off    apic_sw_disabled
 *   a LAPIC that hardware has off    apic_hw_disabled
 *   a Xen VM                         kvm_xen_enabled
 *
 * None of them ever runs. What a KVM lacks is left out.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

static int must(int ret, const char *what)
{
    if (ret < 0) {
        perror(what);
        exit(1);
    }
    return ret;
}

static void keep_plain_vm(int kvm)
{
    int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");

    must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU without a LAPIC");
}

static void keep_lapics(int kvm)
{
    struct kvm_xen_hvm_config xen = {.msr = 0x40000000};
    int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    struct kvm_sregs sregs;
    int hardware_off;

    must(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    hardware_off = must(ioctl(vm, KVM_CREATE_VCPU, 1), "KVM_CREATE_VCPU");
    must(ioctl(hardware_off, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.apic_base &= ~(1ull << 11);
    must(ioctl(hardware_off, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    ioctl(vm, KVM_XEN_HVM_CONFIG, &xen);
}

int main(void)
{
    int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");

    prctl(PR_SET_NAME, "steady-kvm");
    keep_plain_vm(kvm);
    keep_lapics(kvm);
    must(daemon(0, 0), "daemon");
    for (;;) {
        pause();
    }
}
