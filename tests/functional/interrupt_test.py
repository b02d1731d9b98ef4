# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupts and time: each source that the guest uses is counted again, and
what KVM does for a guest that knows it is on KVM is asked of its registers."""

import os
import re
import time

from guest import Guest
from kvm_reset_test import CPU, KvmResetTest, takes
from proof import proves

# What the guest wrote into them: an address in its memory and an enable bit.
KVM_REGISTERS = {'4b564d01': 'kvmclock', '4b564d02': 'async page faults',
                 '4b564d03': 'steal time', '4b564d04': 'PV EOI'}
# SMIs that the CPU has taken since its reset.
SMI_COUNT = '34'


def counts(guest: Guest) -> dict[str, int]:
    """How often each interrupt came, by the name of who takes it."""
    text = guest.command('run cat /proc/interrupts',
                         r'(CPU0[^$]*?)kvm-reset-guest: done status=0')
    found: dict[str, int] = {}
    for line in text.splitlines():
        if match := re.match(r' *(\w+):((?: +\d+)+) *(.*)', line):
            words = match[3].split()
            name = match[1] if match[1].isalpha() or not words else words[-1]
            # One for each queue; which of them is used is the guest's affair.
            name = re.sub(r'\.\d+$', '', name)
            found[name] = found.get(name, 0) + sum(map(int, match[2].split()))
    return found


class Interrupt(KvmResetTest):
    WEIGHT = 70

    def every_source_counts_again(self, **options: object) -> None:
        disk = self.scratch_disk(65 * 4096)
        guest = self.start(smp='2', args=[
            '-drive', f'file={disk},format=raw,if=none,id=d', '-device',
            'virtio-blk-pci,drive=d', '-netdev', 'user,id=n', '-device',
            'virtio-net-pci,netdev=n,romfile=', '-netdev', 'user,id=e',
            '-device', 'e1000,netdev=e,romfile='], **options)
        guest.wait_boot()
        before: dict[str, int] = {}
        for _ in range(2):
            # With the lines of levels too: e1000 has no message interrupts.
            guest.command('run ip link set eth1 up; '
                          'udhcpc -n -q -i eth1 -s /bin/true', 'lease of')
            guest.command('work', r'work ok n=\d+ .*disk=[1-9]\d* net=[1-9]')
            guest.command('work stop', 'work stopped')
            now = counts(guest)
            # Whichever of the network cards it takes for its first one.
            now['e1000'] = now.get('eth0', 0) + now.get('eth1', 0)
            for name in ('timer', 'ttyS0', 'rtc0', 'virtio0-req', 'e1000',
                         'virtio1-input', 'LOC'):
                self.assertGreater(now.get(name, 0), 0, f'{name} in {now}')
            # And what came often comes again, whatever it is.
            often = {name for name, count in before.items() if count > 20}
            self.assertLessEqual(often - {'RES', 'CAL', 'TLB', 'HYP', 'IWI'},
                                 {name for name, n in now.items() if n})
            before = now
            with self.reborn(guest):
                guest.console.send('reboot linux')

    @proves('irqchip', 'pit', 'msi-routes', 'irqfd')
    def test_each_source_of_interrupts_is_counted_again(self) -> None:
        """PIC, IOAPIC, local APICs, PIT and messages, all in the kernel."""
        self.every_source_counts_again()

    @proves('split-irqchip', 'msi-routes', 'irqfd')
    def test_each_source_is_counted_again_by_a_split_irqchip(self) -> None:
        """The IOAPIC is QEMU's, and its pins are routes of messages."""
        self.every_source_counts_again(machine='q35,kernel-irqchip=split')

    @takes(600)
    @proves('x2apic-api', 'intel-iommu')
    def test_a_cpu_whose_number_needs_x2apic_is_rung_at(self) -> None:
        """KVM_CAP_X2APIC_API: an APIC id over 255, remapped with EIM."""
        guest = self.start(
            machine='q35,kernel-irqchip=split', append='intel_iommu=on',
            memory=512, cpu=f'{CPU},+x2apic',
            smp='1,maxcpus=300,sockets=300,cores=1,threads=1', args=[
                '-device', 'intel-iommu,intremap=on,eim=on', '-device',
                f'{CPU}-x86_64-cpu,socket-id=290,core-id=0,thread-id=0'])
        guest.wait_boot()
        for _ in range(2):
            self.assertEqual(guest.cpus, 2)
            guest.command('run grep "^apicid" /proc/cpuinfo',
                          r'apicid\s*: 290\s')
            # An interrupt of a device that goes to that CPU alone.
            guest.command(
                'run irq=$(grep ttyS0 /proc/interrupts | cut -d: -f1); '
                'echo 2 >/proc/irq/$((irq))/smp_affinity', 'done status=0')
            for _ in range(3):
                guest.must_answer()
            both = guest.command('run grep ttyS0 /proc/interrupts',
                                 r'\d+: +\d+ +(\d+) ')
            self.assertGreater(int(both), 0)
            guest.command('work 2', 'work ok n=2 cpu=[1-9]')
            with self.reborn(guest):
                guest.console.send('reboot linux')


