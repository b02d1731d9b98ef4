# SPDX-License-Identifier: GPL-2.0-or-later
"""What a CPU is and can do besides running: be a hypervisor's, count time at a
rate of its own, tell of itself."""

import fcntl
import os
import re
from pathlib import Path

from guest import Guest
from kvm_reset_test import CPU, KvmResetTest
from proof import proves
from shim import number_of

# Of the host's CPU, as CPUID has them.
VIRTUALIZES = ('svm', 'vmx')


def host_flags() -> set[str]:
    text = Path('/proc/cpuinfo').read_text()
    match = re.search(r'^flags\s*:(.*)', text, re.M)
    return set(match[1].split()) if match else set()


def tsc_khz() -> int:
    """What KVM gives a vCPU that asks for nothing."""
    kvm = os.open('/dev/kvm', os.O_RDWR)
    vm = fcntl.ioctl(kvm, number_of('KVM_CREATE_VM'), 0)
    vcpu = fcntl.ioctl(vm, number_of('KVM_CREATE_VCPU'), 0)
    khz = fcntl.ioctl(vcpu, number_of('KVM_GET_TSC_KHZ'), 0)
    for fd in (vcpu, vm, kvm):
        os.close(fd)
    return khz


class Nested(KvmResetTest):
    WEIGHT = 60

    def setUp(self) -> None:
        super().setUp()
        kind = next((f for f in VIRTUALIZES if f in host_flags()), '')
        module = {'svm': 'kvm_amd', 'vmx': 'kvm_intel'}.get(kind, '')
        switch = Path('/sys/module', module, 'parameters', 'nested')
        if not switch.exists() or switch.read_text().strip() not in '1Y':
            self.skipTest('the CPUs here do not let guests be hypervisors')
        self.kind = kind
        self.module = module.replace('_', '-')

    def runs_a_guest(self, guest: Guest) -> None:
        guest.command(f'run modprobe {self.module}', 'done status=0')
        guest.command('run guest-tool nested 300', 'nested ok n=300', 120)

    @proves('nested-state')
    def test_a_guest_that_is_a_hypervisor_is_one_again(self) -> None:
        """Nested state: reset with its own guest in the middle of it."""
        guest = self.start(cpu=f'{CPU},+{self.kind}')
        guest.wait_boot()
        self.runs_a_guest(guest)
        for reset in ('reboot sysrq', 'system_reset'):
            guest.console.send('run guest-tool nested &')
            guest.console.wait_for(r'nested runs n=\d+', 120)
            with self.reborn(guest):
                guest.restart(reset)
            self.runs_a_guest(guest)
            guest.command('work 2', 'work ok n=2 ')


class Tsc(KvmResetTest):
    WEIGHT = 30

    @proves('tsc-frequency')
    def test_time_stamps_come_at_the_rate_that_was_asked_for(self) -> None:
        """KVM_SET_TSC_KHZ: the guest is told it, and finds it so."""
        khz = tsc_khz()
        guest = self.start(
            cpu=f'{CPU},tsc-frequency={khz * 1000},+invtsc,'
                'vmware-cpuid-freq=on')
        guest.wait_boot()
        for _ in range(2):
            # It works it out from kvmclock's factors, which are rounded.
            found = guest.command('run dmesg | grep "tsc: Detected"',
                                  r'Detected (\d+\.\d+) MHz')
            self.assertAlmostEqual(float(found) * 1000, khz, delta=20)
            guest.command('work 2', r'work ok n=2 .*timer=[1-9]')
            with self.reborn(guest):
                guest.console.send('reboot linux')


class MsrFilter(KvmResetTest):
    WEIGHT = 20
    # Intel's; QEMU has every read of it come to itself.
    CORE_THREAD_COUNT = '35'

    @proves('msr-filter')
    def test_a_register_that_qemu_answers_for_is_answered_for_again(self) \
            -> None:
        """KVM_X86_SET_MSR_FILTER and the exits of KVM_CAP_X86_USER_SPACE_MSR:
        without them the guest's CPU has no such register, or another one."""
        guest = self.start(smp='2,cores=2')
        guest.wait_boot()
        for _ in range(2):
            self.assertEqual(guest.msrs(self.CORE_THREAD_COUNT),
                             {self.CORE_THREAD_COUNT: 2 << 16 | 2})
            with self.reborn(guest):
                guest.console.send('reboot linux')


class Told(KvmResetTest):
    """What the monitor says of a VM is of the one that runs."""
    WEIGHT = 30

    def exits(self, guest: Guest) -> int:
        [stats] = guest.qmp('query-stats', target='vcpu', providers=[
            {'provider': 'kvm', 'names': ['exits']}])
        return stats['stats'][0]['value']

    @proves('stats')
    def test_kvms_statistics_begin_anew_and_go_on(self) -> None:
        """KVM_GET_STATS_FD: descriptors that QEMU keeps open."""
        guest = self.start()
        guest.wait_boot()
        for _ in range(2):
            before = self.exits(guest)
            self.assertGreater(before, 1000)
            guest.qmp('stop')
            guest.drop_events()
            guest.qmp('system_reset')
            guest.wait_rebirth()
            self.assertLess(self.exits(guest), before // 2)
            guest.qmp('cont')
            guest.wait_boot()
            first = self.exits(guest)
            self.assertGreater(first, 1000)
            guest.must_answer()
            self.assertGreater(self.exits(guest), first)

    @proves('vapic')
    def test_the_bios_has_its_writes_to_the_tpr_told_again(self) -> None:
        """kvmvapic: its ROM asks for it at each boot of the firmware."""
        guest = self.start(machine='pc', firmware=True, memory=64,
                           args=['-trace', 'kvm_reset_seen'])
        guest.wait_firmware()
        for _ in range(3):
            # Of this VM's life: the reset turns it off, the ROM on.
            life = guest.qemu_log().rpartition('kvm_reset_step commit')[2]
            self.assertGreaterEqual(life.count('KVM_TPR_ACCESS_REPORTING'), 2)
            with self.reborn(guest, boots=False):
                guest.console.skip()
                guest.qmp('system_reset')
                guest.wait_firmware()
