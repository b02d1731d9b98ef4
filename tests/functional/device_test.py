# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices with a state of their own in KVM, and CPUs that come and go."""

from pathlib import Path
from typing import Any

from guest import Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import CPU, KvmResetTest, takes
from proof import proves

CPU1 = '/sys/devices/system/cpu/cpu1'
ONE_OF_TWO = '1,maxcpus=2,sockets=2,cores=1,threads=1'


def cpu_args(number: int) -> dict[str, Any]:
    return {'driver': f'{CPU}-x86_64-cpu', 'id': f'cpu{number}',
            'socket-id': number, 'core-id': 0, 'thread-id': 0}


class Device(KvmResetTest):
    WEIGHT = 50

    def lit_pixels(self, guest: Guest, name: str) -> int:
        """How many of the screen are not black."""
        path = Path(self.scratch_file(f'{name}.ppm'))
        guest.qmp('screendump', filename=str(path))
        guest.wait(lambda: path.exists() and path.stat().st_size > 1000, 30,
                   'the picture of the screen')
        magic, width, height, depth, pixels = path.read_bytes().split(None, 4)
        self.assertEqual((magic, depth), (b'P6', b'255'))
        return sum(any(pixels[i:i + 3]) for i in range(0, len(pixels), 3))

    @proves('coalesced-mmio')
    def test_a_vga_screen_shows_the_firmware_again(self) -> None:
        """Its planes are written through coalesced MMIO."""
        guest = self.start(firmware=True, args=['-device', 'VGA'])
        guest.wait_firmware()
        before = self.lit_pixels(guest, 'before')
        self.assertGreater(before, 1000)
        with self.reborn(guest, boots=False):
            guest.qmp('system_reset')
        guest.wait_firmware()
        # But for the cursor, which blinks.
        self.assertAlmostEqual(self.lit_pixels(guest, 'after'), before,
                               delta=9 * 16)

    @proves('dirty-ring')
    def test_a_guest_with_a_dirty_ring_comes_back(self) -> None:
        guest = self.start(accel='kvm,dirty-ring-size=4096', smp='2',
                           args=['-device', 'VGA'])
        guest.wait_boot()
        for _ in range(2):
            with self.reborn(guest):
                guest.console.send('reboot linux')
        guest.command('work 2', r'work ok n=2 ')

    def plug(self, guest: Guest) -> None:
        guest.qmp('device_add', **cpu_args(1))
        guest.command(f'run while [ ! -d {CPU1} ]; do sleep 0.2; done; '
                      f'[ "$(cat {CPU1}/online)" = 1 ] || '
                      f'echo 1 >{CPU1}/online; nproc', r'\n2\s')

    def unplug(self, guest: Guest) -> None:
        guest.unplug('cpu1')
        guest.command('run nproc', r'\n1\s')

    @proves('cpu-hotplug')
    def test_a_parked_vcpu_is_of_use_again_after_a_rebirth(self) -> None:
        guest = self.start(smp=ONE_OF_TWO)
        guest.wait_boot()
        self.assertEqual(guest.cpus, 1)
        self.plug(guest)
        self.unplug(guest)
        with self.reborn(guest):
            guest.console.send('reboot linux')
        self.assertEqual(guest.cpus, 1)
        self.plug(guest)
        guest.command('work 2', r'work ok n=2 ')
        with self.reborn(guest):
            guest.qmp('system_reset')
        self.assertEqual(guest.cpus, 2)


class Plugging(KvmResetTest):
    """Resets while a CPU comes or goes."""
    WEIGHT = 80

    def cpus_of(self, guest: Guest) -> int:
        return len(guest.qmp('query-cpus-fast'))

    @proves('cpu-hotplug')
    @takes(600)
    def test_a_guest_that_is_reset_as_a_cpu_comes_or_goes_works(self) -> None:
        guest = self.start(smp=ONE_OF_TWO, machine='pc')
        guest.wait_boot()
        with self.reborn(guest):
            guest.qmp('device_add', **cpu_args(1))
            guest.qmp('system_reset')
        self.assertEqual(guest.cpus, 2)
        guest.command('work 2', r'work ok n=2 ')
        with self.reborn(guest):
            # The guest is asked for it, and may not come to it any more.
            guest.qmp('device_del', id='cpu1')
            guest.qmp('system_reset')
        guest.wait(lambda: self.cpus_of(guest) in (1, guest.cpus), 60,
                   'QEMU and the guest to have the same CPUs')
        guest.command('work 2', r'work ok n=2 ')
        with self.reborn(guest):
            guest.console.send('reboot linux')
        self.assertEqual(guest.cpus, self.cpus_of(guest))

    @proves('cpu-hotplug')
    def test_cpus_come_from_one_monitor_and_resets_from_another(self) -> None:
        path = str(Path(self.socket_dir().name, 'second'))
        guest = self.start(
            firmware=True, memory=64,
            smp='1,maxcpus=16,sockets=16,cores=1,threads=1',
            args=['-qmp', f'unix:{path},server=on,wait=off'])
        guest.wait_firmware()
        second = Monitor.at(path)
        self.addCleanup(second.close)
        for number in range(1, 16):
            second.send('system_reset')
            guest.qmp('device_add', **cpu_args(number))
            second.answer()
        self.assertEqual(self.cpus_of(guest), 16)
        with self.reborn(guest, boots=False):
            guest.console.skip()
            guest.qmp('system_reset')
            guest.wait_firmware()
        self.assertEqual(guest.info()['aborted'], 0)