class Paravirtual(KvmResetTest):
    WEIGHT = 60

    def is_on_time(self, guest: Guest) -> None:
        """Its clock is the host's, but for how long an answer takes."""
        before = time.time()
        said = int(guest.command('run date +%s', r'\n(\d{9,})\s'))
        self.assertLessEqual(int(before) - 3, said)
        self.assertLessEqual(said, time.time() + 3)

    @proves('kvmclock', 'steal-time', 'pv-eoi', 'async-pf')
    def test_what_kvm_does_for_a_guest_is_asked_for_again(self) -> None:
        """Clock, steal time, PV EOI and async page faults: on, and at work."""
        guest = self.start(smp='2', cpu=f'{CPU},+kvm-steal-time,+kvm-pv-eoi,'
                           '+kvm-asyncpf,+kvm-asyncpf-int')
        guest.wait_boot()
        for _ in range(2):
            for index, value in guest.msrs(*KVM_REGISTERS).items():
                self.assertEqual(value & 1, 1, KVM_REGISTERS[index])
            guest.command('run cat /sys/devices/system/clocksource/'
                          'clocksource0/current_clocksource', r'\nkvm-clock\s')
            self.is_on_time(guest)
            # More virtual CPUs that are busy than the host may have.
            guest.command('work', r'work ok n=3 cpu=[1-9]\d* .*timer=[1-9]')
            steal = guest.command('run head -n 1 /proc/stat',
                                  r'\ncpu +(?:\d+ ){7}(\d+) ')
            if os.cpu_count() == 1:
                self.assertGreater(int(steal), 0)
            guest.command('work stop', 'work stopped')
            with self.reborn(guest):
                guest.console.send('reboot linux')

    @proves('smm')
    def test_the_firmware_takes_smis_after_each_rebirth(self) -> None:
        """SMM: each CPU's own count of them, which begins anew."""
        guest = self.start(machine='q35,smm=on')
        guest.wait_boot()
        for _ in range(2):
            at_first = guest.msrs(SMI_COUNT)[SMI_COUNT]
            # SeaBIOS has one of its own, which moves its handler.
            self.assertIn(at_first, range(1, 10))
            guest.command('run guest-tool out b2=00; guest-tool out b2=00',
                          'done status=0')
            self.assertEqual(guest.msrs(SMI_COUNT)[SMI_COUNT],
                             at_first + 2)
            guest.must_answer()
            with self.reborn(guest):
                guest.console.send('reboot linux')

    @proves('pit')
    def test_a_pit_that_makes_up_for_lost_ticks_keeps_time(self) -> None:
        """The PIT's reinjection, for a guest that has no other timer."""
        for policy in ('delay', 'discard'):
            guest = self.start(
                policy, machine='pc,hpet=off', append='nolapic_timer '
                'clocksource=acpi_pm no-kvmclock', args=['-global',
                                     f'kvm-pit.lost_tick_policy={policy}'])
            guest.wait_boot()
            for _ in range(2):
                first = counts(guest)['timer']
                guest.command('work 3', 'work ok n=3 .*timer=[1-9]')
                self.assertGreater(counts(guest)['timer'], first + 50)
                with self.reborn(guest):
                    guest.console.send('reboot linux')
            guest.stop()
